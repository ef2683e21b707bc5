"""Fields as HPACK writes them: whatever is written is read again, by our decoder and by `hpack`'s."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.h2 import fields as module
from penstock.http.h2.decoder import Decoder
from penstock.http.h2.fields import field, status

NAMES = st.sampled_from(["server", "etag", "x-a", "set-cookie", "content-length", "x" * 300])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=400)


def read(block: bytes) -> list[tuple[str, str]]:
    decoder = Decoder()
    decoder.max_header_list_size = 1 << 20
    return [(str(name, "latin-1"), str(value, "latin-1")) for name, value in decoder.decode(block)]


@given(pairs=st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_what_is_written_is_read(pairs: list[tuple[str, str]]) -> None:
    block = b"".join(field(name, value) for name, value in pairs)
    assert read(block) == [(name, printable(value)) for name, value in pairs]


def printable(value: str) -> str:
    return module.value_safe(value).strip(" \t") if not value.isprintable() else value.strip(" \t")


@given(value=st.text(st.characters(max_codepoint=255), max_size=20))
def test_nothing_that_is_malformed_is_written(value: str) -> None:
    """RFC 9113, 8.2.1: no control characters, no space at either end."""
    ((_, written),) = read(field("x-a", value))
    assert not any(ord(char) < 32 and char != "\t" for char in written)
    assert written == written.strip(" \t")


@pytest.mark.parametrize("code", [100, 200, 204, 304, 404, 451, 500, 599])
def test_a_status(code: int) -> None:
    assert read(status(code)) == [(":status", str(code))]


def test_usual_fields_take_one_byte() -> None:
    assert len(status(200)) == 1
    assert len(field("accept-encoding", "gzip, deflate")) == 1


def test_what_is_never_the_same_is_not_remembered() -> None:
    for number in range(5000):
        field("x-request-id", str(number))
        field("x-b", str(number))
        field("x-c", "v" * 300 + str(number))
    assert ("x-request-id", "1") not in module._known
    assert not any(len(value) > 300 for _, value in module._known)
    assert len(module._known) <= 2048
