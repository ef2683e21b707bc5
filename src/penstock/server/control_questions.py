"""What is asked of a worker by its control socket, and who answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.modules.upstream.steering import SteeringRefused
from penstock.server import tunnel_list
from penstock.server.redial.move import move_tunnels
from penstock.server.steer import steer_all, told

if TYPE_CHECKING:
    from penstock.observe.selection import ToldTunnels
    from penstock.server.service import Service


async def answer(service: Service, question: dict[str, object]) -> ToldTunnels:
    """Do what is asked. Raises `ValueError` with words for whoever asks."""
    what = question.get("do")
    if what == "upstreams":
        return told(service)
    if what == "steer":
        try:
            number = await steer_all(service, question)
        except SteeringRefused as refused:
            return {"error": str(refused), "status": refused.status, "code": refused.code}
        return {"pid": os.getpid(), "open": len(service.loop.tunnels), "matched": 1, "number": number}
    if what == "move":
        return await move_tunnels(service, question)
    return await tunnel_list.answer(service.loop, question)
