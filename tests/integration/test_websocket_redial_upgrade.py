"""A WebSocket that may be redialled goes to a new program, and loses its backend there."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from harness.backends import RawBackend, hold
from harness.crowd_frames import masked, plain
from harness.processes import gone
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import BINARY, PING, PONG, WireClient, codes, heard, switch
from integration.test_upgrade import begin, end
from integration.test_websocket_redial import redial_header, until_heard

pytestmark = pytest.mark.alone

SITE = """
    log_format ws '$request_uri $websocket_end_reason redials=$websocket_redials';
    access_log access.log ws;
    upstream app { server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
    server {
        listen 127.0.0.1:{port:front};
        server_name one.test;
        websocket auto;
        websocket_redial 10s;
        location / { proxy_pass http://app; proxy_set_header X-Path $uri:$args:$remote_addr:$server_port; }
        location ~ ^/room/(.+)$ { proxy_pass http://app; proxy_set_header X-Room $1; }
    }
    server { listen 127.0.0.1:{port:front}; server_name two.test; return 204; }
"""
MESSAGE = masked(b"x" * 5000)


def to_a_new_program(front) -> None:
    old = front.pid
    begin(front)
    os.kill(old, signal.SIGQUIT)
    eventually(lambda: gone(old))


@pytest.fixture
def pair(proxy) -> Iterator:
    """The first server is lost once it has heard its last word, and the second one goes on."""
    made = []

    def start(last: list[bytes], then: list[bytes]):
        one = RawBackend([switch, until_heard(*last)])
        two = RawBackend([switch, until_heard(*then), plain(b"from two"), hold])
        front = proxy(in_http(SITE), ports={"one": one.port, "two": two.port})
        made.append((one, two, front))
        return made[-1]

    yield start
    for one, two, front in made:
        one.close()
        two.close()
        end(front)


def test_another_backend_goes_on(pair) -> None:
    one, two, front = pair([b"one", b"two"], [b"three"])
    with WireClient(front.port(), "/a%20b?c=d", more="X-More: 1\r\n") as client:
        client.send(masked(b"there?", PING) + masked(b"one"))
        eventually(lambda: one.conversations and (BINARY, b"one") in heard(one.conversations[0]))
        to_a_new_program(front)
        client.send(masked(b"two"))
        assert client.frame() == (PONG, b"there?"), "the one that was lost did not answer"
        eventually(lambda: two.conversations)
        client.send(masked(b"three"))
        assert client.frame() == (BINARY, b"from two")
        client.send(masked(b"\x03\xe8", 8))
    first, second = one.conversations[0], two.conversations[0]
    assert redial_header(second) == redial_header(first).replace("count=0", "count=1, reason=lost")
    heads = [talk.received.partition(b"\r\n\r\n")[0].decode("latin-1") for talk in (first, second)]
    both = [re.sub(r"(?m)^Penstock-Redial: .*$", "", head) for head in heads]
    assert both[0] == both[1]
    assert "X-Path: /a b:c=d:127.0.0.1:" in heads[1]
    front.logged("redials=1", name="access.log")


@pytest.mark.parametrize("lost", ["behind the message", "in the message"])
def test_half_of_a_message_is_on_its_way(pair, lost: str) -> None:
    """The new program does not have its beginning, and so can not send it again; behind it all is as before."""
    last = [b"x" * 5000] if lost == "behind the message" else []
    one, two, front = pair([b"one", *last], [b"three"])
    with WireClient(front.port(), "/") as client:
        if last:
            client.send(masked(b"one") + MESSAGE[:1000])
            to_a_new_program(front)
            client.send(MESSAGE[1000:])
            eventually(lambda: two.conversations)
            client.send(masked(b"three"))
            assert client.frame() == (BINARY, b"from two")
        else:
            client.send(MESSAGE[:1000])
            to_a_new_program(front)
            one.conversations[0].socket.shutdown(2)
            assert codes(client.frames_until_end()) == [1012]
            assert not two.conversations


def test_who_needs_what_only_the_old_program_had_is_not_redialled(pair) -> None:
    """What a regular expression has captured stays there."""
    one, two, front = pair([b"one"], [])
    with WireClient(front.port(), "/room/7") as client:
        eventually(lambda: one.conversations)
        to_a_new_program(front)
        client.send(masked(b"one"))
        assert codes(client.frames_until_end())
    assert not two.conversations
