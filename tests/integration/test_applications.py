"""Configurations in the shape that well-known applications are deployed in are accepted as they stand.

They stand in `tests/corpus/configs/applications`, in our own words: what goes into `http`, behind what a packaged
`nginx.conf` has there. Certificates, folders and ports are the test's.
"""

from pathlib import Path
from typing import Any

import pytest

from harness.backends import WebSocketEcho
from harness.proxy import Proxy

APPLICATIONS = Path(__file__).resolve().parents[1] / "corpus" / "configs" / "applications"
NAMES = sorted(path.stem for path in APPLICATIONS.glob("*.conf"))
PACKAGED = """
user root;
worker_processes auto;
worker_rlimit_nofile 1024;
events { worker_connections 1024; multi_accept on; use epoll; }
http {
    include mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                    '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
    access_log logs/access.log main;
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 4096;
    keepalive_timeout 65;
    gzip on;
    gzip_disable "msie6";
    include conf.d/*.conf;
}
"""
FILES = {
    "mime.types": "types { text/html html htm; text/css css; application/javascript js; image/svg+xml svg svgz; }",
    "proxy.conf": """
        client_body_buffer_size 128k;
        proxy_bind $server_addr;
        proxy_buffers 32 4k;
        proxy_connect_timeout 240;
        proxy_headers_hash_bucket_size 128;
        proxy_http_version 1.1;
        proxy_next_upstream error timeout http_502 http_503;
        proxy_read_timeout 240;
        proxy_redirect http:// $scheme://;
        proxy_send_timeout 240;
        proxy_cache_bypass $cookie_session;
        proxy_no_cache $cookie_session;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header Early-Data $ssl_early_data;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Method $request_method;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Real-IP $remote_addr;
    """,
    "htpasswd": "someone:{PLAIN}secret\n",
}
PORTS = {
    "socket-io": ("127.0.0.1:3001", "/socket.io/?EIO=4&transport=websocket"),
    "django-channels": ("unix:{dir}/daphne.sock", "/ws/chat/lobby/"),
    "streamlit": ("127.0.0.1:8501", "/app/_stcore/stream"),
    "gradio": ("127.0.0.1:7860", "/gradio-demo/queue/join"),
    "grafana-live": ("127.0.0.1:3000", "/grafana/api/live/ws"),
    "code-server": ("localhost:8080", "/stable"),
    "novnc": ("127.0.0.1:6080", "/websockify"),
    "phoenix-liveview": ("127.0.0.1:4000", "/live/websocket?vsn=2.0.0"),
    "action-cable": ("unix:{dir}/puma.sock", "/cable"),
    "signalr": ("127.0.0.1:5000", "/hubroute?id=1"),
    "n8n": ("127.0.0.1:5678", "/rest/push"),
    "gitea": ("127.0.0.1:3000", "/git/user/events"),
}
"""Where an application's backend is in its configuration, and a path of its WebSocket."""


def options(authority: Any, text: str) -> dict[str, Any]:
    """What a configuration needs around it."""
    pair = authority.issue("localhost")
    return {
        "files": {**FILES, "conf.d/application.conf": text},
        "values": {"certificate": pair.certificate, "key": pair.key},
    }


def text_of(name: str) -> str:
    return (APPLICATIONS / f"{name}.conf").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_accepted(proxy: Any, authority: Any, name: str) -> None:
    got = proxy.check(PACKAGED, **options(authority, text_of(name)))
    assert got.code == 0, got.output
    assert "unknown" not in got.output


@pytest.mark.parametrize("name", PORTS)
def test_a_websocket_passes(proxy: Any, authority: Any, name: str) -> None:
    from websockets.sync.client import connect

    there, target = PORTS[name]
    text = text_of(name)
    assert there in text
    with WebSocketEcho() as backend:
        text = text.replace(there, f"127.0.0.1:{backend.port}")
        if name in ("socket-io", "signalr"):  # their other servers are not there
            text = text.replace("127.0.0.1:3002", "127.0.0.1:3002 down").replace(":5002", ":5002 down")
        front: Proxy = proxy(PACKAGED, **options(authority, text))
        with connect(front.url(target, "ws", "front")) as client:
            for message in ("hello", b"\0\xff", "x" * 70_000):
                client.send(message)
                assert client.recv(timeout=20) == message
        assert len(backend.handshakes) == 1
