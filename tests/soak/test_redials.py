"""500 clients chat over two backends: of `websockets`, of npm's `ws` where that is here, and in Chromium. Each backend
is killed and started again 20 times: 0 disconnects. Each is left on purpose 10 times (`penstock drain --redial`):
nothing is lost at all."""

from __future__ import annotations

import os

import pytest

from harness.redial_clients import ws_is_missing
from integration.test_websocket_redial_restarts import moved, restarted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(1400),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak"),
]
PAGES = 50


def test_500_clients_and_40_restarts(proxy, browser) -> None:
    ws = 0 if ws_is_missing() else 100
    said, lost, redials = restarted(proxy, 450 - ws, 20, 0.5, browser, ws=ws, pages=PAGES)
    print(f"{said} messages, {lost} of them lost with a backend that had taken them, {redials} redials, 0 disconnects")
    assert redials >= 500 * 20


def test_500_clients_and_20_drains(proxy, browser) -> None:
    ws = 0 if ws_is_missing() else 100
    said, lost, redials = moved(proxy, 450 - ws, 20, 0.5, browser, ws=ws, pages=PAGES)
    print(f"{said} messages, {lost} of them lost, {redials} redials, 0 disconnects")
    assert lost == 0
    assert redials == 500 * 20 - 250
