"""DAV, asked of nginx and of Penstock: what becomes of files, and how mistakes are answered."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.binary import each_of_both
from harness.proxy import Proxy

CONF = """
    user root;
    worker_processes 1;
    events { }
    http {
        absolute_redirect off;
        client_body_temp_path {dir}/temp;
        client_max_body_size 100k;
        dav_methods PUT DELETE MKCOL COPY MOVE;
        server {
            listen 127.0.0.1:{port:front};
            root {dir}/www;
            location / { }
            location /alias/ { alias {dir}/www/other/; }
            location /full/ { create_full_put_path on; dav_access user:rw group:r all:r; }
            location /deep/ { min_delete_depth 3; }
            location /some/ { dav_methods PUT; dav_methods delete; }
            location /off/ { dav_methods off; }
            location /listed/ { autoindex on; }
        }
    }
    """


@pytest.fixture(params=["penstock", "nginx"], scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    proxy = Proxy(CONF, *each_of_both(request.param), expect=[".*"])
    (proxy.directory / "www").mkdir()
    with proxy:
        yield proxy


@pytest.fixture
def www(front: Proxy) -> Path:
    """The root, with what each test begins with."""
    folder = front.directory / "www"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("dir/sub", "other", "full", "deep/a", "some", "off", "listed", "empty"):
        (folder / name).mkdir(parents=True)
    for name in ("file", "dir/one", "dir/sub/two", "deep/one", "deep/a/two", "some/file", "off/file"):
        (folder / name).write_text(f"of {name}")
    (folder / "dir/link").symlink_to(front.directory / "nginx.conf")
    os.utime(folder / "dir/one", (1_700_000_000, 1_700_000_000))
    (folder / "dir/one").chmod(0o640)
    return folder


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def ask(front: Proxy, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return front.get(path, method=method, body=body, headers=sent).status


def test_put(front: Proxy, www: Path) -> None:
    answer = front.get("/new%20one", method="PUT", body=b"content")
    assert (answer.status, answer.header("Location"), answer.header("Content-Length")) == (201, "/new%20one", "0")
    assert (www / "new one").read_bytes() == b"content"
    assert stat.S_IMODE((www / "new one").stat().st_mode) == 0o600
    answer = front.get("/new%20one", method="PUT", body=b"x" * 90_000)
    assert (answer.status, answer.header("Content-Length"), answer.header("Location")) == (204, None, None)
    assert (www / "new one").stat().st_size == 90_000
    assert ask(front, "PUT", "/alias/it", b"there") == 201
    assert (www / "other/it").read_text() == "there"
    assert ask(front, "PUT", "/dated", b"x", Date="Thu, 01 Jan 2015 00:00:00 GMT") == 201
    assert (www / "dated").stat().st_mtime == 1420070400
    assert ask(front, "PUT", "/undated", b"x", Date="some day") == 201
    assert not [path for path in (front.directory / "temp").rglob("*") if path.is_file()]


def test_put_in_chunks_and_of_nothing(front: Proxy, www: Path) -> None:
    with front.client() as client:
        client.send("PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert client.response().status == 201
        client.send("PUT /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert client.response().status == 201
        client.send("PUT /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        client.send(b"ok")
        assert client.response().status == 201
        client.send("PUT /without HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 500
    assert [(www / name).read_text() for name in ("chunked", "nothing", "waits")] == ["abcde", "", "ok"]


def test_put_that_breaks_off_leaves_nothing(front: Proxy, www: Path) -> None:
    with front.client() as client:
        client.send("PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf")
        client.half_close()
        client.recv_all()
    assert (www / "file").read_text() == "of file"
    assert not [path for path in (front.directory / "temp").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/folder/", {}, 409),
        ("/dir", {}, 409),
        ("/file", {"Content_Range": "bytes 0-1/2"}, 501),
        ("/none/such/file", {}, 500),
        ("/file/below", {}, 500),
        ("/off/new", {}, 405),
        ("/large", {}, 413),
    ],
)
def test_put_that_is_refused(front: Proxy, www: Path, path: str, headers: dict[str, str], status: int) -> None:
    before = tree(www)
    body = b"x" * 200_000 if path == "/large" else b"x"
    assert ask(front, "PUT", path, body, **headers) == status
    assert tree(www) == before
    assert not [path for path in (front.directory / "temp").rglob("*") if path.is_file()]


def test_put_makes_folders_and_rights(front: Proxy, www: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert ask(front, "PUT", "/full/a/b/file", b"x") == 201
    assert stat.S_IMODE((www / "full/a/b/file").stat().st_mode) == 0o644
    assert stat.S_IMODE((www / "full/a").stat().st_mode) == 0o755 & ~mask
    assert ask(front, "MKCOL", "/full/c/") == 201
    assert stat.S_IMODE((www / "full/c").stat().st_mode) == 0o755 & ~mask
    assert ask(front, "MKCOL", "/made/") == 201
    assert stat.S_IMODE((www / "made").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("path", "headers", "status", "gone"),
    [
        ("/file", {}, 204, {"file"}),
        ("/file", {"Depth": "0"}, 204, {"file"}),
        ("/file", {"Depth": "infinity"}, 204, {"file"}),
        ("/file", {"Depth": "1"}, 400, set()),
        ("/file", {"Depth": "2"}, 400, set()),
        ("/dir/", {}, 204, {"dir", "dir/one", "dir/sub", "dir/sub/two", "dir/link"}),
        ("/dir/", {"Depth": "0"}, 400, set()),
        ("/dir", {}, 409, set()),
        ("/dir/link", {}, 204, {"dir/link"}),
        ("/none", {}, 404, set()),
        ("/file/", {}, 409, set()),
        ("/file/below", {}, 409, set()),
        ("/deep/one", {}, 409, set()),
        ("/deep/a/", {}, 409, set()),
        ("/deep/a/two", {}, 204, {"deep/a/two"}),
        ("/some/file", {}, 204, {"some/file"}),
        ("/off/file", {}, 405, set()),
    ],
)
def test_delete(front: Proxy, www: Path, path: str, headers: dict[str, str], status: int, gone: set[str]) -> None:
    before = tree(www)
    assert ask(front, "DELETE", path, **headers) == status
    assert before - tree(www) == gone
    assert (front.directory / "nginx.conf").exists(), "links are not followed"


@pytest.mark.parametrize(
    ("path", "status"), [("/made/", 201), ("/made", 409), ("/dir/", 405), ("/none/made/", 409), ("/some/made/", 405)]
)
def test_mkcol(front: Proxy, www: Path, path: str, status: int) -> None:
    before = tree(www)
    answer = front.get(path, method="MKCOL")
    assert answer.status == status
    assert tree(www) - before == ({"made"} if status == 201 else set())
    if status == 201:
        assert (answer.header("Location"), answer.header("Content-Length")) == ("/made/", "0")


@pytest.mark.parametrize("method", ["DELETE", "MKCOL", "COPY", "MOVE"])
def test_what_has_no_body(front: Proxy, www: Path, method: str) -> None:
    path = "/made/" if method == "MKCOL" else "/file"
    assert ask(front, method, path, b"body", Destination="/copy") == 415


COPIED = {"dir/one", "dir/sub", "dir/sub/two"}


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_files_go_elsewhere(front: Proxy, www: Path, method: str) -> None:
    assert ask(front, method, "/dir/one", Destination="/there") == 204
    assert (www / "there").read_text() == "of dir/one"
    assert stat.S_IMODE((www / "there").stat().st_mode) == 0o640
    assert (www / "there").stat().st_mtime == 1_700_000_000
    assert (www / "dir/one").exists() is (method == "COPY")
    assert ask(front, method, "/file", Destination="/th%65re") == 204
    assert (www / "there").read_text() == "of file"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_folders_go_elsewhere(front: Proxy, www: Path, method: str) -> None:
    answer = front.get("/dir/", method=method, headers={"Destination": "/there/"})
    assert (answer.status, answer.header("Content-Length")) == (201, "0")
    assert {path.replace("there", "dir") for path in tree(www) if path.startswith("there/")} >= COPIED
    assert (www / "there/sub/two").read_text() == "of dir/sub/two"
    assert (www / "dir").exists() is (method == "COPY")
    assert ask(front, method, "/there/", Destination="/other/") == 201
    assert (www / "other/one").read_text() == "of dir/one"


def test_links_in_a_folder_lead_nowhere(front: Proxy, www: Path) -> None:
    if front.binary.reference:
        pytest.skip("nginx goes where a link to a folder leads, and removes what is there")
    outside = front.directory / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (www / "dir/out").symlink_to(outside)
    assert ask(front, "COPY", "/dir/", Destination="/there/") == 201
    assert {path for path in tree(www) if path.startswith("there/")} == {"there/one", "there/sub", "there/sub/two"}
    assert ask(front, "DELETE", "/dir/") == 204
    assert not (www / "dir").exists()
    assert (outside / "kept").exists()


def test_within_an_alias(front: Proxy, www: Path) -> None:
    (www / "other/a").write_text("a")
    assert ask(front, "COPY", "/alias/a", Destination="/alias/b") == 204
    assert (www / "other/b").read_text() == "a"
    assert ask(front, "COPY", "/alias/a", Destination="/x") == 400


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/file", {}, 400),
        ("/file", {"Destination": "copy"}, 400),
        ("/file", {"Destination": ""}, 400),
        ("/file", {"Destination": "http://elsewhere/copy"}, 400),
        ("/file", {"Destination": "https://127.0.0.1/copy"}, 400),
        ("/file", {"Destination": "http://127.0.0.1"}, 400),
        ("/file", {"Destination": "/../copy"}, 400),
        ("/file", {"Destination": "/a/%2e%2e/%2e./copy"}, 400),
        ("/file", {"Destination": "/a/.."}, 400),
        ("/file", {"Destination": "/copy%00"}, 400),
        ("/file", {"Destination": "/copy/"}, 409),
        ("/dir/", {"Destination": "/copy"}, 409),
        ("/dir", {"Destination": "/copy"}, 400),
        ("/file", {"Destination": "/file"}, 403),
        ("/file", {"Destination": "//file"}, 403),
        ("/dir/", {"Destination": "/dir/"}, 403),
        ("/dir/", {"Destination": "/dir/sub/in/"}, 403),
        ("/dir/sub/", {"Destination": "/dir/"}, 403),
        ("/file", {"Destination": "/dir"}, 409),
        ("/file", {"Destination": "/dir/one", "Overwrite": "F"}, 412),
        ("/file", {"Destination": "/copy", "Overwrite": "x"}, 400),
        ("/file", {"Destination": "/copy", "Depth": "1"}, 400),
        ("/file", {"Destination": "/copy", "Depth": "x"}, 400),
        ("/none", {"Destination": "/copy"}, 404),
        ("/file", {"Destination": "/file/below"}, 404),
        ("/dir/", {"Destination": "/none/below/"}, 404),
    ],
)
def test_what_goes_nowhere(
    front: Proxy, www: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    if front.binary.reference and status == 403:
        pytest.skip("nginx refuses that in newer versions; 1.22 copies a folder into itself until names are too long")
    before, outside = tree(www), {each.name for each in front.directory.iterdir()}
    assert ask(front, method, path, **headers) == status
    assert tree(www) == before
    assert {each.name for each in front.directory.iterdir()} == outside


def test_a_whole_destination(front: Proxy, www: Path) -> None:
    with front.client() as client:
        client.send(
            "COPY /file HTTP/1.1\r\nHost: localhost:1\r\nDestination: http://localhost:1/copy?x\r\nOverwrite: f\r\n\r\n"
        )
        assert client.response().status == 204
    assert (www / "copy").read_text() == "of file"


def test_a_copy_needs_its_folder_and_a_move_makes_it(front: Proxy, www: Path) -> None:
    assert ask(front, "COPY", "/file", Destination="/none/such/file") == 500
    assert ask(front, "MOVE", "/file", Destination="/none/such/file") == 204
    assert (www / "none/such/file").read_text() == "of file"


def test_other_methods_are_as_ever(front: Proxy, www: Path) -> None:
    assert front.get("/file").text == "of file"
    assert front.get("/some/file", method="MOVE", headers={"Destination": "/x"}).status == 405
    assert "Index of" in front.get("/listed/").text
    assert ask(front, "POST", "/file", b"x") == 405
