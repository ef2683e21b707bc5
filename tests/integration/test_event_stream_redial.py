"""A backend of an event stream is lost, and the stream goes on: only whole events, none twice, none missing."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

import pytest

from harness.backends import hold, read_head
from harness.backends.events import EventServer, Story
from harness.events import EventClient
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import WireClient, switch
from integration.test_event_streams import HEAD, listed
from penstock.cli.main import main

SERVER = """
    upstream app { SERVERS }
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://app; event_stream_redial 20s PARAMETERS; }
    }
"""


def conf(parameters: str = "", servers: str = "server 127.0.0.1:{port:back};") -> str:
    return in_http(SERVER.replace("PARAMETERS", parameters).replace("SERVERS", servers))


def said(front, *words: str) -> str:
    """What a command of the command line says."""
    text = io.StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        assert main([words[0], "--socket", f"{front.directory}/nginx.control", *words[1:]]) == 0, text.getvalue()
    return text.getvalue()


def noted(head: bytes) -> str:
    """What a backend is told beside the ID, in the form that WebSockets have too."""
    found = re.findall(rb'(?m)^Penstock-Redial: id="[0-9a-f]{32}", (.*)\r$', head)
    assert len(found) == 1, head
    return found[0].decode()


def test_killed_in_the_middle_of_an_event_again_and_again(proxy) -> None:
    """Ten restarts, while events go on happening: the client has each once, in their order, in one answer."""
    story = Story()
    back = EventServer(story)
    port = back.port
    front = proxy(conf(), ports={"back": port})
    try:
        with EventClient(front.port(), "/events") as client:
            client.until(b": hello\n\n")
            for life in range(1, 11):
                story.tell(3)
                client.until(b"data: event %d\n\n" % (6 * life - 3))
                back.torn = True
                back.close()
                story.tell(3)
                back = EventServer(story, port)
                client.until(b"data: event %d\n\n" % (6 * life))
                assert noted(back.heads[-1]) == f"count={life}, reason=lost"
                assert b"Last-Event-ID: %d\r\n" % (6 * life - 3) in back.heads[-1]
            assert client.ids == list(range(1, 61))
            assert b"data: to" not in client.data
            assert listed(front)[0]["redials"] == 10
    finally:
        back.close()


@pytest.fixture
def pair(proxy):
    """Two servers of one story, and a proxy that leads to both of them."""
    story = Story()
    with EventServer(story) as one, EventServer(story) as two:
        text = conf(servers="server 127.0.0.1:{port:one}ONE; server 127.0.0.1:{port:two}TWO;")
        text = text.replace("upstream app", "websocket_drain 100ms; upstream app")

        def marked(which: str = "") -> str:
            given = text.replace(which, " drain") if which else text
            return given.replace("ONE", "").replace("TWO", "")

        front = proxy(marked(), ports={"one": one.port, "two": two.port})
        yield story, front, (one, two), marked


@pytest.mark.parametrize("how", ["command", "reload"])
def test_moves_to_another_server_and_back(pair, how) -> None:
    """Both serve all the while, and events go on happening: none is missing, none comes twice, in one answer."""
    story, front, servers, marked = pair
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell(3)
        client.until(b"data: event 3\n\n")
        for life in range(1, 5):
            peer = listed(front)[0]["peer"]
            other = servers[peer == f"127.0.0.1:{servers[0].port}"]
            heads = len(other.heads)
            if how == "reload":
                front.reload(marked("ONE" if other is servers[1] else "TWO"))
            else:
                assert "1 tunnel moves" in said(front, "drain", f"app/{peer}", "--redial", "--spread", "0s")
            for _ in range(20):
                story.tell()
            eventually(partial(_asked_again, other, heads))
            assert noted(other.heads[-1]) == f"count={life}, reason=moved"
            story.tell()
            client.until(b"data: event %d\n\n" % story.length)
            if how == "command":
                said(front, "drain", f"app/{peer}", "--undo")
        assert client.ids == list(range(1, story.length + 1))
        assert listed(front)[0]["redials"] == 4


def _asked_again(server: EventServer, heads: int) -> bool:
    return len(server.heads) > heads


def test_one_that_finds_nobody_else_stays(pair) -> None:
    story, front, servers, _ = pair
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event 1\n\n")
        peer = listed(front)[0]["peer"]
        first, other = servers if peer.endswith(f":{servers[0].port}") else servers[::-1]
        other.close()
        said(front, "drain", f"app/{peer}", "--redial", "--spread", "0s")
        front.logged("an event stream stays where it is", name="error.log")
        story.tell()
        client.until(b"data: event 2\n\n")
        assert listed(front)[0]["peer"] == peer
        assert len(first.heads) == 1 and client.ids == [1, 2]
    eventually(lambda: listed(front) == [])  # and that its client goes is heard of as before


def test_a_client_that_goes_after_a_move_is_missed(pair) -> None:
    story, front, _, _ = pair
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event 1\n\n")
        said(front, "drain", f"app/{listed(front)[0]['peer']}", "--redial", "--spread", "0s")
        eventually(lambda: listed(front)[0]["redials"] == 1)
    eventually(lambda: listed(front) == [])


def test_who_has_named_an_event_may_have_had_none_since(proxy) -> None:
    story = Story()
    back = EventServer(story)
    port = back.port
    front = proxy(conf(), ports={"back": port})
    story.tell(3)
    with EventClient(front.port(), "/events", ("Last-Event-ID", "3")) as client:
        client.until(b": hello\n\n")
        back.close()
        with EventServer(story, port) as back:
            story.tell()
            client.until(b"data: event 4\n\n")
            assert b"Last-Event-ID: 3\r\n" in back.heads[0]
            assert client.ids == [4]


def test_the_log_names_the_first_servers_and_the_last(proxy, raw_backend) -> None:
    """A client may stay for years, and have thousands of answers."""

    def life(number: int) -> bytes:
        event = b"id: %d\ndata: event %d\n\n" % (number, number)
        return HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(event), event)

    back = raw_backend(*([read_head, life(number)] for number in range(1, 21)), [read_head, life(21), hold])
    logged = "log_format few 'to=$upstream_addr';\naccess_log access.log few;\n"
    front = proxy(conf().replace("http {", "http {\n" + logged, 1), ports={"back": back.port})
    with EventClient(front.port(), "/events") as client:
        client.until(b"data: event 21\n\n")
        assert client.ids == list(range(1, 22))
    assert front.logged("to=.*", name="access.log").group().count(f"127.0.0.1:{back.port}") == 16


def test_another_server_of_the_group_goes_on(proxy) -> None:
    story = Story()
    with EventServer(story) as one, EventServer(story) as two:
        front = proxy(
            conf(servers="server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two};"),
            ports={"one": one.port, "two": two.port},
        )
        with EventClient(front.port(), "/events") as client:
            client.until(b": hello\n\n")
            story.tell()
            client.until(b"data: event 1\n\n")
            first, other = (one, two) if one.heads else (two, one)
            first.close()
            story.tell()
            client.until(b"data: event 2\n\n")
            assert b"Last-Event-ID: 1\r\n" in other.heads[0]
            assert client.ids == [1, 2]


def test_a_server_that_came_with_a_reload_goes_on(proxy) -> None:
    """The stream began under another configuration, and its own server is gone for good."""
    story = Story()
    with EventServer(story) as one, EventServer(story) as two:
        front = proxy(conf(servers="server 127.0.0.1:{port:one};"), ports={"one": one.port, "two": two.port})
        with EventClient(front.port(), "/events") as client:
            client.until(b": hello\n\n")
            story.tell()
            client.until(b"data: event 1\n\n")
            front.reload(conf(servers="server 127.0.0.1:{port:two};"))
            one.close()
            story.tell()
            client.until(b"data: event 2\n\n")
            assert noted(two.heads[0]) == "count=1, reason=lost"


def test_a_location_may_redial_both(proxy, raw_backend) -> None:
    """The header stands once in a handshake, and not in a request that is neither."""
    back = raw_backend([read_head, b"HTTP/1.1 204 No\r\n\r\n"], [switch, hold])
    both = conf().replace("event_stream_redial", "websocket auto; websocket_redial 5s; event_stream_redial")
    front = proxy(both, ports={"back": back.port})
    assert front.get("/").status == 204
    WireClient(front.port()).close()
    plain, handshake = (each.received for each in back.conversations)
    assert b"penstock-redial" not in plain.lower()
    assert noted(handshake) == "count=0"


@pytest.mark.parametrize("parameters", ["", "ended"])
def test_a_proper_end_is_an_end_unless_told_otherwise(proxy, parameters) -> None:
    story = Story()
    back = EventServer(story)
    port = back.port
    front = proxy(conf(parameters), ports={"back": port})
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event 1\n\n")
        back.finish()
        story.tell()
        with EventServer(story, port) as back:
            if not parameters:
                client.rest()
                assert client.whole and client.ids == [1] and not back.heads
                return
            client.until(b"data: event 2\n\n")
            assert noted(back.heads[0]) == "count=1, reason=ended"
            assert client.ids == [1, 2]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nlogin please",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\nx",
    ],
)
def test_an_answer_that_does_not_go_on_ends_it(proxy, raw_backend, answer) -> None:
    """The client comes back by itself, and gets that answer: what it means is between it and the application."""
    chunked = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    back = raw_backend([read_head, chunked, b"14\r\nid: 1\ndata: event 1\n\r\n1\r\n\n\r\n"], [read_head, answer])
    front = proxy(conf(), ports={"back": back.port})
    with EventClient(front.port(), "/events") as client:
        client.rest()
        assert client.ids == [1] and client.whole is False and client.retry is not None
    front.logged("an event stream can not go on", name="error.log")


@pytest.mark.parametrize("why", ["no id", "too long"])
def test_what_can_not_go_on_breaks_off(proxy, raw_backend, why) -> None:
    data = b"data: a\n\ndata: b" if why == "no id" else b"id: 1\ndata: a\n\ndata: " + b"x" * 5000
    back = raw_backend([read_head, HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n",
                        b"%x\r\n%b\r\n" % (len(data), data)], [read_head, HEAD, hold])  # fmt: skip
    front = proxy(conf("buffer=4k"), ports={"back": back.port})
    with EventClient(front.port(), "/events") as client:
        client.rest()
        assert client.whole is False
        kept = b"data: a\n\n" if why == "no id" else data + b"\n"
        assert re.fullmatch(re.escape(kept) + rb"retry: \d+\n\n?", client.data)
    assert back.connections == 1


def test_a_client_does_not_speak_in_our_name(proxy) -> None:
    with EventServer(Story()) as back:
        front = proxy(conf(), ports={"back": back.port})
        said = ("Penstock-Redial", "count=7, reason=lost"), ("Last-Event-ID", "3")
        with EventClient(front.port(), "/e", *said) as client:
            client.until(b": hello\n\n")
        assert b"penstock-redial" not in back.heads[0].lower()
        assert b"Last-Event-ID: 3\r\n" in back.heads[0]


def test_a_client_that_goes_while_nobody_answers_is_missed(proxy) -> None:
    story = Story()
    back = EventServer(story)
    front = proxy(conf("tries=50"), ports={"back": back.port})
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event 1\n\n")
        back.close()
        front.logged(r"connect\(\) failed", name="error.log")
    eventually(lambda: listed(front) == [])


def test_pings_go_on_while_nobody_answers(proxy) -> None:
    story = Story()
    back = EventServer(story)
    text = conf("tries=50").replace("event_stream_redial", "event_stream_ping 100ms; event_stream_redial")
    front = proxy(text, ports={"back": back.port})
    with EventClient(front.port(), "/events") as client:
        client.until(b": hello\n\n")
        story.tell()
        client.until(b"data: event 1\n\n")
        back.close()
        seen = len(client.data)
        while client.data.count(b":\n\n", seen) < 5:
            assert client.read()
        with EventServer(story, back.port):
            story.tell()
            client.until(b"data: event 2\n\n")
