"""What nginx refuses is refused in the same words: targets without a port, sizes that do not go together, directives in
a wrong place. nginx is asked as well where there is one."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.binary import load_stream, reference
from harness.site import compiled
from penstock.config.errors import ConfigFailed

LEVELS = {
    "main": "{} events {{ }}",
    "http": "events {{ }} http {{ {} server {{ listen 127.0.0.1:18999; }} }}",
    "alone": "events {{ }} http {{ {} }}",
    "server": "events {{ }} http {{ server {{ listen 127.0.0.1:18999; {} }} }}",
    "location": "events {{ }} http {{ server {{ listen 127.0.0.1:18999; location / {{ {} }} }} }}",
    "stream_server": "events {{ }} stream {{ server {{ listen 127.0.0.1:18999; {} }} }}",
    "stream_upstream": "events {{ }} stream {{ upstream u {{ {} }} server {{ listen 127.0.0.1:18999; return x; }} }}",
}
LARGEST = 'must be equal to or greater than the maximum of the value of "{0}_buffer_size" and one of the "{0}_buffers"'
POOLS = 'the "large_client_header_buffers" size must be equal to or greater than "connection_pool_size"'

REFUSED = [
    ("location", "fastcgi_pass 10;", 'no port in upstream "10"'),
    ("location", "fastcgi_pass [::1];", 'no port in upstream "[::1]"'),
    ("location", "fastcgi_pass nowhere.invalid;", 'no port in upstream "nowhere.invalid"'),
    ("location", "uwsgi_pass suwsgi://127.0.0.1;", 'no port in upstream "127.0.0.1"'),
    ("location", "scgi_pass localhost;", 'no port in upstream "localhost"'),
    ("location", "grpc_pass grpcs://localhost;", 'no port in upstream "localhost"'),
    ("location", "memcached_pass 127.0.0.1; set $memcached_key a;", 'no port in upstream "127.0.0.1"'),
    ("stream_server", "proxy_pass localhost;", 'no port in upstream "localhost"'),
    ("stream_upstream", "server 10;", 'no port in upstream "10"'),
    ("stream_upstream", "server localhost;", 'no port in upstream "localhost"'),
    ("stream_upstream", "server [::1];", 'no port in upstream "[::1]"'),
    ("location", "fastcgi_pass 10:1/x;", 'invalid host in upstream "10:1/x"'),
    ("location", "uwsgi_pass uwsgi://10:1/;", 'invalid host in upstream "10:1/"'),
    ("location", "scgi_pass scgi://10:1;", 'invalid host in upstream "scgi://10:1"'),
    ("location", "grpc_pass grpc://10:1/x;", 'invalid host in upstream "10:1/x"'),
    ("location", "grpc_pass http://10:1;", 'invalid host in upstream "http://10:1"'),
    *(
        ("location", f"{name}_temp_file_write_size 1k;", f'"{name}_temp_file_write_size" {LARGEST.format(name)}')
        for name in ("proxy", "fastcgi", "uwsgi", "scgi")
    ),
    ("http", "connection_pool_size 16k;", POOLS),
    ("server", "large_client_header_buffers 4 511;", POOLS),
    ("server", "connection_pool_size 100;", "the pool size must be no less than 112"),
    ("location", "limit_rate off;", "invalid value"),
    ("location", "limit_rate_after x;", "invalid value"),
    ("location", "uwsgi_limit_rate x;", "invalid value"),
    ("http", "mp4 off;", "not "),
    ("main", "image_filter off;", "not allowed here"),
    ("location", "geoip_proxy_recursive off;", "not allowed here"),
    ("main", "lock_file a { }", 'directive "lock_file" is not terminated by ";"'),
    ("http", "postpone_output 1k { }", 'directive "postpone_output" is not terminated by ";"'),
]
TAKEN = [
    ("location", "fastcgi_pass unix:/tmp/x:/y;"),
    ("location", "grpc_pass unix:/tmp/x:/y;"),
    ("location", "proxy_pass http://10;"),
    ("stream_server", "proxy_pass unix:/tmp/x:/y;"),
    ("stream_upstream", "server unix:/tmp/x;"),
    ("location", "proxy_temp_file_write_size 8k;"),
    ("server", "connection_pool_size 256; large_client_header_buffers 4 300;"),
    (
        "alone",
        "large_client_header_buffers 4 300; server { listen 127.0.0.1:18999; large_client_header_buffers 4 8k; }",
    ),
    ("location", "limit_rate $uri;"),
    ("location", "post_action x;"),
]
BUILT_IN_LATER = re.compile(r"image_filter|geoip_proxy_recursive")
"""Modules that an nginx loads, or has not."""


def mistakes_of_nginx(level: str, line: str, folder: Path) -> str | None:
    """What nginx has against it, "" if nothing; None where there is none to ask."""
    found = reference()
    if found is None or (level.startswith("stream") and not load_stream()) or BUILT_IN_LATER.search(line):
        return None
    path = folder / "asked.conf"
    own = f"{load_stream() if level.startswith('stream') else ''} pid {folder}/pid; error_log {folder}/error.log; "
    path.write_text(own + LEVELS[level].format(line))
    done = subprocess.run(
        [*found.command, "-t", "-c", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stderr if done.returncode else ""


def mistakes(level: str, line: str, folder: Path) -> str:
    try:
        compiled(LEVELS[level].format(line), folder)
    except ConfigFailed as failed:
        return "; ".join(each.message for each in failed.problems if each.level == "emerg")
    return ""


@pytest.mark.parametrize(("level", "line", "message"), REFUSED)
def test_refused(tmp_path: Path, level: str, line: str, message: str) -> None:
    assert message in mistakes(level, line, tmp_path)
    theirs = mistakes_of_nginx(level, line, tmp_path)
    assert theirs is None or message.replace("invalid value", "directive invalid value") in theirs


@pytest.mark.parametrize(("level", "line"), TAKEN)
def test_taken(tmp_path: Path, level: str, line: str) -> None:
    assert mistakes(level, line, tmp_path) == ""
    assert not mistakes_of_nginx(level, line, tmp_path)


def test_a_group_may_have_been_meant(tmp_path: Path) -> None:
    level = LEVELS["location"].replace("http {{", "http {{ upstream backend {{ server 127.0.0.1:1; }}")
    with pytest.raises(ConfigFailed) as failed:
        compiled(level.format("fastcgi_pass bakend;"), tmp_path)
    (problem,) = failed.value.problems
    assert problem.message == 'no port in upstream "bakend"'
    assert 'did you mean the upstream "backend"' in str(problem.hint)
