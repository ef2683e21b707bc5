"""The pages that Penstock makes itself, for people who see little, have them read aloud, or hold a telephone."""

from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.browser import Browser, missing
from harness.page_faults import faults_everywhere
from harness.ports import free_port
from harness.proxy import Proxy, in_http

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

FRONT = in_http(
    """
    upstream app { zone app 64k; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:none} backup; }
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://app; }
        location = /dashboard { dashboard write=on; allow 127.0.0.1; deny all; }
        location = /status { status; }
        location = /gone { proxy_pass http://127.0.0.1:{port:none}; }
        location = /forbidden { deny all; }
        location = /short { return 404; }
        location /list/ { alias {dir}/; autoindex on; autoindex_format html; }
    }
    """
)


@pytest.fixture(scope="module")
def front():
    with WebSocketEcho() as backend, Proxy(FRONT, ports={"one": backend.port, "none": free_port()}) as made:
        yield made


@pytest.fixture(scope="module")
def browser():
    with Browser() as made:
        yield made


@pytest.mark.parametrize("path", ["/dashboard", "/status"])
def test_a_page_of_penstocks_own(front, browser, path: str) -> None:
    with ExitStack() as stack:
        for number in range(4):
            client = stack.enter_context(connect(front.url(f"/room-{number}", "ws"), proxy=None))
            client.send("hello")
            client.recv(10)
        page = browser.open(front.url(path))
        page.wait_until("document.body.innerText.includes('room-1') || document.querySelectorAll('td').length > 8")
        assert faults_everywhere(page) == []


@pytest.mark.parametrize("path", ["/gone", "/forbidden", "/short", "/list/"])
def test_a_page_as_nginx_has_it(front, browser, path: str) -> None:
    """Byte for byte, so that it names no language."""
    assert faults_everywhere(browser.open(front.url(path)), skipped=("language",)) == []
