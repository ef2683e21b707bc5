"""A handshake without the final slash of a location is redirected, and `check` says so where that may surprise."""

from __future__ import annotations

import json

import pytest

from penstock.doctor.finding import ERROR
from penstock.doctor.reports.report import as_json, as_text
from unit.doctor.test_rules_corpus import examined

WHOLE = """
events {{ }}
http {{
    server {{
        listen 127.0.0.1:8080;
        {}
    }}
}}
"""
PASSED = (
    "{ proxy_pass http://127.0.0.1:3000; proxy_http_version 1.1; proxy_read_timeout 1h; proxy_set_header Host $host; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }'
)


@pytest.mark.parametrize(
    ("locations", "paths"),
    [
        ("location /ws/ %s", ["/ws/"]),
        ("location ^~ /api/live/ %s", ["/api/live/"]),
        ("location /ws/ { websocket auto; proxy_pass http://127.0.0.1:3000; }", ["/ws/"]),
        ("location /ws/ %s location / { proxy_pass http://127.0.0.1:3001; }", ["/ws/"]),
        ("location /ws/ %s location /chat/ %s", ["/ws/", "/chat/"]),
        ("location /ws %s", []),
        ("location /ws/ %s location = /ws %s", []),
        ("location /ws/ %s location /ws %s", []),
        ("location ~ ^/ws/ %s", []),
        ("location = /ws/ %s", []),
        ("location /socket.io/ %s", []),
        ("location /pages/ %s", []),
        ("location / %s", []),
        ("location /ws/ { return 404; }", []),
    ],
)
def test_which(locations: str, paths: list[str]) -> None:
    text = WHOLE.format(locations.replace("%s", PASSED))
    _, report = examined("nginx.conf", {"nginx.conf": text})
    assert not [each for each in report.findings if each.severity is ERROR], as_text(report)
    assert list(report.redirected) == paths
    assert json.loads(as_json(report))["redirected"] == paths
    for path in paths:
        words = f'a handshake to "{path[:-1]}" is redirected (301) to location {path}, which no browser follows'
        assert words in as_text(report, None)
