"""`internal_redirect`: where a request goes on once it is let in, as nginx.org says of nginx's paid edition."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site

SITE = """
    map $arg_to $to { default $arg_to; none ""; }
    server {
        listen 80;
        internal_redirect /from-the-server;
        location = /from-the-server { return 200 "server"; }
        location /in/ { return 200 "$uri [$args]"; }
        location /named/ { internal_redirect @named; }
        location @named { internal; return 200 "named $uri [$args]"; }
        location /path/ { internal_redirect /in/other; }
        location /args/ { internal_redirect /in/other?b=$arg_a; }
        location /by/ { internal_redirect $to; alias FOLDER/; }
        location /denied/ { deny all; internal_redirect /in/other; }
        location /lost/ { internal_redirect @nowhere; }
        location /round/ { internal_redirect /round/and; }
        location /inner/ { internal; return 200 "inner"; }
        location /to-inner/ { internal_redirect /inner/x; }
        location /files/ { internal_redirect /in/x; location /files/nested/ { alias FOLDER/; } }
    }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "file").write_text("a file")
    return Site(SITE.replace("FOLDER", str(folder)), folder)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/nothing-else", "server"),
        ("/named/x?a=1", "named /named/x [a=1]"),
        ("/path/x?a=1", "/in/other []"),
        ("/args/x?a=1", "/in/other [b=1]"),
        ("/by/x?to=/in/there", "/in/there []"),
        ("/by/x?to=@named", "named /by/x [to=@named]"),
        ("/by/file?to=none", "a file"),
        ("/to-inner/", "inner"),
        ("/files/x", "/in/x []"),
        ("/files/nested/file", "a file"),
    ],
)
def test_where_it_goes_on(site: Site, path: str, text: str) -> None:
    answer = site.ask(path)
    assert (answer.status, answer.text) == (200, text)


@pytest.mark.parametrize(
    ("path", "status"), [("/denied/x", 403), ("/lost/x", 500), ("/round/x", 500), ("/inner/x", 404)]
)
def test_where_it_does_not(site: Site, path: str, status: int) -> None:
    assert site.ask(path).status == status


def test_no_path_leads_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("secret")
    go = "location / { } location /go { internal_redirect $arg_to; }"
    site = Site(f"server {{ listen 80; root {tmp_path}/root; {go} }}", tmp_path)
    for to in ("/../secret", "../secret", "/x/../../secret"):
        assert site.ask(f"/go?to={to}").status in (400, 403, 404), to
