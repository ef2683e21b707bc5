"""WebSockets that outlive their backend: `websocket_redial`.

The handshake of such a location is passed on without extensions, and with a header that says who it is for the backend:

    Penstock-Redial: id="6d1c...", count=2, reason=lost

A dictionary of structured fields (RFC 9651). `id` is `$request_id` of the client's handshake, the same for as long as
the client is connected; `count` is 0 in its first handshake. What the client itself says under this name is dropped.
`event_stream_redial` has the same header, in requests that are sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from penstock.config.key import Key
from penstock.config.kinds import custom, either
from penstock.config.registry import HTTP_LEVELS, Context
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive
from penstock.config.values import decimal, size
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.core.variables import request_id
from penstock.modules.websocket.params import options, some_time, whole
from penstock.modules.websocket.websocket import WebSocket, asks
from penstock.websocket.close_reasons import ABNORMAL
from penstock.websocket.frames import TEXT, may_be_sent, ping_frame
from penstock.websocket.redial.terms import RedialTerms

MODULE = "websocket_redial"
SYNTAX = "time [tries=number] [buffer=size] [codes=list] [announce=text:words | ping] [header=name] [quiet=time]"
MOST_TRIES = 100
LEAST_BUFFER, MOST_BUFFER = 4 << 10, 64 << 20
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*", re.ASCII)
RESERVED = frozenset(
    "host connection upgrade origin cookie authorization content-length transfer-encoding expect te".split()
)
"""Names that the header may not have, beside those that begin with `sec-`."""


class RedialNote(NamedTuple):
    """What a backend is told: how often the client had another one before, and why it has it no more."""

    times: int
    reason: str


NOTE: Key[RedialNote] = Key("redial")
"""Where a request that is sent again keeps its note."""
NOTE_VARIABLE = "penstock_redial"
"""The variable in which it is written."""


def _buffer(text: str) -> int:
    found = size(text)
    if not LEAST_BUFFER <= found <= MOST_BUFFER:
        raise ValueError("a buffer has 4k to 64m")
    return found


def _tries(text: str) -> int:
    found = whole(text)
    if not 1 <= found <= MOST_TRIES:
        raise ValueError(f"1 to {MOST_TRIES} tries")
    return found


def _codes(text: str) -> frozenset[int]:
    return frozenset(code for each in text.split(",") for code in _range(each))


def _range(text: str) -> Iterator[int]:
    first, dash, last = text.partition("-")
    low = decimal(first)
    high = decimal(last) if dash else low
    if low is None or high is None or not low <= high <= 4999:
        raise ValueError("codes are written as 1001,1006,1011-1014")
    for code in range(low, high + 1):
        if code != ABNORMAL and not may_be_sent(code):
            raise ValueError(f"no backend says goodbye with {code}")
        yield code


def _announce(text: str) -> bytes:
    kind, colon, words = text.partition(":")
    if text == "ping":
        return ping_frame(b"redial")
    if kind != "text" or not colon:
        raise ValueError("text:words, or ping")
    payload = words.encode("latin-1")
    if not 0 < len(payload) <= 125:
        raise ValueError("the words have 1 to 125 bytes")
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the words are no UTF-8, which a text message has to be") from None
    return bytes((0x80 | TEXT, len(payload))) + payload


def _header(text: str) -> str:
    if not _TOKEN.fullmatch(text) or text.lower() in RESERVED or text.lower().startswith("sec-"):
        raise ValueError("the name of a header that means nothing yet, of letters, digits and dashes")
    return text


_PARTS: dict[str, Callable[[str], Any]] = {
    "tries": _tries,
    "buffer": _buffer,
    "codes": _codes,
    "announce": _announce,
    "header": _header,
    "quiet": some_time,
}


def _redial(call: Call) -> RedialTerms:
    word = call.args[0]
    try:
        timeout = some_time(word.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None
    return RedialTerms(timeout, **options(call, call.args[1:], _PARTS))


class Redials(Settings):
    """Whether a WebSocket goes on with another backend when it has lost its own."""

    redial: RedialTerms | None = directive(
        MODULE,
        where=HTTP_LEVELS,
        takes=either("off", None, custom(_redial, most=7, syntax=SYNTAX)),
        shown="off",
        doc="When the backend of an open WebSocket is lost (it ends, is reset, or says goodbye with one of `codes`; "
        "1006 stands for an end without a goodbye), its client stays: up to so many `tries` are made within `time` to "
        "reach another, the lost one last, with the client's own handshake and a `header` that says how often and "
        "why. What the client says meanwhile is kept, up to `buffer`. Needs `websocket on` or `auto`. Handshakes are "
        "passed on without extensions, so without compression. Each message is delivered at most once, and whole: "
        "see [WebSocket](websocket.md). `announce` sends a word to the client when it goes on. `quiet` is how long a "
        "backend that is left on purpose has to be silent first.",
    )

    def finish(self, scope: Scope) -> None:
        """Warn where it has no effect, since no WebSocket is carried there."""
        wish = scope.settings(WebSocket).wish
        if self.redial is None or "redial" not in scope.own.get(Redials, {}) or not scope.context & Context.LOCATION:
            return
        if wish is None or not wish.carries:
            scope.compilation.problems.warn(
                '"websocket_redial" has no effect without "websocket on" or "websocket auto"',
                self.origin("redial"),
                hint="write: websocket auto;",
            )


@variable(NOTE_VARIABLE)
def redial_note(request: Request) -> str:
    """What the backend is told of this client's earlier backends: the header of `websocket_redial`, from the first
    handshake on, and of `event_stream_redial`."""
    note = None if request.contexts is None else request.contexts.get(NOTE)
    if note is None and (request.location[Redials].redial is None or not asks(request) or request.parent is not None):
        return ""
    told = f'id="{request_id(request)}"'
    return f"{told}, count=0" if note is None else f"{told}, count={note.times}, reason={note.reason}"
