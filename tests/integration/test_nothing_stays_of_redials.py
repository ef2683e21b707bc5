"""When a client has gone that had several servers, nothing of those before, or of the search for them, is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from harness.backends.events import EventServer, Story
from harness.counting import Counted
from harness.events import EventClient
from harness.proxy import in_http
from harness.waiting import eventually
from integration.test_event_stream_redial import said
from integration.test_event_streams import listed

SITE = """
    upstream events { server 127.0.0.1:{port:one} max_fails=0; server 127.0.0.1:{port:two} max_fails=0; }
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://events; event_stream_redial 20s; }
    }
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Any]:
    story = Story()
    servers = [EventServer(story), EventServer(story)]
    ports = {"one": servers[0].port, "two": servers[1].port}
    with Counted(in_http(SITE), ports=ports) as front:
        yield front, story, servers
        assert "internal error" not in front.proxy.error_log()
    for each in servers:
        each.close()


def moved(front: Counted, story: Story, servers: list[EventServer]) -> None:
    """To the other server and back."""
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        for redials in (1, 2):
            story.tell()
            client.until(b"data: event %d\n\n" % story.length)
            peer = listed(front.proxy)[0]["peer"]
            said(front.proxy, "drain", f"events/{peer}", "--redial", "--spread", "0s")
            eventually(partial(_is_at, front, redials))
            said(front.proxy, "drain", f"events/{peer}", "--undo")


def stays(front: Counted, story: Story, servers: list[EventServer]) -> None:
    """There is nobody else."""
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event %d\n\n" % story.length)
        peer = listed(front.proxy)[0]["peer"]
        other = next(name for each in servers if (name := f"127.0.0.1:{each.port}") != peer)
        said(front.proxy, "upstreams", "set", f"events/{other}", "down")
        lines = front.proxy.error_log().count("an event stream stays")
        said(front.proxy, "drain", f"events/{peer}", "--redial", "--spread", "0s")
        eventually(lambda: front.proxy.error_log().count("an event stream stays") > lines)
        said(front.proxy, "drain", f"events/{peer}", "--undo")
        said(front.proxy, "upstreams", "set", f"events/{other}", "up")


def lost(front: Counted, story: Story, servers: list[EventServer]) -> None:
    """Its server is killed, and another goes on."""
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event %d\n\n" % story.length)
        peer = listed(front.proxy)[0]["peer"]
        which = int(peer != f"127.0.0.1:{servers[0].port}")
        servers[which].torn = True
        servers[which].close()
        story.tell()
        client.until(b"data: event %d\n\n" % story.length)
        servers[which] = EventServer(story, servers[which].port)


def _is_at(front: Counted, redials: int) -> bool:
    return bool(listed(front.proxy)[0]["redials"] == redials)


@pytest.mark.parametrize("act", [moved, stays, lost])
def test_an_event_stream_leaves_nothing(site: Any, act: Callable[..., None]) -> None:
    front, story, servers = site
    act(front, story, servers)  # what is made once is made now
    before = front.settle()
    front.garbage()
    act(front, story, servers)
    act(front, story, servers)
    after = front.settle(before)
    garbage = front.garbage()
    assert after.within(before), (before, after)
    assert not garbage, " > ".join(garbage["cycle"])
