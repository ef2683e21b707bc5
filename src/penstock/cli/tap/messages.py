"""What came from the workers, as a person reads it: texts, escaped and redacted, in their order."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from penstock.cli.tap.inflate import Inflater

if TYPE_CHECKING:
    from penstock.process.following import Told

RSV1 = 0x40
REDACTED = "[redacted]"
MOST_JOINED = 1 << 20
"""Bytes of a message of several frames that are kept to be redacted."""
UNKNOWN = "\ufffd"
"""In place of a byte that can not be known, and of what is no UTF-8."""
SEAM = 1024
"""Characters at the end of a text that was cut which are not shown where something is to be redacted: what is secret
may begin there."""


class SeenMessage:
    """A frame or an event that was told. `text` is None where nothing can be shown of it; `data` are its bytes as far
    as they are known; `cut`: there was more of it."""

    __slots__ = (
        "cut", "data", "kind", "known", "more", "number", "packed", "side", "size", "text", "time", "tunnel", "why_not",
    )  # fmt: skip

    def __init__(self, told: Told) -> None:
        self.tunnel = str(told["id"])
        self.side = str(told["from"])
        self.kind = str(told["kind"])
        self.size = int(told["size"])
        self.time = float(told["time"])
        self.number = int(told["n"])
        self.more = bool(told.get("more"))
        self.packed = False
        self.cut = False
        self.known = True
        """Whether no byte of it is unknown."""
        self.data = b""
        self.text: str | None = None
        self.why_not = ""
        """Why there is no text."""


class Reading:
    """Makes messages of what is told, tunnel by tunnel. `redact` is a pattern whose matches are shown to nobody."""

    def __init__(self, redact: re.Pattern[str] | None = None) -> None:
        self._redact = redact
        self._ways: dict[tuple[str, str], _Way] = {}

    def read(self, told: Told) -> SeenMessage:
        """Read a frame or an event."""
        made = SeenMessage(told)
        way = self._ways.setdefault((made.tunnel, made.side), _Way())
        missed = way.number + 1 != made.number
        way.number = made.number
        if "data" not in told:
            made.why_not = "where frames begin is not known"
            way.inflater = None
            return made
        data = b64decode(str(told["data"]))
        made.cut = len(data) < made.size
        if made.kind in ("text", "binary", "continuation"):
            self._of_message(way, made, data, int(told.get("rsv", 0)), missed=missed)
        else:
            made.data = data
            made.text = _close_text(data) if made.kind == "close" else data.decode("utf-8", "replace")
        if self._redact is not None:
            self._redacted(self._redact, way, made)
        return made

    def _redacted(self, redact: re.Pattern[str], way: _Way, made: SeenMessage) -> None:
        """Take out what is to be seen by nobody: of whole messages, as it may stand in two frames; and where bytes are
        unknown all of it, as nobody can tell then what it is."""
        if made.kind in ("text", "binary", "continuation"):
            first = made.kind != "continuation"
            parts, made.data = (b"" if first else way.parts) + made.data, b""
            fits = (first or way.fits) and made.text is not None and made.known and len(parts) <= MOST_JOINED
            way.parts, way.fits = (parts if fits else b""), fits
            if made.more or not fits:
                made.text = None
                made.why_not = "shown with the end of its message" if fits else "not shown: it can not be redacted"
                return
            made.data = parts
            made.text = parts.decode("utf-8", "replace")
            way.parts = b""
        if made.text is not None:
            made.text = redact.sub(REDACTED, made.text[:-SEAM] if made.cut else made.text)
            made.data = made.text.encode("utf-8")

    def forget(self, tunnel: str) -> None:
        """Forget a tunnel that has ended."""
        for key in [key for key in self._ways if key[0] == tunnel]:
            del self._ways[key]

    def _of_message(self, way: _Way, made: SeenMessage, data: bytes, rsv: int, *, missed: bool) -> None:
        if made.kind != "continuation":
            way.packed = bool(rsv & RSV1)
            way.kind = made.kind
        elif missed or not way.kind:
            way.packed, way.kind = False, ""
            if way.inflater is not None:
                way.inflater.forget()
            made.why_not = "part of a message whose beginning was not seen"
            return
        made.packed = way.packed
        if not way.packed:
            made.data = data
            made.text = data.decode("utf-8", "replace")
            return
        inflater = way.inflater
        if inflater is None:
            inflater = way.inflater = Inflater()
        elif missed:
            inflater.forget()
        found = None if made.cut else inflater.inflate(data, final=not made.more)
        if found is None:
            inflater.forget()
            made.why_not = "compressed, and can not be read from here"
        else:
            made.known = found.whole
            made.data = found.data if found.whole else _without(found.data, found.known)
            made.text = made.data.decode("utf-8", "replace")


class _Way:
    """One direction of a tunnel."""

    __slots__ = ("fits", "inflater", "kind", "number", "packed", "parts")

    def __init__(self) -> None:
        self.number = 0
        self.packed = False
        self.kind = ""
        self.inflater: Inflater | None = None
        self.parts = b""
        """What has come of a message of several frames, where something is to be redacted."""
        self.fits = True


def _without(data: bytes, known: bytes) -> bytes:
    """Put the sign for what is unknown in the place of each such run of bytes."""
    parts: list[bytes] = []
    for run in re.finditer(rb"\x00+|\x01+", known):
        parts.append(data[run.start() : run.end()] if known[run.start()] else UNKNOWN.encode())
    return b"".join(parts)


def _close_text(data: bytes) -> str:
    if len(data) < 2:
        return ""
    return f"{int.from_bytes(data[:2], 'big')} {data[2:].decode('utf-8', 'replace')}".rstrip()


def escaped(text: str) -> str:
    """Write a text so that it stands in one line of a terminal, and does nothing there."""
    return "".join(
        char if char.isprintable() and char != "\\" else _ESCAPES.get(char) or _number(char) for char in text
    )


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def _number(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def is_message(told: Any) -> bool:
    """Return whether a line tells of a frame or an event."""
    return isinstance(told, dict) and {"id", "n", "time", "from", "kind", "size"} <= told.keys()
