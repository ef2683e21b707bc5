"""Clients chat over two real backends while both are killed and started again, and then left on purpose: none is
disconnected, and what was lost is explained. `tests/soak/test_redials.py` does it with many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from harness.ports import free_port
from harness.proxy import in_http
from harness.redial_clients import (
    AGAIN,
    SCRIPT,
    Crowd,
    Restarted,
    Scripted,
    chat,
    page_clients,
    ws_clients,
    ws_is_missing,
)
from integration.test_websocket_redial_moves import command

SITE = f"""
    upstream app {{ server 127.0.0.1:{{port:one}} max_fails=0; server 127.0.0.1:{{port:two}} max_fails=0; }}
    server {{
        listen 127.0.0.1:{{port:front}};
        websocket auto;
        location / {{ websocket_redial 60s tries=20 "announce=text:{AGAIN}"; proxy_pass http://app; }}
        location = /page.html {{ root {{dir}}; }}
    }}
"""
PAGE = f"<!doctype html><title>chat</title><script>{SCRIPT.read_text()}</script>"
Figures = tuple[int, int, int]
"""Messages said, lost, and redials."""


def test_nobody_is_disconnected(proxy) -> None:
    assert restarted(proxy, 12, 3, 0.01)[2] >= 12


def test_clients_of_the_package_ws(proxy) -> None:
    if reason := ws_is_missing():
        pytest.skip(reason)
    assert restarted(proxy, 0, 2, 0.01, ws=3)[2] >= 3
    said, lost, redials = moved(proxy, 0, 2, 0.01, ws=4, spread="200ms")
    assert (lost, redials) == (0, 6) and said


def test_clients_in_a_browser(proxy, browser) -> None:
    assert restarted(proxy, 0, 2, 0.01, browser, pages=3)[2] >= 3
    said, lost, redials = moved(proxy, 0, 2, 0.01, browser, pages=4, spread="200ms")
    assert (lost, redials) == (0, 6) and said


class Scene:
    """A proxy, and two backends that it leads to. `ws` and `pages` are how many clients there are of npm's `ws`, and in
    a page."""

    def __init__(self, proxy: Any, browser: Any, ws: int, pages: int) -> None:
        ports = {"one": free_port(), "two": free_port()}
        self.front = proxy(in_http(SITE), ports=ports, files={"page.html": PAGE})
        self.url = f"ws://127.0.0.1:{self.front.port()}/"
        self.backends = Restarted(list(ports.values()))
        self.targets = [f"app/127.0.0.1:{port}" for port in ports.values()]
        self._pages = page_clients(pages, browser.open(self.front.url("/page.html"))) if pages else None
        self._ws = ws

    def run(self, act: Any) -> Figures:
        """Do something while both backends run, with the clients that are written in JavaScript."""

        async def main() -> Figures:
            try:
                await asyncio.gather(self.backends.start(0), self.backends.start(1))
                others = [] if self._pages is None else [self._pages]
                if not self._ws:
                    return await act(others)  # type: ignore[no-any-return]
                async with ws_clients(self._ws) as more:
                    return await act([*others, more])  # type: ignore[no-any-return]
            finally:
                await self.backends.stop()

        return asyncio.run(main())


def restarted(
    proxy: Any, clients: int, restarts: int, pause: float, browser: Any = None, *, ws: int = 0, pages: int = 0
) -> Figures:
    """Kill each backend so often, and start it again."""
    scene = Scene(proxy, browser, ws, pages)
    return scene.run(lambda others: chat(scene.url, scene.backends, clients, restarts, pause, others))


def moved(
    proxy: Any,
    clients: int,
    drains: int,
    pause: float,
    browser: Any = None,
    *,
    ws: int = 0,
    pages: int = 0,
    spread: str = "2s",
) -> Figures:
    """Empty the two backends by turns, so often."""
    scene = Scene(proxy, browser, ws, pages)
    count = clients + ws + pages

    async def act(others: Sequence[Scripted]) -> Figures:
        crowd = Crowd(scene.url, clients, pause, others)
        await crowd.begin()
        for number in range(drains):
            target = scene.targets[number % 2]
            said = await command(scene.front, "drain", target, "--redial", "--spread", spread)
            assert f"{count if number else count // 2} tunnels move" in said
            wanted = count // 2 + count * number
            await crowd.until(lambda wanted=wanted: sum(each.redials for each in crowd.clients) >= wanted)  # type: ignore[misc]
            await crowd.hears()
            await command(scene.front, "upstreams", "set", target, "up")
        return await crowd.finish()

    return scene.run(act)
