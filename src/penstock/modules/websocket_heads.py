"""Heads of proxied requests where `websocket on | auto` holds: one for handshakes, one for all the others.

Upgrade and Connection are ours to write there: what `proxy_set_header` says of them has no effect, be it the usual two
lines, a `map`, or nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.proxy_head import HeadTemplate, SetHeader

if TYPE_CHECKING:
    from penstock.config.scope import Compilation

OURS = frozenset({"upgrade", "connection"})
NEEDED = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin")
"""What a handshake needs of its client's headers even with `proxy_pass_request_headers off`."""


class Heads:
    """The heads of one location."""

    __slots__ = ("handshake", "plain")

    def __init__(
        self, compilation: Compilation, headers: tuple[SetHeader, ...], version: int, *, pass_headers: bool
    ) -> None:
        template = compilation.variables.template
        others = tuple(each for each in headers if each.name.lower() not in OURS)
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
