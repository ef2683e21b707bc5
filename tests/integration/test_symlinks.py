"""`disable_symlinks`, asked of nginx and of Penstock: which paths with links in them are refused, and in what words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.binary import each_of_both
from harness.proxy import Proxy

Start = Callable[..., Proxy]
CONF = """
    error_log error.log info;
    events { }
    http {
        server {
            listen 127.0.0.1:{port:front};
            root {dir}/www;
            location / { }
            location /on/ { alias {dir}/www/; disable_symlinks on; }
            location /owner/ { alias {dir}/www/; disable_symlinks if_not_owner; }
            location /from/ { alias {dir}/www/in/; disable_symlinks on from={dir}/www/in; }
            location /below/ { alias {dir}/link/; disable_symlinks on from=$document_root; }
            location /slash/ { alias {dir}/link/; disable_symlinks on from={dir}/link/; }
            location /other/ { alias {dir}/www/; disable_symlinks on from=/nowhere; }
            location /whole { alias {dir}/www/link.txt; disable_symlinks on from={dir}/www/link.txt; }
            location /gz/ { alias {dir}/www/; disable_symlinks on; gzip_static always; }
            location /try/ { alias {dir}/www/; disable_symlinks on; try_files $uri link.txt file.txt =404; }
            location /if/ {
                disable_symlinks on;
                if (-f {dir}/www/link.txt) { return 200 "link"; }
                if (-f {dir}/www/file.txt) { return 200 "file"; }
            }
            location /list/ { alias {dir}/www/; disable_symlinks on; autoindex on; index none.html; }
        }
    }
    """


def made(directory: Path) -> None:
    """Files and links, of which some belong to another user where that can be done."""
    www = directory / "www"
    (www / "in").mkdir(parents=True)
    (www / "file.txt").write_text("file")
    (www / "file.txt.gz").write_text("packed")
    (www / "in/index.html").write_text("index")
    (www / "in/file.txt").write_text("inner")
    (www / "in/link.txt").symlink_to("file.txt")
    (www / "in/up").symlink_to("../in")
    (www / "link.txt").symlink_to("file.txt")
    (www / "linked").symlink_to("in")
    (www / "linked.html").mkdir()
    (www / "linked.html/index.html").symlink_to("../file.txt")
    (www / "nowhere").symlink_to("nothing")
    (www / "zip.txt").write_text("zip")
    (www / "zip.txt.gz").symlink_to("file.txt.gz")
    (directory / "link").symlink_to("www")
    (www / "theirs.txt").symlink_to("file.txt")
    (www / "theirs").symlink_to("in")
    if os.geteuid() == 0:
        for name in ("theirs.txt", "theirs"):
            os.chown(www / name, 12345, 12345, follow_symlinks=False)


@pytest.fixture(params=["penstock", "nginx"], scope="module")
def front(request: pytest.FixtureRequest) -> Any:
    proxy = Proxy(CONF, *each_of_both(request.param), expect=[".*"])
    made(proxy.directory)
    with proxy:
        yield proxy


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/link.txt", 200, "file"),
        ("/on/file.txt", 200, "file"),
        ("/on/in/file.txt", 200, "inner"),
        ("/on/in//file.txt", 200, "inner"),
        ("/on/link.txt", 403, None),
        ("/on/nowhere", 403, None),
        ("/on/nothing", 404, None),
        ("/on/in/link.txt", 403, None),
        ("/on/in/", 200, "index"),
        ("/on/in", 301, None),
        ("/on/linked.html/", 403, None),
        ("/on/file.txt/more", 404, None),
        ("/owner/link.txt", 200, "file"),
        ("/owner/linked/file.txt", 200, "inner"),
        ("/owner/linked/", 200, "index"),
        ("/owner/nowhere", 404, None),
        ("/from/file.txt", 200, "inner"),
        ("/from/link.txt", 403, None),
        ("/below/file.txt", 200, "file"),
        ("/slash/file.txt", 200, "file"),
        ("/slash/link.txt", 403, None),
        ("/other/link.txt", 403, None),
        ("/other/file.txt", 200, "file"),
        ("/whole", 200, "file"),
        ("/gz/file.txt", 200, "packed"),
        ("/gz/zip.txt", 200, "zip"),
        ("/try/nothing", 200, "file"),
        ("/if/", 200, "file"),
        ("/list/in/", 200, None),
    ],
)
def test_which_are_refused(front: Proxy, path: str, status: int, body: str | None) -> None:
    answer = front.get(path)
    assert (answer.status, body if body is None else answer.text) == (status, body)


@pytest.mark.skipif(os.geteuid() != 0, reason="links of others take root")
@pytest.mark.parametrize("path", ["/owner/theirs.txt", "/owner/theirs/file.txt", "/owner/theirs/"])
def test_links_of_others(front: Proxy, path: str) -> None:
    assert front.get(path).status == 403


@pytest.mark.parametrize("path", ["/on/linked/file.txt", "/on/linked/", "/list/linked/", "/on/in/up/file.txt"])
def test_linked_folders(front: Proxy, path: str) -> None:
    assert front.get(path).status == 404


def test_what_the_log_says(front: Proxy) -> None:
    assert front.get("/on/link.txt").status == 403
    assert front.get("/try/again").status == 200
    log = front.error_log()
    path = f"{front.directory}/www/link.txt"
    assert f'openat() "{path}" failed (40: Too many levels of symbolic links)' in log
