"""Heads of requests that have come before: what is the same byte for byte is read once.

Header lines are found by all of their bytes. A handshake never comes again like that, as its key is new each time: it
is found by all of its bytes but the values of Sec-WebSocket-Key and Cookie, which are looked at by themselves and put
where those of the one before stood. Nothing that came only once is kept, and neither a key nor a cookie ever. A
handshake takes 28,000 instructions of 218,000 less so (experiments/requests.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.uri import split_target
from penstock.shared.memo import Memo

if TYPE_CHECKING:
    from penstock.http.head import RequestHead

# Methods that need no look at their letters.
_USUAL = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
# Lines whose values are each client's own. A first line among the headers is not meant: no line end stands before it.
_KEY, _KEY_LENGTH = b"\r\nSec-WebSocket-Key: ", 24
_COOKIE = b"\r\nCookie: "
# What no value holds (RFC 9110, section 5.5), with what would end the line.
_NOT_IN_VALUES = bytes((*range(9), *range(10, 32), 127))
_LONGEST_COOKIE = 2048

OWN = ("sec-websocket-key", "cookie")
"""Whose values these are, in the order of the two above."""


class SeenLine:
    """A request line that has come again: as text, its method and target; and `split`, path and query of a target in
    which nothing is encoded, dotted or doubled, so that every server makes the same of it."""

    __slots__ = ("method", "split", "target", "text")

    def __init__(self, text: str, method: str, target: str) -> None:
        self.text = text
        self.method = method
        self.target = target
        self.split: tuple[str, str] | None = None
        if not ("%" in target or "/." in target or "//" in target or "#" in target):
            self.split = split_target(target)


class SeenHeads:
    """What has been seen of requests that are read by the same options: `lines` are their first lines, `fields` all the
    others to the empty one, `handshakes` those of handshakes without what is each client's own."""

    __slots__ = ("fields", "handshakes", "lines")

    def __init__(self) -> None:
        self.lines: Memo[bytes, SeenLine] = Memo()
        self.fields: Memo[bytes, RequestHead] = Memo()
        self.handshakes: Memo[bytes, RequestHead] = Memo()

    def find(self, data: bytes) -> RequestHead | None:
        """Make the head of an ordinary request of HTTP/1.1 whose header lines came before; None where something is
        another way. `data` is that head and nothing else then: what was seen ends with the empty line."""
        first, _, lines = data.partition(b"\r\n")
        like = self.fields.get(lines)
        key: str | None = None
        cookie = b""
        if like is None:
            before, name, rest = lines.partition(_KEY)
            if not name:
                return None
            bare = before + name + rest[_KEY_LENGTH:]
            left, name, right = bare.partition(_COOKIE)
            if name:
                cookie, end, right = right.partition(b"\r\n")
                bare = left + name + end + right
                if _is_odd(cookie):
                    return None
            like = self.handshakes.get(bare)
            if like is None:
                return None
            key = str(rest[:_KEY_LENGTH], "latin-1")
            if not key.isascii() or not key.isprintable() or " " in key:
                return None
        line = self.lines.get(first)
        if line is None:
            line = self._read(first)
            if line is None:
                return None
        assert like.another is not None
        head = like.another()
        head.line = line.text
        head.method = line.method
        head.target = line.target
        head.split = line.split
        head.length = len(data)
        head.like = like
        if key is not None:
            head.fields = fields = like.fields.copy()
            head.headers = headers = like.headers.copy()
            for at, name_of, spelled in like.own:
                value = key if name_of == "sec-websocket-key" else str(cookie, "latin-1")
                headers[at] = (spelled, value)
                fields[name_of] = value
        return head

    def _read(self, first: bytes) -> SeenLine | None:
        """Read a request line as the expression of `head.py` does, without it: 2,000 instructions fewer
        (experiments/requests.md). None for all but the usual."""
        text = str(first, "latin-1")
        words = text.split(" ")
        if len(words) != 3:
            return None
        method, target, version = words
        if (
            version != "HTTP/1.1"
            or method not in _USUAL
            or target[:1] != "/"
            or not target.isascii()
            or not target.isprintable()
        ):
            return None
        line = SeenLine(text, method, target)
        if self.lines.again(first):
            self.lines[first] = line
        return line

    def note(self, head: RequestHead, lines: bytes) -> None:
        """Remember a head of HTTP/1.1 that was read, if its header lines have come again."""
        if "upgrade" not in head.fields:
            if self.fields.again(lines):
                self.fields[lines] = head.kept()
            return
        before, name, rest = lines.partition(_KEY)
        if not name or head.repeated or head.dropped:
            return
        own = [(_KEY, rest[:_KEY_LENGTH])]
        bare = before + name + rest[_KEY_LENGTH:]
        left, name, right = bare.partition(_COOKIE)
        if name:
            cookie, end, right = right.partition(b"\r\n")
            if _is_odd(cookie):
                return
            own.append((_COOKIE, cookie))
            bare = left + name + end + right
        if self.handshakes.again(bare):
            kept = _without(head, own)
            if kept is not None:
                self.handshakes[bare] = kept


def _is_odd(cookie: bytes) -> bool:
    """Whether the value of a cookie asks for a closer look."""
    return (
        not cookie
        or len(cookie) > _LONGEST_COOKIE
        or cookie[0] in b" \t"
        or cookie[-1] in b" \t"
        or len(cookie.translate(None, _NOT_IN_VALUES)) != len(cookie)
    )


def _without(head: RequestHead, own: list[tuple[bytes, bytes]]) -> RequestHead | None:
    """Make what is remembered of a handshake: without the values that are its own. None where one does not stand where
    it is looked for."""
    headers, fields = head.headers.copy(), head.fields.copy()
    places: list[tuple[int, str, str]] = []
    for line, value in own:
        spelled = str(line[2:-2], "latin-1")
        pair = (spelled, str(value, "latin-1"))
        if pair not in headers:
            return None
        at = headers.index(pair)
        headers[at] = (spelled, "")
        fields[spelled.lower()] = ""
        places.append((at, spelled.lower(), spelled))
    bare = head.bare(headers, fields, tuple(sorted(places)))
    return bare.kept()
