"""The corpus of requests: everything in it is read, or refused, as it says. See its README."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.http.errors import BadRequest
from penstock.http.head import HeadOptions, RequestHead, parse_request
from penstock.http.reader import HeadReader
from penstock.websocket.handshake import is_handshake

CORPUS = Path(__file__).parents[2] / "corpus" / "requests"
VALID = sorted((CORPUS / "valid").glob("*.http"))
INVALID = sorted((CORPUS / "invalid").glob("*.http"))

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


def load(path: Path) -> tuple[bytes, dict[str, Any]]:
    """A request and what is expected of it."""
    text = path.read_text(encoding="ascii").replace("\n", "")
    raw = b""
    for plain, escape in re.findall(r"([^\\]*)(?:\\(x[0-9a-f]{2}|.)|$)", text):
        raw += plain.encode() + (
            _ESCAPES[escape] if escape in _ESCAPES else bytes.fromhex(escape[1:]) if escape else b""
        )
    return raw, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def fed(raw: bytes, step: int, options: HeadOptions) -> RequestHead | None:
    """What a reader makes of it, fed in pieces."""
    reader = HeadReader(options)
    for at in range(0, len(raw), step):
        head = reader.feed(raw[at : at + step])
        if head is not None:
            if head.version > 9:
                assert not reader.rest + raw[at + step :]
            return head
    return None


def check(head: RequestHead, expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if key == "headers":
            assert head.headers == [tuple(pair) for pair in value]
        elif key == "dropped":
            assert list(head.dropped) == value
        elif key == "fields":
            assert {name: head.fields[name] for name in value} == value
        elif key == "joined":
            assert {name: head.joined(name) for name in value} == value
        elif key == "handshake":
            assert is_handshake(head) == value
        elif key not in ("options", "reader"):
            assert getattr(head, key) == value, key


def test_the_corpus_is_there() -> None:
    assert len(VALID) > 40
    assert len(INVALID) > 100
    assert {path.with_suffix("").name for path in VALID} == {path.stem for path in (CORPUS / "valid").glob("*.json")}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    raw, expected = load(path)
    options = HeadOptions(**expected.get("options", {}))
    if not expected.get("reader"):
        check(parse_request(raw, options), expected)
    for step in (len(raw), 1, 7):
        head = fed(raw, step, options)
        assert head is not None
        check(head, expected)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    raw, expected = load(path)
    options = HeadOptions(**expected.get("options", {}))
    if not expected.get("reader") and not expected.get("early"):
        with pytest.raises(BadRequest) as caught:
            parse_request(raw, options)
        assert caught.value.status == expected["status"]
        assert caught.value.reason.startswith(expected["reason"])
    for step in (len(raw),) if expected.get("whole") else (len(raw), 1, 7):
        with pytest.raises(BadRequest) as caught:
            assert fed(raw, step, options) is None, "taken"
            pytest.fail("not refused")
        assert caught.value.status == expected["status"]
