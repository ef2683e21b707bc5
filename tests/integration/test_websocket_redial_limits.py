"""Who has a say in a redial: authorization, admission, `max_conns`, a drain, who closes tunnels, who looks on."""

from __future__ import annotations

import signal
import threading

import pytest

from harness.backends import HttpEcho, hold, read_head
from harness.backends.scripted import Conversation, until
from harness.proxy import in_http
from harness.transports import TRANSPORTS, opened
from harness.waiting import eventually
from harness.wire import BINARY, CLOSE, PING, PONG, WireClient, codes, heard, masked, plain, switch
from integration.test_event_streams import listed
from integration.test_tap import Tapped
from integration.test_websocket_redial import FORMAT, redial_header, until_heard

BUSY = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
LOSES = [switch, until_heard(b"one")]
"""A backend that is gone when it has heard a word."""
SITE = """
    MORE
    upstream app { GROUP }
    server {
        listen 127.0.0.1:{port:front};
        websocket auto;
        websocket_close_timeout 500ms;
        location / { websocket_redial 20s tries=6; proxy_pass http://app; LINES }
        location = /auth { internal; proxy_pass http://127.0.0.1:{port:auth}; }
    }
"""
SERVERS = "server 127.0.0.1:{port:one}MARK; server 127.0.0.1:{port:two}MARK backup;"


@pytest.fixture
def started(proxy, raw_backend):
    """Start a proxy before two backends with these scripts: it, and the two."""

    def start(
        one, two, *, lines: str = "", mark: str = "", group: str = "", more: str = "", main: str = "", auth: int = 1
    ):
        back = raw_backend(*one), raw_backend(*two)
        text = SITE.replace("GROUP", group + SERVERS.replace("MARK", mark)).replace("LINES", lines)
        ports = {"one": back[0].port, "two": back[1].port, "auth": auth}
        return proxy(main + in_http(FORMAT + text.replace("MORE", more)), ports=ports), *back

    return start


class Judge:
    """Answers `websocket_reauth` with these statuses, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self._left = list(statuses)
        self.echo = HttpEcho(respond=self._respond)

    def _respond(self, request: object) -> bytes:
        return b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self._left.pop(0)

    @property
    def port(self) -> int:
        return self.echo.port

    @property
    def asked(self) -> list[str | None]:
        """The cookies that it was asked with."""
        return [each.header("Cookie") for each in self.echo.requests]


REAUTH = "websocket_reauth 1h /auth code=4401;"


def test_who_may_no_longer_is_closed_and_no_backend_hears_of_it(started) -> None:
    judge = Judge(403)
    front, _, two = started([LOSES], [[switch, hold]], lines=REAUTH, auth=judge.port)
    with WireClient(front.port(), more="Cookie: who=me\r\n") as client:
        client.send(masked(b"one"))
        assert client.answer_close() == 4401
    assert judge.asked == ["who=me"]
    assert not two.conversations
    front.logged("4401 reauth", name="access.log")


def test_authorization_is_asked_for_before_each_try(started) -> None:
    """Where nobody can say, that is a try in vain; so is a handshake that is refused."""
    judge = Judge(500, 200, 204)

    def busy_at_first(talk: Conversation) -> None:
        read_head(talk)
        if len(judge.asked) < 3:
            talk.socket.sendall(BUSY)
            return
        switch(talk)
        talk.socket.sendall(plain(b"goes on"))
        hold(talk)

    front, one, two = started([LOSES, [busy_at_first]], [[busy_at_first]], lines=REAUTH, auth=judge.port)
    with WireClient(front.port(), timeout=30) as client:
        client.send(masked(b"one"))
        assert client.frame() == (BINARY, b"goes on")
    assert len(judge.asked) == 3
    assert len(one.conversations) + len(two.conversations) > 2


def test_a_full_server_is_nobody_to_go_on_with(started) -> None:
    """Both have one place. The other's is taken; the place of the one that was lost is free again."""
    front, one, two = started(
        [LOSES, [switch, plain(b"back"), hold]], [[switch, plain(b"two"), hold]], mark=" max_conns=1"
    )
    with WireClient(front.port()) as client, WireClient(front.port()) as other:
        assert other.frame() == (BINARY, b"two")
        client.send(masked(b"one"))
        assert client.frame() == (BINARY, b"back")
        assert (len(one.conversations), len(two.conversations)) == (2, 1)


