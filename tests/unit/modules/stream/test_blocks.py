"""`stream` and its servers: what is compiled of them, and what is refused with advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.config.errors import ConfigFailed
from penstock.modules.release import release
from penstock.plan.location import SERVERS
from penstock.plan.plan import STREAM_PART


def wrong(text: str, folder: Path) -> list[str]:
    """What is wrong with the inside of `stream`: messages and advice."""
    try:
        plan = compiled(f"events {{ }} stream {{ {text} }}", folder)
    except ConfigFailed as failed:
        return [f"{problem.message} ({problem.hint})" for problem in failed.problems]
    return [problem.message for problem in plan.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server { proxy_pass 127.0.0.1:1; }", 'no "listen" is defined for server'),
        ("server { listen 127.0.0.1; }", 'no port in "127.0.0.1" of the "listen" directive'),
        ("server { listen 127.0.0.1:2 http2; }", 'invalid parameter "http2"'),
        ("server { listen 2; proxy_pass http://127.0.0.1:1; }", "a stream has no scheme: proxy_pass 127.0.0.1:1;"),
        ("server { listen 2; proxy_pass 127.0.0.1; }", 'no port in upstream "127.0.0.1"'),
        ("server { listen 2; location / { } }", '"location" directive is not allowed here'),
        ("upstream u { server 127.0.0.1:1; keepalive 2; }", '"keepalive" directive is not allowed here'),
        ("upstream u { server 127.0.0.1:1; ip_hash; }", '"ip_hash" directive is not allowed here'),
        ("server { listen 2; return $http_host; }", 'unknown "http_host" variable'),
        ("server { listen 2; access_log a.log; }", "log format is not specified"),
        ("geo $a { proxy 127.0.0.1; }", '"proxy" has no meaning here'),
        ("server { listen 2; pass example.com; }", 'no addresses in "example.com" of the "pass" directive'),
        ("server { listen 2; set a b; }", 'invalid variable name "a"'),
        ("server { listen 2; proxy_protocol v3; }", "it may be: off, on, v2"),
        ("server { listen 2 udp ssl; }", '"ssl" parameter is incompatible with "udp"'),
        ("server { listen 2 udp backlog=3; }", '"backlog" parameter is incompatible with "udp"'),
        ("server { listen 2 ssl; }", 'no "ssl_certificate" is defined'),
        ("server { listen 2; proxy_pass 127.0.0.1:1; proxy_ssl on; proxy_ssl_verify on; }", "no proxy_ssl_trusted"),
        ("server { listen 2; proxy_upload_rate 1x; }", 'invalid value "1x" in "proxy_upload_rate" directive'),
    ],
)
def test_refused(text: str, expected: str, tmp_path: Path) -> None:
    assert any(expected in told for told in wrong(text, tmp_path)), wrong(text, tmp_path)


def test_names_of_the_two_languages_do_not_meet(tmp_path: Path) -> None:
    """Groups, variables, formats and zones of HTTP and of streams may be called alike."""
    both = """
        upstream u {{ server 127.0.0.1:1; }}
        map {0} $a {{ default b; }}
        log_format f "$a";
        limit_conn_zone $remote_addr zone={1}:32k;
        server {{ listen {2}; {3} }}
    """
    http = both.format("$uri", "one", 81, "location / { proxy_pass http://u; }")
    stream = both.format("$protocol", "two", 82, "proxy_pass u;")
    plan = compiled(f"events {{ }} http {{ {http} }} stream {{ {stream} }}", tmp_path)
    assert [(listen.address, listen.stream) for listen in plan.listens] == [
        (("0.0.0.0", 81), False),
        (("0.0.0.0", 82), True),
    ]
    assert len(plan.servers) == len(plan.stream_servers) == 1
    release(plan)
    part = plan.shared.get(STREAM_PART)
    assert part is not None and part.get(SERVERS) == plan.stream_servers


def test_an_address_is_of_one_language(tmp_path: Path) -> None:
    text = "events { } http { server { listen 81; } } stream { server { listen 81; return a; } }"
    with pytest.raises(ConfigFailed) as failed:
        compiled(text, tmp_path)
    assert "a server of streams listens where one of HTTP does" in [each.message for each in failed.value.problems]


def test_a_block_without_servers_is_fine(tmp_path: Path) -> None:
    assert wrong("", tmp_path) == []
