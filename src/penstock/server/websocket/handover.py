"""A WebSocket session that goes to another process with its tunnel: what it was, as plain values, and how it goes on
there."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from penstock.server.redial.carried import described_redial, resumed_redial
from penstock.server.websocket.session import Conversation
from penstock.websocket.terms import terms_of

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.server.tunnel.ending import Ending


def state_of(talk: Conversation) -> dict[str, Any]:
    """Tell all of it, for `resumed`; it has to be `portable`."""
    return {
        "terms": talk.terms.plain(),
        "compressed": talk.compressed,
        "rsv": talk.rsv,
        "up": talk.up.state(),
        "down": talk.down.state(),
        "pulses": talk.heart.state(),
        "close": (talk.close_code, talk.close_from),
        "until": None if talk.until == inf else talk.until,
        "redial": described_redial(talk),
    }


def resumed(state: dict[str, Any], ending: Ending, plan: Plan) -> Conversation:
    """Go on with what another process gave; `attach` it to its tunnel. Raises `KeyError`, `TypeError` and `ValueError`
    where the values are none that `state_of` tells."""
    terms = terms_of(state["terms"])
    talk = resumed_redial(state["redial"], terms, ending, plan) or Conversation(
        terms, ending, rsv=state["rsv"], compressed=state["compressed"]
    )
    talk.up.restore(state["up"])
    talk.down.restore(state["down"])
    talk.heart.restore(state["pulses"])
    talk.close_code, talk.close_from = state["close"]
    if state["until"] is not None:
        talk.until = state["until"]
    return talk
