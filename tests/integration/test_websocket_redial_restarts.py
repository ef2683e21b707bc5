"""Clients chat over two real backends while both are killed and started again: none is disconnected, and what was lost
is explained. `tests/soak/test_redials.py` does it with many."""

from __future__ import annotations

import asyncio

from harness.ports import free_port
from harness.proxy import in_http
from harness.redial_clients import AGAIN, Restarted, chat

SITE = f"""
    upstream app {{ server 127.0.0.1:{{port:one}} max_fails=0; server 127.0.0.1:{{port:two}} max_fails=0; }}
    server {{
        listen 127.0.0.1:{{port:front}};
        websocket auto;
        location / {{ websocket_redial 60s tries=20 "announce=text:{AGAIN}"; proxy_pass http://app; }}
    }}
"""


def test_nobody_is_disconnected(proxy) -> None:
    assert measured(proxy, 12, 3, 0.01)[2] >= 12


def measured(proxy, clients: int, restarts: int, pause: float) -> tuple[int, int, int]:
    """Messages said, lost, and redials."""
    ports = {"one": free_port(), "two": free_port()}
    front = proxy(in_http(SITE), ports=ports)

    async def main() -> tuple[int, int, int]:
        backends = Restarted(list(ports.values()))
        try:
            await asyncio.gather(backends.start(0), backends.start(1))
            return await chat(f"ws://127.0.0.1:{front.port()}/", backends, clients, restarts, pause)
        finally:
            await backends.stop()

    return asyncio.run(main())
