"""Event streams: passed on at once, kept alive between two events, listed, ended after a whole event."""

import gzip
import json
import re
import signal
import threading
import zlib

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.backends import hold, pause, read_head
from harness.backends.events import EventServer, Story
from harness.backends.scripted import Conversation
from harness.binary import installed
from harness.events import EventClient
from harness.http2 import Http2Client
from harness.programs import run
from harness.proxy import in_http
from harness.waiting import eventually

SERVER = """
    upstream app { server 127.0.0.1:{port:back}; }
    server {
        listen 127.0.0.1:{port:front};
        http2 on;
        LINES
        location / { proxy_pass http://app; }
        location /metrics { metrics; }
        location /status { status; }
    }
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def conf(lines: str = "", http: str = "") -> str:
    return in_http(http + SERVER.replace("LINES", lines))


def listed(front, *arguments: str) -> list[dict]:
    command = [*installed().command, "tunnels", "--json", "--socket", f"{front.directory}/nginx.control"]
    done = run([*command, *arguments])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["tunnels"]


class Gate:
    """A step of a script that waits until the test lets it go on."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def __call__(self, talk: Conversation) -> None:
        self._open.wait(20)

    def open(self) -> None:
        self._open.set()


def test_every_byte_goes_on_at_once_whatever_holds_others_back(proxy, raw_backend) -> None:
    """With buffering and compression on, what has come of an event is there before the rest of it is sent."""
    pieces = [b"data: a", b"\n", b"data: \xc3", b"\xa4\r\n\r", b"\ndata:b\r\r"]
    gates = [Gate() for _ in pieces]
    script = [read_head, HEAD]
    for piece, gate in zip(pieces, gates, strict=True):
        script += [piece, gate]
    front = proxy(conf("gzip on; gzip_types *; proxy_buffering on;"), ports={"back": raw_backend(script).port})
    with EventClient(front.port(), "/") as client:
        assert client.response.getheader("content-type") == "text/event-stream"
        known = b""
        for piece, gate in zip(pieces, gates, strict=True):
            known += piece
            assert client.until(known) == known
            gate.open()
        assert client.rest() == known and client.whole


def test_a_client_that_takes_gzip_gets_every_event_at_once(proxy, raw_backend) -> None:
    gate = Gate()
    back = raw_backend([read_head, HEAD, b"data: a\n\n", gate, b"data: b\n\n", hold])
    front = proxy(conf("gzip on; gzip_types *;"), ports={"back": back.port})
    with EventClient(front.port(), "/", ("Accept-Encoding", "gzip")) as client:
        assert client.response.getheader("content-encoding") == "gzip"
        inflate = zlib.decompressobj(31)
        text, seen = b"", 0
        for mark in (b"data: a\n\n", b"data: a\n\ndata: b\n\n"):
            while text != mark:
                assert client.read()
                text += inflate.decompress(client.data[seen:])
                seen = len(client.data)
            gate.open()


