"""Which times a directive takes: whole seconds know months and years, milliseconds do not. Penstock is asked, and nginx
where there is one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.binary import load_stream, nginx, stream_module
from harness.site import compiled
from penstock.config.errors import ConfigFailed

HTTP = "events { } http { %s server { listen 127.0.0.1:18999; } }"
GROUP = "events { } http { upstream u { server 127.0.0.1:1; %s } server { listen 127.0.0.1:18999; } }"
STREAM = "LOAD events { } stream { %s server { listen 127.0.0.1:18999; proxy_pass 127.0.0.1:1; } }"
WHOLE = [
    (HTTP, "ssl_session_timeout %s;"),
    (HTTP, "keepalive_timeout 10 %s;"),
    (HTTP, "userid_expires %s;"),
    (HTTP, "expires %s;"),
    (HTTP, "expires modified +%s;"),
    (HTTP, "resolver 127.0.0.1 valid=%s;"),
    (HTTP, "open_file_cache max=10 inactive=%s;"),
    (HTTP, "open_file_cache_valid %s;"),
    (HTTP, "proxy_cache_valid %s;"),
    (HTTP, "proxy_cache_path DIR/kept keys_zone=x:1m inactive=%s;"),
    (GROUP, "server 127.0.0.1:2 fail_timeout=%s;"),
    (STREAM, "ssl_session_timeout %s;"),
    (STREAM, "resolver 127.0.0.1 valid=%s;"),
]
FINE = [
    (HTTP, "keepalive_timeout %s;"),
    (HTTP, "keepalive_time %s;"),
    (HTTP, "client_header_timeout %s;"),
    (HTTP, "send_timeout %s;"),
    (HTTP, "proxy_read_timeout %s;"),
    (HTTP, "proxy_cache_lock_age %s;"),
    (HTTP, "proxy_next_upstream_timeout %s;"),
    (HTTP, "proxy_cache_path DIR/kept keys_zone=x:1m manager_sleep=%s;"),
    (HTTP, "auth_delay %s;"),
    (HTTP, "resolver_timeout %s;"),
    (HTTP, "access_log DIR/a.log combined buffer=4k flush=%s;"),
    (GROUP, "keepalive_timeout %s;"),
    (STREAM, "proxy_timeout %s;"),
]
LONG, SHORT = ("1M", "1y", "1y1M2w3d"), ("500ms", "1h1m1s1ms")


def taken(text: str, folder: Path) -> bool:
    try:
        compiled(text, folder)
    except ConfigFailed:
        return False
    return True


def texts(lines: list[tuple[str, str]], values: tuple[str, ...], folder: Path) -> Iterator[str]:
    for around, line in lines:
        for value in values:
            yield (around % line % value).replace("DIR", str(folder)).replace("LOAD", load_stream())


@pytest.mark.parametrize(
    ("lines", "values", "wanted"),
    [
        (WHOLE, LONG, True),
        (WHOLE, SHORT, False),
        (FINE, LONG, False),
        (FINE, SHORT, True),
        (WHOLE + FINE, ("3w", "90"), True),
    ],
)
def test_units(lines: list[tuple[str, str]], values: tuple[str, ...], wanted: bool, tmp_path: Path) -> None:
    assert [text for text in texts(lines, values, tmp_path) if taken(text, tmp_path) is not wanted] == []


@pytest.mark.parametrize("lines", [WHOLE, FINE], ids=["whole", "fine"])
def test_nginx_takes_the_same(lines: list[tuple[str, str]], tmp_path: Path) -> None:
    if stream_module() is None:
        lines = [line for line in lines if line[0] is not STREAM]
    path = tmp_path / "nginx.conf"
    differ = []
    for text in texts(lines, LONG[:2] + SHORT[:1], tmp_path):
        path.write_text(f"pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; {text}")
        command = [*nginx().command, "-t", "-c", str(path)]
        theirs = subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
        if theirs is not taken(text, tmp_path):
            differ.append((text, theirs))
    assert differ == []
