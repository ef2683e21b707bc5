"""A kept answer in its file: what was written is read, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.cache.entry import FIXED, BadEntry, CacheEntry, length_of, pack, unpack

ENTRY = CacheEntry(
    b"key",
    b"HTTP/1.1 200 OK\r\n\r\n",
    *(5, 4, 3, 2, 1),
    b'"e"',
    b"x-a",
    b"v" * 16,
    b"f" * 8,
    body_length=7,
    head_only=True,
)


def test_what_is_written_is_read() -> None:
    data = pack(ENTRY)
    assert len(data) == ENTRY.start == length_of(data)
    assert unpack(data + b"surplus", len(data) + 7) == ENTRY


@given(st.integers(0, len(pack(ENTRY)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    data = bytearray(pack(ENTRY))
    data[at] ^= change
    with pytest.raises(BadEntry):
        unpack(bytes(data), len(data) + 7)


@given(st.integers(0, len(pack(ENTRY)) - 1))
def test_a_part_is_none(count: int) -> None:
    with pytest.raises(BadEntry):
        unpack(pack(ENTRY)[:count], count)


@pytest.mark.parametrize("size", [-1, 1])
def test_a_body_of_another_length_is_none(size: int) -> None:
    data = pack(ENTRY)
    with pytest.raises(BadEntry, match="bytes, and not"):
        unpack(data, len(data) + 7 + size)


@given(st.binary(max_size=3 * FIXED), st.integers(0, 1 << 62))
def test_anything_else_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(BadEntry):
        unpack(data, size)
    with pytest.raises(BadEntry):
        unpack(b"PENSTOCK\1\0" + data, size)
