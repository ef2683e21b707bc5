"""Whether a tunnel that opens is a WebSocket, and the conversation that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.websocket import asks
from penstock.server.conversation import Conversation
from penstock.websocket.extensions import compresses, reserved_bits

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.server.tunnel import Ending
    from penstock.websocket.terms import Terms


def converse(ending: Ending, request: Request, answer: Answer, terms: Terms) -> Conversation | None:
    """The conversation, by the terms of its location; None where the backend switched to something else."""
    head = request.upstream_head
    if head is None or head.status != 101 or not asks(request):
        return None
    if request.head.version < 20 and "sec-websocket-key" not in request.head.fields:
        return None
    agreed = head.joined("sec-websocket-extensions")
    talk = Conversation(terms, ending, rsv=reserved_bits(agreed), compressed=compresses(agreed))
    if terms.reauth:
        from penstock.server.reauth import Reauth

        talk.ask_again(Reauth(talk, request))
    return talk
