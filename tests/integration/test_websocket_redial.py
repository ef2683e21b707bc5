"""WebSockets whose backend is lost: the client stays, and another backend goes on, between two messages."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

from harness.backends import RawBackend, hold, read_head, reset
from harness.backends.scripted import Conversation, until
from harness.crowd_frames import HANDSHAKE_ACCEPT, masked, plain
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import BINARY, CLOSE, PING, PONG, TEXT, WireClient, codes, heard, switch

FORMAT = (
    "log_format ws '$request_uri $websocket_close_code $websocket_end_reason redials=$websocket_redials "
    "to=$upstream_addr';\naccess_log access.log ws;\n"
)
SITE = """
    upstream app { server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
    server {
        listen 127.0.0.1:{port:front};
        websocket auto;
        websocket_close_timeout 500ms;
        location / { websocket_redial 5s tries=4 quiet=50ms; proxy_pass http://app; }
        location /small { websocket_redial 5s buffer=4k; proxy_pass http://app; }
        location /told { websocket_redial 5s announce=text:again header=X-Again; proxy_pass http://app; }
        location /clean { websocket_redial 5s codes=1012,4000-4002; proxy_pass http://app; }
        location /patient { websocket_redial 5s; websocket_close_timeout 60s; proxy_pass http://app; }
        location /short { websocket_redial 600ms tries=3; proxy_pass http://app; }
    }
"""


class Pair:
    """Two backends; each does what its script says after the handshake."""

    def __init__(self, proxy, one, two) -> None:
        self.one = RawBackend(*one)
        self.two = RawBackend(*two)
        self.front = proxy(in_http(FORMAT + SITE), ports={"one": self.one.port, "two": self.two.port})

    def client(self, target: str = "/", more: str = "") -> WireClient:
        return WireClient(self.front.port(), target, more=more)


@pytest.fixture
def pair(proxy) -> Iterator:
    made = []

    def start(one, two) -> Pair:
        made.append(Pair(proxy, one, two))
        return made[-1]

    yield start
    for each in made:
        each.one.close()
        each.two.close()


def until_heard(*texts: bytes):
    """Read until all of these messages have come."""

    def step(talk: Conversation) -> None:
        while [payload for opcode, payload in heard(talk) if opcode == BINARY] != list(texts) and talk.fill():
            pass

    return step


def redial_header(talk: Conversation, name: str = "penstock-redial") -> str:
    head = talk.received.partition(b"\r\n\r\n")[0].decode("latin-1")
    found = re.findall(rf"^{name}: (.*)\r?$", head, re.IGNORECASE | re.MULTILINE)
    assert len(found) == 1, head
    return found[0].strip()


GOODBYE = masked(b"\x03\xe8", CLOSE)


@pytest.mark.parametrize("how", ["ends", "reset"])
def test_another_backend_goes_on(pair, how: str) -> None:
    both = pair(
        [[switch, until_heard(b"one"), plain(b"from one"), *([reset] if how == "reset" else [])]],
        [[switch, until_heard(b"two"), plain(b"from two"), hold]],
    )
    asked = "Penstock-Redial: id=mine, count=9\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    with both.client(more=asked) as client:
        client.send(masked(b"one"))
        assert client.frame() == (BINARY, b"from one")
        eventually(lambda: both.two.conversations)
        client.send(masked(b"two"))
        assert client.frame() == (BINARY, b"from two")
        client.send(GOODBYE)
    first, second = redial_header(both.one.conversations[0]), redial_header(both.two.conversations[0])
    assert re.fullmatch(r'id="[0-9a-f]{32}", count=0', first)
    assert second == first.replace("count=0", "count=1, reason=lost")
    assert b"permessage-deflate" not in both.one.conversations[0].received
    assert both.front.logged("redials=1", name="access.log").group().startswith("redials=1")


def test_the_log_names_the_first_servers_and_the_last(proxy) -> None:
    """A client may stay for years, and have thousands of backends."""
    with RawBackend(*[[switch]] * 30, [switch, hold]) as back:
        text = FORMAT.replace("to=$upstream_addr", "took=$upstream_response_time") + SITE
        text = text.replace("server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two};", "server 127.0.0.1:{port:one};")
        front = proxy(in_http(text), ports={"one": back.port})
        with WireClient(front.port(), "/short") as client:
            eventually(lambda: back.connections == 31, 60, why="thirty backends hang up, one after the other")
            client.send(GOODBYE)
        line = front.logged("/short .*", name="access.log").group()
    assert len(re.split(", | : ", line.partition("took=")[2])) == 16


def test_what_comes_while_there_is_nobody_is_kept_and_pings_are_answered(pair) -> None:
    ready = threading.Event()
    both = pair(
        [[switch, until_heard(b"one")]],
        [[read_head, until(ready), switch, until_heard(b"two", b"three"), plain(b"both"), hold]],
    )
    with both.client() as client:
        client.send(masked(b"unanswered", PING) + masked(b"one"))
        assert client.frame() == (PONG, b"unanswered"), "the one that was lost did not answer"
        eventually(lambda: both.two.conversations)
        client.send(masked(b"two") + masked(b"there?", PING) + masked(b"three"))
        assert client.frame() == (PONG, b"there?")
        ready.set()
        assert client.frame() == (BINARY, b"both")


def test_a_message_that_was_sent_in_part_is_sent_again_whole(pair) -> None:
    message = masked(bytes(range(256)) * 20)

    def half(talk: Conversation) -> None:
        while len(talk.received.partition(b"\r\n\r\n")[2]) < 2000 and talk.fill():
            pass

    both = pair([[switch, half]], [[switch, until_heard(bytes(range(256)) * 20), plain(b"whole"), hold]])
    with both.client() as client:
        client.send(message[:2000])
        eventually(lambda: both.two.conversations)
        client.send(message[2000:])
        assert client.frame() == (BINARY, b"whole")


@pytest.mark.parametrize(
    ("said", "code"),
    [(b"\x01\x03par", [1012]), (b"\x82\x05torn", []), (b"\x82\x05", [])],
    ids=["between frames", "inside a frame", "behind a header"],
)
def test_a_message_that_a_backend_leaves_unfinished_ends_the_websocket(pair, said: bytes, code: list[int]) -> None:
    """Where a frame is under way, no close frame has a place."""
    both = pair([[switch, until_heard(b"one"), said]], [[switch, hold]])
    with both.client() as client:
        client.send(masked(b"one"))
        got = client.recv_all()
        assert got.startswith(said)
        assert [got[len(said) + 2 :][:2]] == [code[0].to_bytes(2, "big")] if code else got == said
    assert not both.two.conversations


def test_a_message_that_is_not_kept_ends_it_too(pair) -> None:
    both = pair([[switch, until_length(6000)]], [[switch, hold]])
    with both.client("/small") as client:
        client.send(masked(b"x" * 100_000)[:6100])
        assert codes(client.frames_until_end()) == [1012]
    assert both.front.logged("redial_failed", name="access.log")


def until_length(count: int):
    def step(talk: Conversation) -> None:
        while len(talk.received.partition(b"\r\n\r\n")[2]) < count and talk.fill():
            pass

    return step


@pytest.mark.parametrize("code", [1012, 4001])
def test_a_goodbye_with_one_of_the_codes_is_none_for_the_client(pair, code: int) -> None:
    both = pair(
        [[switch, until_heard(b"one"), plain(code.to_bytes(2, "big") + b"bye", CLOSE), hold]],
        [[switch, plain(b"hello"), hold]],
    )
    with both.client("/clean") as client:
        client.send(masked(b"one"))
        assert client.frame() == (BINARY, b"hello")
    assert redial_header(both.two.conversations[0]).endswith(f"count=1, reason={code}")
    assert codes(heard(both.one.conversations[0])) == [code], "who says goodbye is answered"


@pytest.mark.parametrize(("target", "said", "seen"), [("/", 1000, 1000), ("/clean", 1001, 1001), ("/clean", 0, 1014)])
def test_any_other_end_is_an_end(pair, target: str, said: int, seen: int) -> None:
    ends = [plain(said.to_bytes(2, "big"), CLOSE), hold] if said else []
    both = pair([[switch, until_heard(b"one"), *ends]], [[switch, hold]])
    with both.client(target) as client:
        client.send(masked(b"one"))
        assert client.answer_close() == seen
    assert not both.two.conversations


def test_the_client_may_be_told(pair) -> None:
    both = pair([[switch, until_heard(b"one")]], [[switch, plain(b"hello"), hold]])
    with both.client("/told") as client:
        client.send(masked(b"one"))
        assert client.frame() == (TEXT, b"again")
        assert client.frame() == (BINARY, b"hello")
    assert redial_header(both.two.conversations[0], "x-again").endswith("count=1, reason=lost")


def test_nobody_is_there(pair) -> None:
    busy = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    both = pair([[switch, until_heard(b"one")], [read_head]], [[read_head, busy]])
    with both.client("/short") as client:
        client.send(masked(b"one"))
        assert codes(client.frames_until_end()) == [1012]
    both.front.logged("no upstream goes on with a WebSocket", name="error.log")


def test_another_subprotocol_is_another_conversation(pair) -> None:
    agreed = b"Sec-WebSocket-Protocol: a\r\n"

    def choose(talk: Conversation) -> None:
        talk.socket.sendall(_accepted(agreed))

    both = pair([[read_head, choose, until_heard(b"one")]], [[switch, hold]])
    with both.client(more="Sec-WebSocket-Protocol: a, b\r\n") as client:
        client.send(masked(b"one"))
        assert codes(client.frames_until_end()) == [1012]
    both.front.logged("another subprotocol", name="error.log")


def _accepted(more: bytes) -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + HANDSHAKE_ACCEPT.encode() + b"\r\n" + more + b"\r\n"
    )


def test_a_client_that_leaves_while_there_is_nobody(pair) -> None:
    """What it said before its goodbye is delivered, and the goodbye behind it."""
    ready = threading.Event()
    both = pair(
        [[switch, until_heard(b"one")]],
        [[read_head, until(ready), switch, until_heard(b"last"), plain(b"\x03\xe8", CLOSE), hold]],
    )
    with both.client() as client:
        client.send(masked(b"one"))
        eventually(lambda: both.two.conversations)
        client.send(masked(b"last") + GOODBYE)
        ready.set()
        assert client.frame() == (CLOSE, b"\x03\xe8")
    eventually(lambda: codes(heard(both.two.conversations[0])) == [1000])
    with both.client() as client:
        client.send(masked(b"one"))
    both.front.logged("client_lost", name="access.log")


def test_a_goodbye_of_a_client_that_is_gone_is_delivered_too(pair) -> None:
    """A read that is its close frame alone, and its FIN behind that, while there is nobody."""
    ready = threading.Event()
    both = pair([[switch, until_heard(b"one")]], [[read_head, until(ready), switch, hold]])
    with both.client("/patient") as client:
        client.send(masked(b"one"))
        eventually(lambda: both.two.conversations)
        client.send(masked(b"last", PING))
        assert client.frame() == (PONG, b"last")
        client.send(GOODBYE)
        client.half_close()
        ready.set()
        eventually(lambda: codes(heard(both.two.conversations[0])) == [1000])


def test_who_breaks_the_protocol_while_there_is_nobody_is_told(pair) -> None:
    both = pair([[switch, until_heard(b"one")]], [[read_head, hold]])
    with both.client() as client:
        client.send(masked(b"one"))
        eventually(lambda: both.two.conversations)
        client.send(masked(b"kept") + b"\x01\x80mask" + b"\x81\x80mask" + b"\x00")
        assert codes(client.frames_until_end()) == [1002]
    both.front.logged("1002 protocol_error", name="access.log")


def test_a_goodbye_amid_a_message_that_is_not_kept_ends_it_at_once(pair) -> None:
    """Nobody waits for the backend to hang up: it has its answer, and the client its close frame."""
    both = pair([[switch, until_length(6000), plain(b"\x03\xf4", CLOSE), hold]], [[switch, hold]])
    with both.client("/small") as client:
        client.send(masked(b"x" * 100_000)[:6100])
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, b"\x03\xf4")
    both.front.logged("1012 redial_failed", name="access.log")


def test_one_alone_that_comes_back(proxy) -> None:
    """A group of one: whoever was lost is dialled again, until it is there."""
    site = """server { listen 127.0.0.1:{port:front}; websocket auto; websocket_redial 10s tries=8;
        location / { proxy_pass http://127.0.0.1:{port:back}; } }"""
    first = RawBackend([switch, until_heard(b"one")])
    front = proxy(in_http(FORMAT + site), ports={"back": first.port})
    with WireClient(front.port()) as client:
        first.close()
        with RawBackend([switch, plain(b"back"), hold], port=first.port):
            assert client.frame() == (BINARY, b"back")
