"""A WebSocket session stays at its server: the cookie comes with the 101, and reconnecting brings it back."""

from typing import Any

import pytest
from websockets.sync.client import connect

from conftest import Launcher
from harness.backends import WebSocketEcho

CONFIGURATION = """
events {}
http {
    upstream app { zone app 64k; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; sticky cookie at path=/; }
    upstream learned { server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two};
                       sticky learn create=$arg_s lookup=$arg_s zone=sessions:64k; }
    server {
        listen 127.0.0.1:{port:front};
        add_header X-At $upstream_addr always;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        location /learned { proxy_pass http://learned; }
        location / { proxy_pass http://app; }
    }
}
"""


@pytest.fixture
def at(proxy: Launcher) -> Any:
    with WebSocketEcho() as one, WebSocketEcho() as two:
        running = proxy(CONFIGURATION, ports={"one": one.port, "two": two.port})
        yield f"ws://127.0.0.1:{running.ports['front']}"


def test_the_cookie_of_the_handshake_leads_back(at: str) -> None:
    with connect(f"{at}/") as first:
        headers = first.response.headers  # type: ignore[union-attr]
        cookie, server = headers["Set-Cookie"], headers["X-At"]
        assert cookie.startswith("at=") and cookie.endswith("; path=/")
        for _ in range(4):
            with connect(f"{at}/", additional_headers={"Cookie": cookie.partition(";")[0]}) as again:
                again.send("here")
                assert again.recv() == "here"
                assert again.response.headers["X-At"] == server  # type: ignore[union-attr]


def test_a_session_is_known_while_its_first_tunnel_lives(at: str) -> None:
    with connect(f"{at}/learned?s=abc") as first:
        server = first.response.headers["X-At"]  # type: ignore[union-attr]
        for _ in range(4):
            with connect(f"{at}/learned?s=abc") as again:
                assert again.response.headers["X-At"] == server  # type: ignore[union-attr]
