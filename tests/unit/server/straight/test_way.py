"""Which locations have a straight way."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.server.straight.way import way_through

STRAIGHT = [
    "proxy_pass http://127.0.0.1:1;",
    "proxy_pass http://127.0.0.1:1/else; proxy_set_header Host $host; add_header X-A b;",
    "proxy_pass http://127.0.0.1:1; allow 10.0.0.0/8; deny all; websocket auto;",
    "proxy_pass http://127.0.0.1:1; gzip on; event_stream on; websocket_ping 20s;",
    "proxy_pass https://$host; proxy_cache c; proxy_method POST;",
    "fastcgi_pass 127.0.0.1:1; fastcgi_cache c; fastcgi_cache_key $uri;",
]
ZONES = "proxy_cache_path %s/c keys_zone=c:1m;"


@pytest.mark.parametrize("inside", [*STRAIGHT, "return 200;", "proxy_pass http://127.0.0.1:1; internal;"])
def test_plain_locations_have_one(inside: str, tmp_path: Path) -> None:
    text = f"events {{ }} http {{ {ZONES % tmp_path} server {{ listen 127.0.0.1:8; location / {{ {inside} }} }} }}"
    server = compiled(text, tmp_path).servers[0]
    assert server.locations is not None
    way = way_through(server, server.locations.all[0])
    assert (way is not None) == (inside in STRAIGHT)
