"""500 clients chat over two backends. Each is killed and started again 20 times: 0 disconnects. Each is left on purpose
10 times (`penstock drain --redial`): nothing is lost at all."""

from __future__ import annotations

import asyncio
import os

import pytest

from harness.ports import free_port
from harness.proxy import in_http
from harness.redial_clients import Crowd, Restarted
from integration.test_websocket_redial_moves import command
from integration.test_websocket_redial_restarts import SITE, measured

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(1400),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak"),
]


def test_500_clients_and_40_restarts(proxy) -> None:
    said, lost, redials = measured(proxy, 500, 20, 0.5)
    print(f"{said} messages, {lost} of them lost with a backend that had taken them, {redials} redials, 0 disconnects")
    assert redials >= 500 * 20


def test_500_clients_and_20_drains(proxy) -> None:
    said, lost, redials = moved(proxy, 500, 20, 0.5)
    print(f"{said} messages, {lost} of them lost, {redials} redials, 0 disconnects")
    assert lost == 0
    assert redials == 500 * 20 - 250


def moved(proxy, clients: int, drains: int, pause: float) -> tuple[int, int, int]:
    """Messages said, lost, and redials, where the two backends are emptied by turns."""
    ports = {"one": free_port(), "two": free_port()}
    targets = [f"app/127.0.0.1:{port}" for port in ports.values()]

    async def main() -> tuple[int, int, int]:
        backends = Restarted(list(ports.values()))
        try:
            await asyncio.gather(backends.start(0), backends.start(1))
            front = await asyncio.to_thread(proxy, in_http(SITE), ports=ports)
            crowd = Crowd(f"ws://127.0.0.1:{front.port()}/", clients, pause)
            await crowd.hears()
            moves = clients // 2
            for number in range(drains):
                target = targets[number % 2]
                said = await command(front, "drain", target, "--redial", "--spread", "2s")
                assert f"{clients if number else moves} tunnels move" in said
                wanted = moves + clients * number
                await crowd.until(lambda wanted=wanted: sum(each.redials for each in crowd.clients) >= wanted)  # type: ignore[misc]
                await crowd.hears()
                await command(front, "upstreams", "set", target, "up")
            return await crowd.finish()
        finally:
            await backends.stop()

    return asyncio.run(main())
