"""Heads of proxied requests where `websocket on | auto` holds: one for handshakes, one for all the others.

Upgrade and Connection are ours to write there: what `proxy_set_header` says of them has no effect, be it the usual two
lines, a `map`, or nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.proxy.head import HeadTemplate, SetHeader
from penstock.modules.websocket.redial import NOTE_VARIABLE, Redials
from penstock.modules.websocket.websocket import WebSocket

if TYPE_CHECKING:
    from penstock.config.scope import Compilation, Scope

OURS = frozenset({"upgrade", "connection"})
NEEDED = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin")
"""What a handshake needs of its client's headers even with `proxy_pass_request_headers off`."""


def without_ours(headers: tuple[SetHeader, ...]) -> tuple[SetHeader, ...]:
    """Return the headers that say nothing of Upgrade and Connection."""
    return tuple(each for each in headers if each.name.lower() not in OURS)


def with_redial(scope: Scope, headers: tuple[SetHeader, ...]) -> tuple[SetHeader, ...]:
    """Return the headers of a location that redials, whose client may offer no extension, and not speak for us."""
    terms = scope.settings(Redials).redial
    wish = scope.settings(WebSocket).wish
    if terms is None or wish is None or not wish.carries:
        return headers
    template = scope.compilation.variables.template
    ours = (
        SetHeader(terms.header, template(f"${NOTE_VARIABLE}"), False),
        SetHeader("Sec-WebSocket-Extensions", template(""), True),
    )
    names = {each.name.lower() for each in ours}
    return (*(each for each in headers if each.name.lower() not in names), *ours)


class Heads:
    """The heads of one location."""

    __slots__ = ("handshake", "plain")

    def __init__(
        self, compilation: Compilation, headers: tuple[SetHeader, ...], version: int, *, pass_headers: bool
    ) -> None:
        template = compilation.variables.template
        others = without_ours(headers)
        self.plain = HeadTemplate(others, version, pass_headers=pass_headers)
        wanted = [
            SetHeader("Upgrade", template("websocket"), False),
            SetHeader("Connection", template("Upgrade"), False),
        ]
        if not pass_headers:
            given = {each.name.lower() for each in others}
            for name in NEEDED:
                if name.lower() not in given:
                    wanted.append(SetHeader(name, template("$http_" + name.lower().replace("-", "_")), False))
        self.handshake = HeadTemplate((*others, *wanted), 11, pass_headers=pass_headers)
