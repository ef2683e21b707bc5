"""A WebSocket that may be redialled, and goes to another process with its tunnel: its handshake is told, too.

There it belongs to the location of the same name at the same address, and is redialled as that wants.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.modules.proxy.proxy import Proxy
from penstock.modules.websocket.redial import Redials
from penstock.server.redial.origin import KeptHandshake
from penstock.server.redial.session import RedialConversation
from penstock.websocket.redial.states import JOINED
from penstock.websocket.terms import shared

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.server.tunnel.ending import Ending
    from penstock.server.websocket.session import Conversation
    from penstock.websocket.terms import Terms


def described_redial(talk: Conversation) -> dict[str, object] | None:
    """Tell what a redial needs; None where there will be none."""
    if not isinstance(talk, RedialConversation) or talk.bridge.state is not JOINED:
        return None
    origin = talk.origin.told()
    owed = talk.up.owed
    if origin is None:
        return None
    return {"origin": origin, "redials": talk.redials, "owed": None if owed is None else owed.decode("latin-1")}


def resumed_redial(told: dict[str, Any] | None, terms: Terms, ending: Ending, plan: Plan) -> RedialConversation | None:
    """Make the conversation that may be redialled of what another process told; None where it may not be, here. Raises
    `KeyError`, `TypeError` and `ValueError`."""
    if told is None:
        return None
    origin = KeptHandshake.received(told["origin"], ending.service, plan)
    rule = None if origin is None else origin.location[Redials].redial
    if origin is None or rule is None or origin.location[Proxy].target is None:
        return None
    talk = RedialConversation(shared(replace(terms, redial=rule)), ending, origin)
    talk.redials = told["redials"]
    talk.up.owed = None if told["owed"] is None else told["owed"].encode("latin-1")
    return talk
