"""More spellings of what the rules about captures, decoded paths and aliases look for."""

from pathlib import Path

import pytest

from penstock.cli.reading import read
from penstock.doctor.check import check
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.site import CheckedProgram
from penstock.process.startup.launch import Launch

MACHINE = Machine(descriptors=10_000, most_descriptors=1_048_576, ports=28_232, cores=2, root=True)
MAPS = r"""
map $http_user_agent $device { default desk; ~*(curl)/(\d) mobile; }
map $host $plain { default x; example.com y; }
map $plain $indirect { default $device; }
map $uri $from_uri { default ""; ~^/m/(?<rest>[^/]*)$ $rest; }
map $uri $no_lines { default ""; ~^/m/(?<rest>.*)$ $rest; }
"""


def found(tmp_path: Path, lines: str, rule: str, *, nginx: bool = False) -> int:
    path = tmp_path / "nginx.conf"
    path.write_text(f"events {{ }} http {{ {MAPS} server {{ listen 8080; {lines} }} }}")
    told = read(Launch(f"{tmp_path}/", str(path), ""), {})
    report = check(told.tree, told.sources, told.problems, target=CheckedProgram(nginx), machine=MACHINE)
    return sum(each.rule == rule for each in report.findings)


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("rewrite ^/a/(.*)$ /b/$device/$1 last;", 1),
        ("rewrite ^/a/(.*)$ /b/$1/$device last;", 1),
        ("rewrite ^/a/(.*)$ /b/${indirect}/${1} last;", 1),
        ("rewrite ^/a/(.*)$ /b/$plain/$1 last;", 0),
        ("location ~ ^/a/(.*)$ { set $kind $device; return 200 $1; }", 1),
        ("location ~ ^/a/(.*)$ { if ($device = mobile) { set $z 1; } proxy_pass http://127.0.0.1:1/$1; }", 1),
        ("location ~ ^/a/(.*)$ { set $page $1; set $kind $device; return 200 $page; }", 0),
        ("location ~ ^/a(.*)$ { proxy_pass http://127.0.0.1; proxy_set_header A $1; proxy_set_header B $device; }", 1),
        ("location ~ ^/a(.*)$ { proxy_pass http://127.0.0.1; proxy_set_header A $1; proxy_set_header B $plain; }", 0),
        ("location ~ ^/a/(?<p>.*)$ { return 200 $device$p; }", 0),
        ("location ~ ^/a/(.*)$ { set $kind $device; rewrite ^/a/(.*)$ /c/$1 break; return 200 $1; }", 0),
    ],
)  # fmt: skip
def test_maps_that_take_groups_away(tmp_path: Path, lines: str, count: int) -> None:
    assert found(tmp_path, lines, "map-captures") == count


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("location / { return 301 https://$host$uri; }", 1),
        ("location / { return 301 https://$host${uri}; }", 1),
        ("location / { return https://$host$document_uri; }", 1),
        ("location / { return 301 https://$host$request_uri; }", 0),
        ("location / { return 200 $uri; }", 0),
        ("location / { add_header X-Path $uri; return 204; }", 1),
        ("location / { proxy_pass http://127.0.0.1:1$uri$is_args$args; }", 1),
        ("location / { proxy_pass http://127.0.0.1:1; proxy_set_header X-Path $uri; }", 1),
        ("location / { set $path $uri; proxy_pass http://127.0.0.1:1; proxy_set_header X-Path $path; }", 1),
        ("location ~ ^/a/([^/]*)/(.*)$ { return 302 /b/$1; }", 1),
        ("location ~ ^/a/([^/]*)/(.*)$ { return 302 /b/$2; }", 0),
        (r"location ~ ^/a/([^/\s]*)$ { return 302 /b/$1; }", 0),
        ("location ~ ^/a/(?<who>[^/]*)$ { add_header X-Who $who; return 204; }", 1),
        ("location / { rewrite ^/a/([^/]*)$ /b; proxy_pass http://127.0.0.1:1; proxy_set_header X-A $1; }", 1),
        ("location / { rewrite ^/a/([^/]*)$ https://x/$1 redirect; }", 0),
        ("location / { add_header X-From $from_uri; return 204; }", 1),
        ("location / { add_header X-From $no_lines; return 204; }", 0),
        ("location / { if ($uri ~ ^/c/([^/]+)) { return 302 /d/$1; } }", 1),
        ("location / { if ($request_uri ~ ^/c/([^/]+)) { return 302 /d/$1; } }", 0),
        ("location / { add_header X-Arg $arg_x; add_header X-Cookie $cookie_a; return 204; }", 0),
        ("error_page 404 =302 https://example.com$uri;", 1),
    ],
)
def test_decoded_paths_in_heads(tmp_path: Path, lines: str, count: int) -> None:
    assert found(tmp_path, lines, "decoded-variable", nginx=True) == count
    assert found(tmp_path, lines, "decoded-variable") == 0, "Penstock lets none of that out"


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("location /a { alias /srv/a/; }", 1),
        ("location ^~ /a { alias /srv/a/; }", 1),
        ("location /a/ { location /a/b { alias /srv/b/; } }", 1),
        ("location /a/ { alias /srv/a/; }", 0),
        ("location /a { alias /srv/a; }", 0),
        ("location = /a { alias /srv/a/index.html; }", 0),
        ("location ~ ^/a(.*)$ { alias /srv/a/$1; }", 1),
        ("location ~ ^/a(?<p>.+)$ { alias /srv/a/$p; }", 1),
        ("location ~ ^/a/(.*)$ { alias /srv/a/$1; }", 0),
        ("location ~ ^/a(.*)$ { alias /srv/a$1; }", 0),
        (r"location ~ ^/a([^.]*\.png)$ { alias /srv/a/$1; }", 0),
    ],
)
def test_aliases(tmp_path: Path, lines: str, count: int) -> None:
    assert found(tmp_path, lines, "alias-traversal") == count
