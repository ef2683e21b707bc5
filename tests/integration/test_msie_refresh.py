"""`msie_refresh`, asked of nginx and of Penstock: a page that leads on in place of a redirection, for one browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.binary import each_of_both
from harness.proxy import Proxy

CONF = """
    events { }
    http {
        server {
            listen 127.0.0.1:{port:front};
            msie_refresh on;
            root {dir}/www;
            location / { return 301 /text; }
            location /odd { return 302 "/a\\"b'c d%20e?x=1&y=2"; }
            location /other { return 307 /text; }
            location /elsewhere { return 404; error_page 404 http://other.example/z; }
            location /folder { add_header X-A b; }
            location /off { msie_refresh off; return 301 /text; }
        }
    }
    """
MSIE = "Mozilla/4.0 (compatible; MSIE 6.0; x)"
PAGE = '<html><head><meta http-equiv="Refresh" content="0; URL={}"></head><body></body></html>\r\n'


@pytest.fixture(params=["penstock", "nginx"], scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    proxy = Proxy(CONF, *each_of_both(request.param), expect=[".*"])
    (proxy.directory / "www/folder").mkdir(parents=True)
    with proxy:
        yield proxy


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", "/text"),
        ("/odd", "/a%22b%27c%20d%20e?x=1&y=2"),
        ("/elsewhere", "http://other.example/z"),
        ("/folder", "/folder/"),
    ],
)
def test_a_page_that_leads_on(front: Proxy, path: str, place: str) -> None:
    answer = front.get(path, headers={"User-Agent": MSIE})
    assert (answer.status, answer.text, answer.header("Location")) == (200, PAGE.format(place), None)
    assert answer.header("Content-Type") == "text/html"
    front.logged(f'"GET {path} HTTP/1.1" 200 {len(answer.body)} ')


@pytest.mark.parametrize(
    ("path", "agent", "status"),
    [
        ("/", "Mozilla/5.0", 301),
        ("/", MSIE + " Opera 9", 301),
        ("/", "Mozilla MSIE ", 301),
        ("/other", MSIE, 307),
        ("/off", MSIE, 301),
    ],
)
def test_others_are_redirected(front: Proxy, path: str, agent: str, status: int) -> None:
    answer = front.get(path, headers={"User-Agent": agent})
    assert answer.status == status
    assert (answer.header("Location") or "").endswith("/text")
