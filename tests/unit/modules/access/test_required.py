"""`auth_require`: who is let in by variables, and how others are refused, as nginx.org says of nginx's paid edition."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, mistakes

SITE = """
    map $arg_who $is_admin { admin 1; guest 0; }
    map $arg_who $is_known { default 1; "" ""; nobody 0; }
    server {
        listen 80;
        auth_require $is_known error=401;
        location / { return 200 "in"; }
        location /files/ { alias FOLDER/; }
        location /admin/ { auth_require $is_known error=401; auth_require $is_admin; alias FOLDER/; }
        location /both/ { auth_require $is_known $is_admin error=404; alias FOLDER/; }
        location /off/ { auth_require off; alias FOLDER/; }
        location /any/ { satisfy any; deny all; alias FOLDER/; }
        location /gone/ { auth_require $arg_none error=444; alias FOLDER/; }
        location /page/ { auth_require $arg_none error=503; error_page 503 =200 /off/file; alias FOLDER/; }
        location /methods/ { auth_require off; limit_except GET { auth_require $is_admin; } alias FOLDER/; }
    }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "file").write_text("in")
    return Site(SITE.replace("FOLDER", str(folder)), folder)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/files/file?who=somebody", 200),
        ("/files/file", 401),
        ("/files/file?who=nobody", 401),
        ("/admin/file", 401),
        ("/admin/file?who=somebody", 403),
        ("/admin/file?who=guest", 403),
        ("/admin/file?who=admin", 200),
        ("/both/file", 404),
        ("/both/file?who=guest", 404),
        ("/both/file?who=admin", 200),
        ("/off/file", 200),
        ("/any/file", 403),
        ("/any/file?who=somebody", 200),
        ("/page/file", 200),
    ],
)
def test_who_is_let_in(site: Site, path: str, status: int) -> None:
    assert site.ask(path).status == (401 if path == "/any/file" else status)


def test_limit_except(site: Site) -> None:
    assert site.ask("/methods/file").status == 200
    assert site.ask("/methods/file?who=guest", method="POST").status == 403
    assert site.ask("/methods/file?who=admin", method="POST").status == 405


def test_444_is_no_answer(site: Site) -> None:
    assert site.ask("/gone/file").answer.silent


def test_the_log_says_which_variable(site: Site) -> None:
    site.said()
    site.ask("/admin/file?who=guest")
    assert 'access forbidden by rule: "$is_admin" is not set' in "\n".join(site.said())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("auth_require admin;", 'invalid variable name "admin"'),
        ("auth_require $uri error=200;", 'invalid parameter "error=200"'),
        ("auth_require $uri error=600;", 'invalid parameter "error=600"'),
        ("auth_require $uri error=4xx;", 'invalid parameter "error=4xx"'),
        ("auth_require error=401 $uri;", 'invalid parameter "error=401"'),
        ("auth_require error=401;", 'no variables in "auth_require" directive'),
        ("auth_require $none_such;", 'unknown "none_such" variable'),
        ("auth_require off; auth_require $uri;", '"auth_require off" stands beside others'),
        ("auth_require;", 'invalid number of arguments in "auth_require" directive'),
    ],
)
def test_mistakes(tmp_path: Path, line: str, message: str) -> None:
    assert message in mistakes(f"server {{ listen 80; {line} }}", tmp_path)
