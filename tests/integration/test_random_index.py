"""`random_index`, asked of nginx and of Penstock: which files a directory is answered with, and who answers else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.binary import each_of_both
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    worker_processes 1;
    events { }
    http {
        server {
            listen 127.0.0.1:{port:front};
            root {dir}/www;
            location / { random_index on; }
            location /off/ { random_index off; }
            location /many/inner/ { autoindex on; }
            location /alias/ { alias {dir}/www/many/; random_index on; location ~ t$ { return 200 "$uri $args"; } }
            location /listed/ { alias {dir}/www/empty/; random_index on; autoindex on; }
            location /indexed/ { alias {dir}/www/only-hidden/; index .index; random_index on; }
        }
    }
    """


@pytest.fixture(params=["penstock", "nginx"], scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    proxy = Proxy(CONF, *each_of_both(request.param), expect=[".*"])
    www = proxy.directory / "www"
    for folder in ("many/inner", "empty", "only-hidden", "odd", "links", "off"):
        (www / folder).mkdir(parents=True)
    for name in ("one.txt", "two.txt", "three.txt", ".hidden"):
        (www / "many" / name).write_text(name)
    (www / "many" / "inner" / "deeper.txt").write_text("deeper")
    (www / "only-hidden" / ".index").write_text("hidden index")
    (www / "odd" / "a b?c#d%41.txt").write_text("odd")
    (www / "links" / "there.txt").symlink_to(www / "many" / "one.txt")
    (www / "links" / "nowhere.txt").symlink_to(www / "many" / "none.txt")
    (www / "links" / "folder").symlink_to(www / "many")
    (www / "off" / "index.html").write_text("index")
    (www / "off" / "other.html").write_text("other")
    with proxy:
        yield proxy


def test_each_file_has_its_turn_and_nothing_else(front: Proxy) -> None:
    seen: set[str] = set()

    def more() -> bool:
        answer = front.get("/many/")
        assert answer.status == 200
        seen.add(answer.text)
        return len(seen) == 3

    eventually(more)
    assert seen == {"one.txt", "two.txt", "three.txt"}
    for _ in range(20):
        assert front.get("/many/").text in seen


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/odd/", 200, "odd"),
        ("/many/one.txt", 200, "one.txt"),
        ("/off/", 200, "index"),
        ("/indexed/", 200, "hidden index"),
    ],
)
def test_what_is_found(front: Proxy, path: str, status: int, text: str) -> None:
    answer = front.get(path)
    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/empty/", 403), ("/only-hidden/", 403), ("/none/", 404), ("/many/one.txt/", 404), ("/many/inner", 301)],
)
def test_who_has_nothing_to_give(front: Proxy, path: str, status: int) -> None:
    assert front.get(path).status == status


def test_it_goes_on_as_any_request(front: Proxy) -> None:
    path, _, args = front.get("/alias/?a=b").text.partition(" ")
    assert path in ("/alias/one.txt", "/alias/two.txt", "/alias/three.txt")
    assert args == "a=b"


def test_links(front: Proxy) -> None:
    assert {front.get("/links/").text for _ in range(10)} == {"one.txt"}


def test_other_methods(front: Proxy) -> None:
    assert front.get("/odd/", method="HEAD").status == 200
    assert front.get("/odd/", method="POST").status == 405
    assert front.get("/odd/", method="DELETE").status == 405


def test_autoindex_has_what_is_left(front: Proxy) -> None:
    assert "Index of /listed/" in front.get("/listed/").text
    assert "deeper.txt" in front.get("/many/inner/").text
