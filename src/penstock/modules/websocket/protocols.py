"""Which subprotocols may be spoken through here: `websocket_protocols`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive, phase
from penstock.http.errors import excerpt
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.websocket.websocket import asks, has_refused, refuse
from penstock.observe.errorlog import ERROR
from penstock.plan import phases

MODULE = "websocket_protocols"

HEADER = "sec-websocket-protocol"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Protocols:
    """A `websocket_protocols` directive: whole names, and beginnings of names that were written with a `*`."""

    names: frozenset[str]
    beginnings: tuple[str, ...]
    missing: bool

    def admit(self, name: str) -> bool:
        """Return whether a subprotocol may be offered to the backend. Names are case-sensitive."""
        return name in self.names or name.startswith(self.beginnings)

    def __str__(self) -> str:
        return " ".join((*sorted(self.names), *(f"{each}*" for each in self.beginnings)))


def _protocols(call: Call) -> Protocols | None:
    if [word.text for word in call.args] == ["off"]:
        return None
    names: set[str] = set()
    beginnings: list[str] = []
    missing = True
    for word in call.args:
        text = word.text
        if text in ("missing=allow", "missing=deny"):
            missing = text == "missing=allow"
        elif not _NAME.fullmatch(text) or "*" in text[:-1] or text == "*":
            raise call.fail(f'invalid subprotocol "{text}"', word, hint="a name, or its beginning and a *")
        elif text.endswith("*"):
            beginnings.append(text[:-1])
        else:
            names.add(text)
    if not (names or beginnings):
        raise call.fail(f'"{call.name}" lists no subprotocol', hint="for example: graphql-transport-ws mqtt")
    return Protocols(frozenset(names), tuple(beginnings), missing)


class WebSocketProtocols(Settings):
    """A handshake that offers none of these gets 403; of several, the backend sees those that are listed."""

    protocols: Protocols | None = directive(
        "websocket_protocols",
        where=HTTP_LEVELS,
        takes=custom(_protocols, most=None, syntax="name ... [missing=allow|deny] | off"),
        shown="off",
        doc="Subprotocols that clients may offer (`graphql-transport-ws`, `v1.*`). Others are taken out of the "
        "handshake, and where none is left it gets 403. Offering none at all is fine unless `missing=deny`.",
    )

    @phase(phases.PREACCESS, when=lambda self: self.protocols is not None)
    def check(self, request: Request) -> Outcome:
        """Take out what is not listed; refuse where nothing is left."""
        protocols = self.protocols
        assert protocols is not None
        if request.parent is not None or has_refused(request) or not asks(request):
            return None
        given = request.head.joined(HEADER)
        if given is None:
            if protocols.missing:
                return None
            return _refuse(request, "offers no subprotocol", protocols)
        offered = [name.strip(" \t") for name in given.split(",")]
        kept = [name for name in offered if protocols.admit(name)]
        if not kept:
            return _refuse(request, f"offers {excerpt(given)}", protocols)
        if len(kept) < len(offered):
            _offer(request, kept)
        return None

    def judge(self, request: Request, sent: str | None) -> Answer | None:
        """Refuse a handshake that goes out with other subprotocols, whoever has written them."""
        protocols = self.protocols
        if protocols is None or (sent is None and protocols.missing):
            return None
        names = [name.strip(" \t") for name in (sent or "").split(",")]
        if sent is not None and all(protocols.admit(name) for name in names):
            return None
        return _refuse(request, "offers no subprotocol" if sent is None else f"offers {excerpt(sent)}", protocols)


def _refuse(request: Request, what: str, protocols: Protocols) -> Answer:
    said = f"WebSocket handshake refused: it {what}, and websocket_protocols allows: {protocols}"
    return refuse(request, 403, "this subprotocol is not spoken here", said=said, level=ERROR)


def _offer(request: Request, names: list[str]) -> None:
    """Let the handshake offer these alone. The head is this request's own."""
    head = request.head
    value = ", ".join(names)
    others = [pair for pair in head.headers if pair[0].lower() != HEADER]
    spelled = next(name for name, _ in head.headers if name.lower() == HEADER)
    head.give([*others, (spelled, value)])