def test_pings_come_between_two_events_only(proxy, raw_backend) -> None:
    gate, end = Gate(), Gate()
    back = raw_backend([read_head, HEAD, b"data: a\nda", pause(0.8), b"ta: b\n", pause(0.8), b"\n", gate,
                        b"data: c\n\n", end])  # fmt: skip
    front = proxy(conf("event_stream_ping 100ms;"), ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        begun = b"data: a\ndata: b\n\n"
        assert client.until(b":\n\n") == begun + b":\n\n"
        gate.open()
        client.until(b"data: c\n\n")
        end.open()
        assert re.fullmatch(re.escape(begun) + rb"(:\n\n)+data: c\n\n(:\n\n)*", client.rest())


def test_a_ping_before_the_first_event_takes_the_place_of_a_mark(proxy, raw_backend) -> None:
    """A byte order mark stands at the beginning only: behind a ping it would be part of a field's name."""
    gate = Gate()
    back = raw_backend([read_head, HEAD, gate, b"\xef", pause(0.05), b"\xbb\xbfdata: a\n\n", hold])
    front = proxy(conf("event_stream_ping 100ms;"), ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        client.until(b":\n\n")
        gate.open()
        assert re.fullmatch(rb"(:\n\n)+data: a\n\n", client.until(b"data: a\n\n"))


def test_a_compressed_stream_is_left_alone_and_that_is_said(proxy, raw_backend) -> None:
    data = gzip.compress(b"data: a\n\n")
    gate = Gate()
    back = raw_backend([read_head, HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n", data[:10], gate, data[10:]])
    front = proxy(conf("event_stream_ping 100ms;"), ports={"back": back.port})
    with EventClient(front.port(), "/", ("Accept-Encoding", "gzip")) as client:
        client.read()
        (entry,) = listed(front)
        assert (entry["kind"], "events" in entry) == ("event_stream", False)
        eventually(lambda: listed(front)[0]["idle"] > 0.3)
        gate.open()
        assert client.rest() == data
    front.logged("is compressed by its backend: nothing can be put in", name="error.log")


@pytest.mark.parametrize(
    ("method", "head", "body"),
    [
        ("GET", HEAD[:-2] + b"Content-Length: 18\r\n\r\n", b"data: a\n\ndata: b\n\n"),
        ("HEAD", HEAD, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"data: a\n\ndata: b\n\n"),
    ],
)
def test_what_is_no_stream_gets_nothing_put_in(proxy, raw_backend, method, head, body) -> None:
    back = raw_backend([read_head, head, body[:9], pause(0.4), body[9:]])
    front = proxy(conf("event_stream_ping 50ms; event_stream_retry 1s always;"), ports={"back": back.port})
    with front.client() as client:
        client.send(f"{method} / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n")
        answer = client.response(method)
        assert answer.body == body and client.closed()


def test_lines_of_json_where_that_is_asked_for(proxy, raw_backend) -> None:
    gate = Gate()
    head = HEAD.replace(b"text/event-stream", b"application/x-ndjson; charset=utf-8")
    back = raw_backend([read_head, head, b'{"a":1}\n{"b"', gate, b":2}\n", hold])
    front = proxy(conf("event_stream auto application/x-ndjson; event_stream_ping 50ms;"), ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        client.until(b'{"b"')
        assert [(each["kind"], each["events"]) for each in listed(front)] == [("event_stream", 1)]
        gate.open()
        assert client.until(b"2}\n") == b'{"a":1}\n{"b":2}\n'


@pytest.mark.parametrize("way", ["QUIT", "by hand", "server"])
def test_drained_after_a_whole_event_with_a_time_to_come_back(proxy, raw_backend, way) -> None:
    gate = Gate()
    back = raw_backend([read_head, HEAD, b"data: a\n\ndata: b\n", gate, b"\ndata: c\n\n", hold])
    text = conf(http="websocket_drain 200ms; event_stream_retry 2s 4s;")
    front = proxy(text, ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        client.until(b"data: b\n")
        if way == "QUIT":
            front.send_signal(signal.SIGQUIT)
            front.logged("draining all: 1 tunnels", name="error.log")
        elif way == "by hand":
            assert len(listed(front, "--kind", "event_stream")) == 1
            command = [*installed().command, "tunnels", "close", "--kind", "event_stream"]
            assert run([*command, "--socket", f"{front.directory}/nginx.control"]).returncode == 0
        else:
            front.reload(text.replace("{port:back};", "{port:back} drain;"))
            front.logged("draining servers that go: 1 tunnels", name="error.log")
        if way != "QUIT":
            eventually(lambda: listed(front)[0]["state"] == "closing")
        gate.open()
        data = client.rest()
        assert re.fullmatch(rb"data: a\n\ndata: b\n\n(data: c\n\n)?retry: \d+\n\n", data), data
        assert 2000 <= client.retry <= 4000 and client.whole


@pytest.mark.parametrize("said", [b"data: a\n\n", b"data: a\n\ndata: b\n"], ids=["between events", "amid one"])
def test_the_end_of_a_workers_time(proxy, raw_backend, said) -> None:
    """Without a drain a worker waits for its streams until `worker_shutdown_timeout`. A little before, they end after a
    whole event; who is amid one when the time is over sees that something is missing."""
    back = raw_backend([read_head, HEAD, said, hold])
    text = "worker_shutdown_timeout 2s;\n" + conf(http="event_stream_retry 2s 4s;")
    front = proxy(text, ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        client.until(said)
        front.send_signal(signal.SIGQUIT)
        data = client.rest()
        if said.endswith(b"\n\n"):
            assert re.fullmatch(said + rb"retry: \d+\n\n", data) and client.whole
            assert 2000 <= client.retry <= 4000
        else:
            assert data == said and client.whole is False
    eventually(lambda: back.conversations[0].ended.is_set())


def test_over_http2(proxy, raw_backend) -> None:
    """Both ends of a stream of HTTP/2: events, pings, the drain."""
    back = raw_backend([read_head, HEAD, b"data: a\n\n", hold])
    front = proxy(conf("event_stream_ping 100ms;", "websocket_drain 100ms;"), ports={"back": back.port})
    with Http2Client(front.port()) as client:
        stream = client.open("/", ("accept", "text/event-stream"))
        answered = client.streams[stream]
        client.until(lambda: answered.body.endswith(b":\n\n"))
        assert listed(front)[0]["transport"] == "h2"
        front.send_signal(signal.SIGQUIT)
        client.read(stream)
        assert re.fullmatch(rb"data: a\n\n(:\n\n)+retry: \d+\n\n", answered.body), answered.body


@pytest.mark.parametrize("said", [None, 500])
def test_a_lost_backend(proxy, raw_backend, said) -> None:
    """The event that broke off is not made a whole one, and that something is missing can be seen."""
    told = b"" if said is None else b"retry: %d\n" % said
    head = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
    data = told + b"data: a\n\nid: 7\nda"
    back = raw_backend([read_head, head, b"%x\r\n%b\r\n" % (len(data), data)])
    front = proxy(conf("event_stream_retry 2s 4s;"), ports={"back": back.port})
    with EventClient(front.port(), "/") as client:
        assert re.fullmatch(re.escape(data) + rb"\nretry: \d+\n", client.rest())
        assert client.whole is False
        least = 2000 if said is None else said
        assert least <= client.retry <= least + 2000


def test_an_end_that_the_application_makes_is_its_own(proxy, raw_backend) -> None:
    back = raw_backend([read_head, HEAD, b"data: a\n\n"])
    front = proxy(conf(), ports={"back": back.port})
    for lines, after in (("", rb""), ("event_stream_retry 1s always;", rb"retry: 1000\n\n")):
        front.reload(conf(lines))
        with EventClient(front.port(), "/") as client:
            assert re.fullmatch(rb"data: a\n\n" + after, client.rest()) and client.whole
        with EventClient(front.port(), "/", ("Accept", "*/*")) as client:
            assert client.rest() == b"data: a\n\n"


def test_a_reload_leaves_streams_alone_and_figures_tell_of_them(proxy) -> None:
    story = Story()
    with EventServer(story) as back:
        front = proxy(conf("event_stream_ping 10m;"), ports={"back": back.port})
        with EventClient(front.port(), "/events") as client:
            client.until(b": hello\n\n")
            for number in range(1, 4):
                story.tell()
                client.until(b"data: event %d\n\n" % number)
                front.reload()
            (entry,) = listed(front)
            assert entry["kind"] == "event_stream" and entry["state"] == "open"
            assert (entry["events"], entry["bytes_out"], entry["redials"]) == (3, len(client.data), 0)
            assert entry["peer"] == f"127.0.0.1:{back.port}" and entry["upstream"] == "app"
            assert json.loads(front.get("/status").body)["tunnels"]["listed"][0]["kind"] == "event_stream"
            assert client.ids == [1, 2, 3]
            figures = metrics(front)
            assert figures["penstock_event_streams_open"] == 1
            assert figures["penstock_event_stream_events_total"] == 3
        eventually(lambda: metrics(front)["penstock_event_streams_open"] == 0)
        figures = metrics(front)
        assert figures["penstock_event_stream_ends_total", "client_closed"] == 1
        assert figures["penstock_event_stream_bytes_total"] == len(client.data)


def metrics(front) -> dict:
    found = {}
    for family in text_string_to_metric_families(front.get("/metrics").text):
        for sample in family.samples:
            values = tuple(sample.labels.values())
            found[(sample.name, *values) if values else sample.name] = sample.value
    return found


def test_what_is_refused(proxy) -> None:
    for lines, words in (
        ("event_stream maybe;", 'invalid value "maybe" in "event_stream" directive'),
        ("event_stream auto json;", 'invalid parameter "json"'),
        ("event_stream_ping 0;", 'invalid value "0" in "event_stream_ping" directive'),
        ("event_stream_retry 5s 1s;", 'invalid value "1s" in "event_stream_retry" directive'),
        ("event_stream_redial 5s tries=0;", 'invalid parameter "tries=0"'),
        ("event_stream_redial 5s; proxy_set_header Last-Event-ID $arg_id;", "sets the header"),
    ):
        assert words in proxy.check(conf(lines), ports={"back": 1}).output, lines
