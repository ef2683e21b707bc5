"""`penstock tap` at live tunnels: real clients, whatever carries them, and nothing of it in the way of a message."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Self

import pytest
from websockets.sync.client import connect

from harness.backends import WebSocketEcho, hold, read_head
from harness.backends.events import EventServer, Story
from harness.events import EventClient
from harness.proxy import in_http
from harness.transports import TRANSPORTS, opened
from harness.waiting import eventually
from harness.wire import TEXT, masked

SERVER = """
    server {
        listen 127.0.0.1:{port:front} reuseport;
        server_name chat.example;
        location /chat { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /private { tap off; websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /raw {
            proxy_pass http://127.0.0.1:{port:back};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        location /events { proxy_pass http://127.0.0.1:{port:events}; }
        location /own { tap off; proxy_pass http://127.0.0.1:{port:events}; }
    }
"""
FRONT = "worker_processes 2;\n" + in_http(SERVER)


class Tapped:
    """A `penstock tap` that runs. `lines` are those it has shown, `notes` what it says beside them."""

    def __init__(self, front, *arguments: str) -> None:
        command = [sys.executable, "-m", "penstock", "tap", "--socket", f"{front.directory}/nginx.control", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._more: queue.SimpleQueue[tuple[list[str], str]] = queue.SimpleQueue()
        for stream, kept in ((self.process.stdout, self.lines), (self.process.stderr, self.notes)):
            threading.Thread(target=self._read, args=(stream, kept), daemon=True).start()

    def _read(self, stream, kept: list[str]) -> None:
        for text in stream:
            self._more.put((kept, text.rstrip("\n")))

    def until(self, pattern: str, *, note: bool = False) -> re.Match[str]:
        """The first line, or note, that matches."""
        kept = self.notes if note else self.lines
        seen = 0
        while True:
            for text in kept[seen:]:
                if found := re.search(pattern, text):
                    return found
            seen = len(kept)
            try:
                where, text = self._more.get(timeout=20)
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {self.lines} or {self.notes}") from None
            where.append(text)

    def end(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def front(proxy):
    story = Story()
    with WebSocketEcho("echo") as back, EventServer(story) as events:
        made = proxy(FRONT, ports={"back": back.port, "events": events.port})
        made.story = story
        yield made


def tunnels(front, *arguments: str) -> list[dict]:
    command = [sys.executable, "-m", "penstock", "tunnels", "--json", "--socket", f"{front.directory}/nginx.control"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)["tunnels"]


def test_frames_of_one_tunnel_in_both_directions(front) -> None:
    with connect(front.url("/chat", "ws"), compression=None) as one, connect(front.url("/chat", "ws")) as other:
        for client in (one, other):
            client.send("hello")
            assert client.recv(20) == "hello"
        (name,) = [each["id"] for each in tunnels(front) if not each["compressed"]]
        with Tapped(front, name) as tap:
            tap.until("a WebSocket", note=True)
            other.send("not asked for")
            other.recv(20)
            one.send("caf\u00e9 \x1b[2J\n")
            assert one.recv(20) == "caf\u00e9 \x1b[2J\n"
            one.send(b"\x00\x01")
            one.recv(20)
            one.ping(b"there?").wait(20)
            one.send("y" * 100_000)
            one.recv(20)
            tap.until(r"backend  text          100000  yyy")
            one.close(4001, "bye")
            tap.until(r"client   close              5  4001 bye")
            tap.until("has ended", note=True)
            assert tap.end() == 0
    text = "\n".join(re.sub(r"^\S+  \S+  ", "", each) for each in tap.lines)
    for side in ("client ", "backend"):
        assert re.search(side + r"  text +11  café \\x1b\[2J\\n$", text, re.M)
        assert re.search(side + r"  binary +2  \\x00\\x01$", text, re.M)
    assert re.search("client   ping +6  there\\?$", text, re.M) and re.search("backend  pong +6  there\\?$", text, re.M)
    assert "not asked for" not in text
    who = rf"tap by user {os.getuid()} \(process {tap.process.pid}\)"
    front.logged(rf"{who} begins: id={re.escape(name)}", name="error.log")
    front.logged(r"ended after \S+s: id=\S+; \d+ frames of 1 tunnels were shown, 0 left out", name="error.log")


def test_compressed_messages_are_read(front) -> None:
    with connect(front.url("/chat", "ws")) as client, Tapped(front, "--location", "/chat", "--from", "client") as tap:
        tap.until("a WebSocket", note=True)
        for number in range(5):
            text = f'{{"number": {number}, "token": "s3cret", "text": "the same again and again and again"}}'
            client.send(text)
            assert client.recv(20) == text
            tap.until(rf'client   text deflated +\d+  \{{"number": {number}, "token": "s3cret"')
        client.send(["in ", "two"])
        assert client.recv(20) == "in two"
        tap.until(r"text\+ deflated +\d+  in $")
        assert not any(" backend " in each for each in tap.lines)


def test_a_tunnel_that_is_only_relayed(front) -> None:
    """It is relayed as before while nobody looks on, and again when the one who looked has gone."""
    with connect(front.url("/raw", "ws"), compression=None) as client:
        client.send("before")
        assert client.recv(20) == "before"
        for _ in range(2):
            with Tapped(front, "--kind", "tunnel") as tap:
                tap.until("relayed as it is", note=True)
                for word in ("one", "two", "three"):
                    client.send(word)
                    assert client.recv(20) == word
                    tap.until(f"client   text +{len(word)}  {word}$")
                    tap.until(f"backend  text +{len(word)}  {word}$")
                tap.end()
            client.send("between")
            assert client.recv(20) == "between"


def test_what_is_no_websocket_is_counted(proxy, raw_backend) -> None:
    switch = b"HTTP/1.1 101 A\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n"
    back = raw_backend([read_head, switch, hold])
    front = proxy(FRONT, ports={"back": back.port, "events": 1})
    with front.client() as client:
        client.send("GET /raw HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
        with Tapped(front, "--all") as tap:
            tap.until("relayed as it is", note=True)
            client.send(b"\x7fhello, this is another protocol")
            tap.until(r"client   bytes +32  \(where frames begin is not known\)")


def test_events(front) -> None:
    with EventClient(front.port(), "/events") as client, Tapped(front, "--kind", "event_stream") as tap:
        client.until(b": hello\n\n")
        tap.until("an event stream", note=True)
        front.story.tell(2)
        client.until(b"data: event 2\n\n")
        tap.until(r"backend  event +\d+  id: 2\\ndata: event 2$")
        assert sum("event" in each for each in tap.lines) == 2


@pytest.mark.parametrize("path", ["/private", "/own"])
def test_where_nobody_may_look(front, path) -> None:
    with ExitStack() as stack:
        if path == "/private":
            client = stack.enter_context(connect(front.url(path, "ws")))
        else:
            client = stack.enter_context(EventClient(front.port(), path))
        tap = stack.enter_context(Tapped(front, "--all", "--for", "2s"))
        if path == "/private":
            client.send("secret")
            client.recv(20)
        assert tap.process.wait(30) == 1
        tap.until(r"1 tunnels may not be shown \(tap off\)", note=True)
        assert tap.lines == []
    # A reload that forbids it holds for what is open.
    with connect(front.url("/chat", "ws")) as client:
        front.reload("worker_processes 2;\n" + in_http("tap off;" + SERVER))
        with Tapped(front, "--all", "--for", "1s") as tap:
            assert tap.process.wait(30) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_whatever_carries_it(proxy, ws_backend, authority, transport) -> None:
    pair = authority.issue("localhost")
    text = """
        server {
            listen 127.0.0.1:{port:h1};
            listen 127.0.0.1:{port:h2};
            listen 127.0.0.1:{port:h1tls} ssl;
            listen 127.0.0.1:{port:h2tls} ssl;
            http2 on;
            ssl_certificate a.crt;
            ssl_certificate_key a.key;
            location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        }
    """
    front = proxy(in_http(text), ports={"back": ws_backend.port},
                  files={"a.crt": pair.certificate.read_bytes(), "a.key": pair.key.read_bytes()})  # fmt: skip
    with opened(transport, front, "/", authority.client_context()) as client, Tapped(front, "--all") as tap:
        tap.until("a WebSocket", note=True)
        client.send(masked(b"hello", TEXT))
        assert client.hear() == (TEXT, b"hello")
        tap.until(r"client   text +5  hello$")
        tap.until(r"backend  text +5  hello$")


def test_a_file_for_the_developer_tools_and_nothing_secret_in_it(front, tmp_path) -> None:
    path = tmp_path / "a.har"
    with (
        connect(front.url("/chat?room=7", "ws")) as client,
        EventClient(front.port(), "/events") as reader,
        Tapped(front, "--all", "--har", str(path), "--redact", "s3cret[0-9]+") as tap,
    ):
        tap.until("a WebSocket", note=True)
        tap.until("an event stream", note=True)
        client.send("one s3cret17 two")
        client.recv(20)
        front.story.tell()
        reader.until(b"data: event 1\n\n")
        tap.until("data: event 1")
        tap.until(r"backend .* one \[redacted\] two")
        assert tap.end() == 0
    written = path.read_text()
    assert "s3cret" not in written
    entries = {each["_resourceType"]: each for each in json.loads(written)["log"]["entries"]}
    socket = entries["websocket"]
    assert socket["request"]["url"] == f"ws://127.0.0.1:{front.port()}/chat?room=7"
    assert [(each["type"], each["opcode"], each["data"]) for each in socket["_webSocketMessages"]] == [
        (side, 1, "one [redacted] two") for side in ("send", "receive")
    ]
    assert entries["eventsource"]["response"]["content"]["text"].endswith("data: event 1\n\n")


def test_too_many_are_left_out_and_that_is_said(front) -> None:
    with connect(front.url("/chat", "ws"), compression=None, max_queue=None) as client, Tapped(front, "--all") as tap:
        tap.until("a WebSocket", note=True)
        for _ in range(20):
            for number in range(500):
                client.send(str(number))
            for number in range(500):
                assert client.recv(10) == str(number)
        tap.until(r"\d+ frames were left out", note=True)
        assert tap.end() == 0


def test_who_does_not_read_holds_up_nobody(front) -> None:
    with connect(front.url("/chat", "ws"), compression=None) as client, Tapped(front, "--all", "--text", "1000") as tap:
        tap.until("a WebSocket", note=True)
        tap.process.send_signal(signal.SIGSTOP)
        for _ in range(1500):
            client.send("z" * 3000)
            assert client.recv(10) == "z" * 3000
        front.logged(r"tap by .* ended", name="error.log", timeout=60)
        client.send("still there")
        assert client.recv(20) == "still there"
        tap.process.send_signal(signal.SIGCONT)


def test_two_look_at_one_tunnel(front) -> None:
    with connect(front.url("/chat", "ws"), compression=None) as client:
        with Tapped(front, "--all") as one, Tapped(front, "--all", "--from", "backend") as other:
            for tap in (one, other):
                tap.until("a WebSocket", note=True)
            client.send("first")
            client.recv(20)
            for tap in (one, other):
                tap.until("backend  text +5  first")
            one.end()
            eventually(lambda: front.error_log().count("ended after") >= 2)
            client.send("second")
            client.recv(20)
            other.until("backend  text +6  second")
        client.send("third")
        assert client.recv(20) == "third"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say which tunnels to look at"),
        (("--all", "--redact", "("), "is no regular expression"),
        (("--all", "--for", "soon"), "is no time"),
        (("--client", "nowhere"), "takes an address, a network such as"),
    ],
)
def test_arguments_that_make_no_sense(front, arguments, words) -> None:
    with Tapped(front, *arguments) as tap:
        assert tap.process.wait(30) == 2
        tap.until(words, note=True)