def test_redials_wait_for_their_admission(started) -> None:
    """One handshake may be under way: the second client's redial begins when the first one's is over."""
    first, second = threading.Event(), threading.Event()

    front, _, two = started(
        [LOSES, LOSES],
        [[read_head, until(told), switch, plain(b"two"), hold] for told in (first, second)],
        group="websocket_admission in_progress=1 queue=30s;",
        mark=" max_fails=0",
    )
    with WireClient(front.port()) as one, WireClient(front.port()) as other:
        for client in (one, other):
            client.send(masked(b"one"))
        eventually(lambda: [each["state"] for each in listed(front)] == ["held", "held"])
        eventually(lambda: two.conversations)
        assert len(two.conversations) == 1
        first.set()
        eventually(lambda: len(two.conversations) == 2)
        second.set()
        assert one.frame() == other.frame() == (BINARY, b"two")


@pytest.mark.parametrize("how", ["by hand", "drain", "shutdown"])
def test_a_held_client_is_closed_as_any_other(started, how: str) -> None:
    ready = threading.Event()

    front, _, two = started(
        [LOSES],
        [[read_head, until(ready), switch, hold]],
        more="websocket_drain 200ms code=4012;" if how == "drain" else "",
        main="worker_shutdown_timeout 500ms;\n" if how == "shutdown" else "",
    )
    with WireClient(front.port()) as client:
        client.send(masked(b"one"))
        eventually(lambda: [each["state"] for each in listed(front)] == ["held"])
        eventually(lambda: two.conversations)
        if how == "by hand":
            command = ["tunnels", "close", "--state", "held", "--code", "4001", "--reason", "enough"]
            assert control(front, *command) == 0
        else:
            front.send_signal(signal.SIGQUIT)
        opcode, payload = client.frame()
        assert opcode == CLOSE
        code = {"by hand": 4001, "drain": 4012, "shutdown": 1001}[how]
        assert payload == code.to_bytes(2, "big") + (b"enough" if how == "by hand" else payload[2:])
        client.send(masked(payload[:2], CLOSE))
        assert client.recv_all() == b""
    ready.set()
    assert two.conversations[0].ended.wait(30)
    assert heard(two.conversations[0]) == [], "it is left without a word"
    if how == "by hand":
        assert listed(front) == []


def control(front, *words: str) -> int:
    from penstock.cli.main import main

    return main([*words, "--socket", f"{front.directory}/nginx.control"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_whatever_carries_the_client(proxy, authority, raw_backend, transport: str) -> None:
    ready = threading.Event()

    pair = authority.issue("localhost")
    text = """
        upstream app { server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two} backup; }
        server {
            listen 127.0.0.1:{port:h1};
            listen 127.0.0.1:{port:h2};
            listen 127.0.0.1:{port:h1tls} ssl;
            listen 127.0.0.1:{port:h2tls} ssl;
            http2 on;
            ssl_certificate a.crt;
            ssl_certificate_key a.key;
            location / { websocket auto; websocket_redial 20s; proxy_pass http://app; }
        }
    """
    lost = raw_backend([switch, until_heard(b"one"), plain(b"from one")])
    heir = raw_backend([read_head, until(ready), switch, until_heard(b"x" * 30_000, b"two"), plain(b"both"),
                        until_heard(b"x" * 30_000, b"two", b"three"), plain(b"\x03\xe8", CLOSE), hold])  # fmt: skip
    files = {"a.crt": pair.certificate.read_bytes(), "a.key": pair.key.read_bytes()}
    front = proxy(in_http(text), ports={"one": lost.port, "two": heir.port}, files=files)
    with opened(transport, front, "/", authority.client_context()) as client:
        client.send(masked(b"one"))
        assert client.hear() == (BINARY, b"from one")
        eventually(lambda: heir.conversations)
        client.send(masked(b"x" * 30_000) + masked(b"there?", PING))
        assert client.hear() == (PONG, b"there?")
        client.send(masked(b"two"))
        ready.set()
        assert client.hear() == (BINARY, b"both")
        client.send(masked(b"three"))
        assert client.hear_close() == 1000
    assert redial_header(heir.conversations[0]).endswith("count=1, reason=lost")
    eventually(lambda: codes(heard(heir.conversations[0])) == [1000])


def test_who_looks_on_goes_on_seeing_it(started) -> None:
    front, _, two = started(
        [[switch, until_heard(b"one"), plain(b"from one"), until_heard(b"one", b"go")]],
        [[switch, until_heard(b"two"), plain(b"from two"), hold]],
    )
    with WireClient(front.port()) as client:
        (name,) = [each["id"] for each in listed(front)]
        with Tapped(front, name) as tap:
            tap.until("a WebSocket", note=True)
            client.send(masked(b"one"))
            tap.until("client   binary +3  one")
            tap.until("backend  binary +8  from one")
            client.send(masked(b"go"))
            eventually(lambda: two.conversations)
            client.send(masked(b"two"))
            tap.until("client   binary +3  two")
            tap.until("backend  binary +8  from two")
            client.frame()
            assert client.frame() == (BINARY, b"from two")
            assert tap.end() == 0
        assert not any("has ended" in each for each in tap.notes)
