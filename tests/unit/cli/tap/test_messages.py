"""What is shown of messages: inflated as far as that can be known, redacted wherever it stands, harmless."""

import json
import re
import zlib
from base64 import b64encode
from pathlib import Path

from penstock.cli.tap.har import Har
from penstock.cli.tap.inflate import TAIL, Inflater
from penstock.cli.tap.messages import UNKNOWN, Reading, escaped
from penstock.cli.tap.tap import line

TEXTS = [b"the quick brown fox %d jumps over the lazy dog" % number for number in range(5)]


class Deflater:
    def __init__(self) -> None:
        self._zlib = zlib.compressobj(wbits=-15)

    def message(self, data: bytes) -> bytes:
        return (self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def told(number: int, data: bytes, kind: str = "text", **more: object) -> dict[str, object]:
    return {
        "id": "1-2.3", "n": number, "time": 0.0, "from": "client", "kind": kind, "size": len(data),
        "data": b64encode(data).decode(), **more,
    }  # fmt: skip


def test_from_the_beginning_everything_is_known() -> None:
    deflater, inflater = Deflater(), Inflater()
    for text in TEXTS:
        found = inflater.inflate(deflater.message(text), final=True)
        assert found is not None and found.data == text and found.whole


def test_from_the_middle_what_was_said_before_is_unknown_and_nothing_is_made_up() -> None:
    deflater, inflater = Deflater(), Inflater()
    deflater.message(TEXTS[0])
    found = inflater.inflate(deflater.message(TEXTS[1]), final=True)
    assert found is not None and len(found.data) == len(TEXTS[1]) and not found.whole
    assert all(one == other for one, other, known in zip(found.data, TEXTS[1], found.known, strict=True) if known)
    # What is new since then can be read wholly.
    deflater.message(b"something else, 0123456789")
    inflater.forget()
    assert inflater.inflate(Deflater().message(b"fresh"), final=True).data == b"fresh"  # type: ignore[union-attr]


def test_what_is_no_deflate_or_too_much_of_it_is_not_shown() -> None:
    inflater = Inflater()
    assert inflater.inflate(b"\xff" * 20, final=True) is None
    assert inflater.inflate(Deflater().message(bytes(50 << 20)), final=True) is None
    assert inflater.inflate(Deflater().message(b"fine"), final=True).data == b"fine"  # type: ignore[union-attr]


def test_a_gap_is_no_reason_to_show_nonsense() -> None:
    deflater, reading = Deflater(), Reading()
    packed = [deflater.message(text) for text in TEXTS]
    assert reading.read(told(1, packed[0], rsv=64)).text == TEXTS[0].decode()
    shown = reading.read(told(3, packed[2], rsv=64)).text
    assert shown is not None and UNKNOWN in shown
    # The rest of a message whose beginning was left out is nobody's.
    assert reading.read(told(5, b"rest", "continuation")).text is None


def test_secrets_in_two_frames_in_bytes_or_before_the_look_are_not_shown() -> None:
    reading = Reading(re.compile("secret[0-9]+"))
    begun = reading.read(told(1, b"a sec", more=True))
    assert (begun.text, begun.data) == (None, b"")
    assert reading.read(told(2, b"ret12 b", "continuation")).text == "a [redacted] b"
    assert reading.read(told(3, b"\x00secret1\x00", "binary")).text == "\x00[redacted]\x00"
    assert reading.read(told(4, b"data: secret7\n\n", "event")).text == "data: [redacted]\n\n"
    # Of a text that was cut, the end may be the beginning of a secret.
    cut = reading.read(told(5, b"x" * 5000 + b"secret", size=9000))
    assert cut.text is not None and "secret" not in cut.text
    deflater = Deflater()
    deflater.message(b"my secret123")
    unknown = reading.read(told(6, deflater.message(b"my secret124"), rsv=64))
    assert (unknown.text, unknown.data) == (None, b"") and "not be redacted" in line(unknown, 100)


def test_nothing_shown_does_anything_to_a_terminal() -> None:
    assert escaped("\x1b[2J\n\\ä\u202e\U000e0001") == "\\x1b[2J\\n\\\\ä\\u202e\\U000e0001"
    assert "\x1b" not in line(Reading().read(told(1, b"\x1b]0;x\x07")), 100)


def test_a_har_has_whole_messages(tmp_path: Path) -> None:
    har, reading = Har(), Reading()
    entry = {
        "id": "1-2.3", "kind": "websocket", "age": 5.0, "transport": "h1-tls", "peer": "10.0.0.1:80",
        "client": "10.0.0.2", "location": "/chat", "server": "chat.example",
        "request": ', client: 10.0.0.2, request: "GET /chat?x=1 HTTP/1.1", host: "chat.example:8443"',
    }  # fmt: skip
    har.opened(entry, 1000.0)
    for number, (data, kind, more) in enumerate(
        [(b"one ", "text", {"more": True}), (b"\x00", "ping", {}), (b"two", "continuation", {}),
         (b"\xff", "binary", {}), (b"\x03\xe8bye", "close", {})], 1
    ):  # fmt: skip
        har.add(reading.read(told(number, data, kind, **more)))
    path = tmp_path / "a.har"
    assert har.write(str(path)) == 1
    (written,) = json.loads(path.read_text())["log"]["entries"]
    assert written["request"]["url"] == "wss://chat.example:8443/chat?x=1" and written["response"]["status"] == 101
    assert written["startedDateTime"] == "1970-01-01T00:16:35.000+00:00"
    assert [(each["type"], each["opcode"], each["data"]) for each in written["_webSocketMessages"]] == [
        ("send", 9, "\x00"), ("send", 1, "one two"), ("send", 2, "/w=="), ("send", 8, "1000 bye"),
    ]  # fmt: skip
