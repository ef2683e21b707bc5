"""What is said about `upstream` and `proxy_...` lines that are wrong."""

import pytest

from harness.site import compiled, mistakes
from penstock.config.errors import ConfigFailed

GROUPS = "upstream backend { server 127.0.0.1:81; }"


def hint(text: str, tmp_path) -> str:
    with pytest.raises(ConfigFailed) as failed:
        compiled(f"events {{ }} http {{ {text} }}", tmp_path)
    (found,) = failed.value.problems
    return found.hint or ""


def at_location(text: str) -> str:
    return f"{GROUPS} server {{ listen 80; location / {{ {text} }} }}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("upstream a { }", "no servers are inside upstream"),
        ("upstream a { server b c; }", 'invalid parameter "c"'),
        ("upstream a { server 127.0.0.1 weight=0; }", 'invalid parameter "weight=0"'),
        ("upstream a { server 127.0.0.1:x; }", 'invalid port in upstream "127.0.0.1:x"'),
        ("upstream a { server host.invalid; }", 'host not found in upstream "host.invalid"'),
        ("upstream a { server 127.0.0.1; } upstream A { server 127.0.0.1; }", 'duplicate upstream "A"'),
        ("upstream a { server 127.0.0.1 backup; }", 'no servers in upstream "a"'),
        ("upstream a { keepalive x; server 127.0.0.1; }", 'invalid value "x" in "keepalive" directive'),
        ("upstream a { keepalive 1 global; server 127.0.0.1; }", 'invalid parameter "global"'),
        ("upstream a { keepalive 1; keepalive 2; server 127.0.0.1; }", '"keepalive" directive is duplicate'),
        (at_location("proxy_cache nosuch;"), '"proxy_cache" zone "nosuch" is unknown'),
        ("fastcgi_cache nosuch; server { listen 80; }", '"fastcgi_cache" zone "nosuch" is unknown'),
        (at_location("proxy_pass backend;"), "invalid URL prefix"),
        (at_location("proxy_pass ws://backend;"), "invalid URL prefix"),
        (at_location("proxy_pass http://backend:80;"), 'upstream "backend" may not have port 80'),
        (at_location("proxy_pass http://a:b;"), 'invalid port in upstream "a:b"'),
        (at_location("proxy_pass http://nosuch.invalid;"), 'host not found in upstream "nosuch.invalid"'),
        (at_location("proxy_pass http://backend; proxy_pass http://backend;"), "directive is duplicate"),
        (
            f"{GROUPS} server {{ listen 80; location ~ x {{ proxy_pass http://backend/; }} }}",
            '"proxy_pass" cannot have URI part in location given by regular expression',
        ),
        (
            f"{GROUPS} server {{ listen 80; location @x {{ proxy_pass http://backend/; }} }}",
            '"proxy_pass" cannot have URI part',
        ),
        (at_location("if ($args) { proxy_pass http://backend/; }"), '"proxy_pass" cannot have URI part'),
        (at_location("proxy_http_version 3;"), 'invalid value "3"'),
        (at_location("proxy_next_upstream http_200;"), 'invalid value "http_200"'),
        (at_location("proxy_redirect default;"), 'should be placed after the "proxy_pass" directive'),
        (at_location("proxy_redirect on;"), 'invalid parameter "on"'),
        (at_location("proxy_cookie_path on;"), 'invalid parameter "on"'),
        (at_location("proxy_bind nowhere;"), 'invalid address "nowhere"'),
        (at_location("proxy_buffers 1 8k;"), 'there must be at least 2 "proxy_buffers"'),
        (
            at_location("proxy_buffer_size 64k;"),
            '"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer',
        ),
        (
            at_location("proxy_max_temp_file_size 1;"),
            '"proxy_max_temp_file_size" must be equal to zero to disable temporary files usage',
        ),
        (at_location("proxy_ssl_verify on; proxy_pass https://backend;"), "no proxy_ssl_trusted_certificate"),
        (at_location("memcached_request_dynamic on;"), 'unknown directive "memcached_request_dynamic"'),
        (at_location("proxy_allow_upstream;"), 'invalid number of arguments in "proxy_allow_upstream"'),
    ],
)
def test_mistakes(text: str, words: str, tmp_path) -> None:
    assert words in "\n".join(mistakes(text, tmp_path))


def test_what_was_meant(tmp_path) -> None:
    assert 'did you mean the upstream "backend"' in hint(at_location("proxy_pass http://backand;"), tmp_path)
    assert '"backend"' in hint(at_location("proxy_pass http://upstream;"), tmp_path)
    assert "write http://backend" in hint(at_location("proxy_pass ws://backend;"), tmp_path)
    assert "http://backend:81" in hint(at_location("proxy_pass backend:81;"), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "upstream a { zone z 64k; server 127.0.0.1 weight=2 max_fails=3 fail_timeout=1m max_conns=9; }",
        "upstream a { server 127.0.0.1 route=r; server 127.0.0.1 drain; server [::1]:81 down; }",
        "upstream a { least_conn; keepalive 4 local; keepalive_time 1h; keepalive_requests 5; keepalive_timeout 5s; "
        "server unix:/run/a.sock; server 127.0.0.1:81 backup; }",
        at_location("proxy_pass http://$host:81/x;"),
        at_location("proxy_pass http://unix:/run/a.sock:/x/; proxy_redirect off;"),
        at_location("proxy_pass http://backend; proxy_cache off; proxy_cache_valid 1m; proxy_headers_hash_max_size 9;"),
        at_location("proxy_bind $remote_addr transparent;"),
        "proxy_buffer_size 64k; proxy_buffers 8 64k; " + at_location("proxy_pass http://backend;"),
    ],
)
def test_accepted(text: str, tmp_path) -> None:
    assert not mistakes(text, tmp_path)


def test_a_zone_that_is_unknown_is_named_once(tmp_path):
    two = "location /a { proxy_pass http://backend; } location /b { proxy_pass http://backend; }"
    said = mistakes(f"proxy_cache nosuch; {GROUPS} server {{ listen 80; {two} }}", tmp_path)
    assert said == ['"proxy_cache" zone "nosuch" is unknown']


@pytest.mark.parametrize("size", ["0 8k", "4 0", "x 8k", "4 x"])
def test_heads_need_room(size, tmp_path):
    assert mistakes(f"large_client_header_buffers {size};", tmp_path) == [
        'invalid value in "large_client_header_buffers" directive'
    ]
