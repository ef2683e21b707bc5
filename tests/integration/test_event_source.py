"""EventSource in a browser, through reloads, drains and restarts of servers: no event lost, torn or told twice."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from harness.backends.events import EventServer, Story
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from integration.test_event_streams import listed

PAGE = """<!doctype html><title>events</title><script>
var got = {}, errors = {};
for (const path of ["/events", "/kept"]) {
    got[path] = []; errors[path] = 0;
    const source = new EventSource(path);
    source.onmessage = told => got[path].push([told.lastEventId, told.data]);
    source.onerror = () => errors[path] += 1;
}
</script>"""
FRONT = """
    websocket_drain 300ms;
    event_stream_retry 100ms 300ms;
    event_stream_ping 200ms;
    gzip on; gzip_types *;
    upstream app { server 127.0.0.1:{port:one}ONE; server 127.0.0.1:{port:two}TWO; }
    server {
        listen 127.0.0.1:{port:front} TLS;
        http2 on;
        SSL
        proxy_read_timeout 1h;
        location / { proxy_pass http://app; }
        location /kept { proxy_pass http://app; event_stream_redial 30s; }
    }
"""


def front_text(secure: bool, drained: int | None = None) -> str:
    text = FRONT.replace("TLS", "ssl" if secure else "")
    text = text.replace("SSL", "ssl_certificate a.crt; ssl_certificate_key a.key;" if secure else "")
    for number, name in enumerate(("ONE", "TWO")):
        text = text.replace(name, " drain" if number == drained else "")
    return "worker_processes 2;\n" + in_http(text)


class Teller:
    """Lets events happen, one after the other, until it is closed."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self._story.tell()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def goes_through(
    proxy: Any, browser: Any, authority: Any, *, secure: bool, reloads: int, drains: int, restarts: int
) -> None:
    """Let a page listen while all of that happens, and look at what it has had."""
    pair = authority.issue("localhost")
    files = {"a.crt": pair.certificate.read_bytes(), "a.key": pair.key.read_bytes()}
    story = Story()
    servers = [EventServer(story, html=PAGE), EventServer(story, html=PAGE)]
    ports = {"one": servers[0].port, "two": servers[1].port}
    front: Proxy = proxy(front_text(secure), ports=ports, files=files)
    page = browser.open(front.url("/", "https" if secure else "http").replace("127.0.0.1", "localhost"))

    def heard() -> int:
        return int(page.script("return Math.min(got['/events'].length, got['/kept'].length)"))

    def has_heard_more(count: int = 3) -> None:
        wanted = heard() + count
        eventually(lambda: heard() >= wanted, 60, every=0.1)

    teller = Teller(story)
    try:
        eventually(lambda: heard() > 0, 60, every=0.1)
        for _ in range(reloads):
            front.reload()
            has_heard_more()
        # A reload touches no stream.
        assert page.script("return errors") == {"/events": 0, "/kept": 0}
        for number in range(drains):
            front.reload(front_text(secure, number % 2))
            # The one ends, and its browser comes back; the other is moved.
            other = {f"127.0.0.1:{servers[1 - number % 2].port}"}
            eventually(lambda other=other: {each["peer"] for each in listed(front)} == other, 60, every=0.1)  # type: ignore[misc]
            has_heard_more()
        front.reload(front_text(secure))
        for number in range(restarts):
            old = servers[number % 2]
            old.torn = True
            old.close()
            has_heard_more()
            servers[number % 2] = EventServer(story, old.port, html=PAGE)
            has_heard_more()
        # With event_stream_redial nobody notices: not the drains either.
        assert page.script("return errors['/kept']") == 0
        assert page.script("return errors['/events']") >= drains - 1
    finally:
        teller.close()
    last = story.length
    for path in ("/events", "/kept"):
        page.wait_until(f"got['{path}'].some(told => told[0] == '{last}')", 60)
        told = page.script(f"return got['{path}']")
        ids = [int(number) for number, _ in told]
        assert ids == list(range(ids[0], last + 1)), path
        assert [text for _, text in told] == [f"event {number}" for number in ids]
    for server in servers:
        server.close()


@pytest.mark.parametrize("secure", [False, True], ids=["h1", "h2"])
def test_through_reloads_drains_and_restarts(proxy, browser, authority, secure) -> None:
    goes_through(proxy, browser, authority, secure=secure, reloads=5, drains=3, restarts=2)
