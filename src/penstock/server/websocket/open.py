"""Whether a tunnel that opens is a WebSocket, and the conversation that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.websocket.quota_keys import COUNTED
from penstock.modules.websocket.websocket import asks
from penstock.server.websocket.session import Conversation
from penstock.websocket.extensions import compresses, reserved_bits

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.http.response import ResponseHead
    from penstock.server.tunnel.ending import Ending
    from penstock.websocket.terms import Terms


def _asked(request: Request) -> bool:
    return asks(request) and "sec-websocket-key" in request.head.fields


def _answered(head: ResponseHead) -> bool:
    """Whether the backend says that this is a WebSocket, whoever has written the handshake."""
    return "sec-websocket-accept" in head.fields and (head.joined("upgrade") or "").strip(" \t").lower() == "websocket"


def converse(ending: Ending, request: Request, answer: Answer, terms: Terms) -> Conversation | None:
    """Open the conversation, by the terms of its location; None where the backend switched to something else."""
    head = request.upstream_head
    if head is None or head.status != 101 or not (_asked(request) or _answered(head)):
        return None
    agreed = head.joined("sec-websocket-extensions")
    if terms.redial is not None and not agreed:
        from penstock.server.redial.origin import KeptHandshake
        from penstock.server.redial.session import RedialConversation

        origin = KeptHandshake(request.connection, request, head.joined("sec-websocket-protocol"))
        talk: Conversation = RedialConversation(terms, ending, origin)
    else:
        talk = Conversation(terms, ending, rsv=reserved_bits(agreed), compressed=compresses(agreed))
    if terms.reauth:
        from penstock.server.websocket.reauth import Reauth

        talk.ask_again(Reauth(talk, request, ending.service.loop))
    if request.contexts is not None and COUNTED in request.contexts:
        from penstock.server.websocket.quotas import begin_to_count, tallies_of

        ending.endings = [*(ending.endings or ()), *tallies_of(request)]
        begin_to_count(ending, talk)
    return talk
