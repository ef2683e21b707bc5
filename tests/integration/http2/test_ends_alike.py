"""However a WebSocket ends, it ends alike over HTTP/1.1 and HTTP/2, with TLS and without: one table, run over all."""

import re
import signal
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.backends import Conversation, half_close, pause, read_until_end, reset
from harness.backends.scripted import Step
from harness.proxy import in_http
from harness.transports import TRANSPORTS, Talker, opened
from harness.waiting import eventually
from harness.wire import CLOSE, TEXT, codes, heard, masked, plain, switch
from penstock.process.asking import ask_workers

FRONT = "worker_processes 1;\n{value:main}\n" + in_http(
    """
    log_format ws '$uri?$args $status $websocket_close_code $websocket_close_from $websocket_end_reason';
    access_log access.log ws;
    websocket_close_timeout 1s;
    {value:http}
    server {
        listen 127.0.0.1:{port:h1};
        listen 127.0.0.1:{port:h2};
        listen 127.0.0.1:{port:h1tls} ssl;
        listen 127.0.0.1:{port:h2tls} ssl;
        http2 on;
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        location / {
            websocket auto;
            websocket_max_message 1000;
            {value:location}
            proxy_pass http://127.0.0.1:{port:back};
        }
    }
    server { listen 127.0.0.1:{port:figures}; metrics; access_log off; }
    """
)


def goodbye(code: int) -> bytes:
    return masked(struct.pack("!H", code), CLOSE)


def answer_close(talk: Conversation) -> None:
    """A backend that answers a close frame as the protocol wants."""
    while not codes(heard(talk)) and talk.fill():
        pass
    talk.socket.sendall(plain(struct.pack("!H", codes(heard(talk))[0]), CLOSE))


def nothing(client: Talker) -> None:
    """The client does nothing by itself."""


def unread(talk: Conversation) -> None:
    """A backend that says more than anybody keeps."""
    talk.socket.sendall(plain(b"x" * (32 << 20)))


@dataclass
class Ended:
    """`sees` is the close code that the client is told (None: it is gone, or not asked), `hears` those the backend gets
    (none: it is gone); `log` is what the access log says of code, side and reason, `counted` the reason in the metrics.
    """

    log: str
    counted: str
    sees: int | None
    hears: list[int]
    act: Callable[[Talker], None] = nothing
    script: list[Step] = field(default_factory=lambda: [answer_close, read_until_end])
    said: bytes = b""
    location: str = ""


LAST = masked(b"last", TEXT)

ENDS = {
    "the client says goodbye": Ended(
        "4001 client closed", "closed", 4001, [4001], lambda client: client.send(goodbye(4001))
    ),
    "the backend says goodbye": Ended(
        "4002 backend closed", "closed", 4002, [4002], script=[plain(struct.pack("!H", 4002), CLOSE), read_until_end]
    ),
    "the client ends without a word": Ended(
        "1006 client client_lost", "client_lost", None, [1001], lambda client: client.finish()
    ),
    "the client is reset": Ended(
        "1006 client client_lost", "client_lost", None, [1001], lambda client: client.vanish()
    ),
    "the client's connection is lost": Ended(
        "1006 client client_lost", "client_lost", None, [1001], lambda client: client.close()
    ),
    "a closed tab": Ended(
        "1001 client closed", "closed", None, [1001], lambda client: client.vanish(LAST + goodbye(1001)), said=b"last"
    ),
    "a closed tab, with an end before the reset": Ended(
        "1001 client closed",
        "closed",
        None,
        [1001],
        lambda client: client.vanish(LAST + goodbye(1001), finished=True),
        said=b"last",
    ),
    "last words and a reset": Ended(
        "1006 client client_lost", "client_lost", None, [1001], lambda client: client.vanish(LAST), said=b"last"
    ),
    "last words, an end and a reset": Ended(
        "1006 client client_lost",
        "client_lost",
        None,
        [1001],
        lambda client: client.vanish(LAST, finished=True),
        said=b"last",
    ),
    "the backend ends": Ended(
        "1014 proxy backend_lost", "backend_lost", 1014, [], script=[pause(0.2), half_close, read_until_end]
    ),
    "the backend is reset": Ended("1014 proxy backend_lost", "backend_lost", 1014, [], script=[pause(0.2), reset]),
    "the client breaks the protocol": Ended(
        "1002 proxy protocol_error", "protocol_error", 1002, [1002], lambda client: client.send(b"\x83\x80\0\0\0\0")
    ),
    "the backend breaks the protocol": Ended(
        "1002 proxy protocol_error", "protocol_error", 1002, [1002], script=[masked(b"masked"), read_until_end]
    ),
    "a message too long": Ended(
        "1009 proxy message_too_big", "message_too_big", 1009, [1001], lambda client: client.send(masked(b"x" * 1001))
    ),
    "silence": Ended(
        "1001 proxy idle_timeout", "idle_timeout", 1001, [1001], location="proxy_read_timeout 500ms;"
    ),
    "a life that is over": Ended(
        "1001 proxy lifetime", "lifetime", 1001, [1001], location="websocket_max_lifetime 500ms jitter=0%;"
    ),
    "a client that answers no ping": Ended(
        "1001 proxy client_ping_timeout",
        "client_ping_timeout",
        None,
        [1001],
        location="websocket_ping 200ms timeout=300ms to=client;",
    ),
    "a backend that answers no ping": Ended(
        "1001 proxy backend_ping_timeout",
        "backend_ping_timeout",
        1001,
        [],
        location="websocket_ping 200ms timeout=300ms to=backend;",
        script=[read_until_end],
    ),
    "a client that takes nothing": Ended(
        "1001 proxy client_send_timeout",
        "client_send_timeout",
        None,
        [1001],
        location="send_timeout 500ms; proxy_read_timeout 1h; websocket_max_message 0;",
        script=[unread, read_until_end],
    ),
}


@pytest.fixture
def begin(proxy, raw_backend, authority):
    """A factory: a front, its backend, and a way to open a client over each transport."""
    pair = authority.issue("localhost")

    def begin(script: list[Step], *, main: str = "", http: str = "", location: str = ""):
        backend = raw_backend([switch, *script])
        front = proxy(
            FRONT,
            ports={"back": backend.port},
            values={
                "crt": pair.certificate,
                "key": pair.key,
                "main": main,
                "http": http,
                "location": location,
            },
        )
        return front, backend

    return begin


def talk_of(backend, transport: str) -> Conversation:
    return next(talk for talk in backend.conversations if f"?{transport} ".encode() in talk.received)


def log_lines(front) -> dict[str, str]:
    return dict(re.findall(r"(?m)^/\?(\w+) \d+ (.*)$", front.access_log()))


def counted(front) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(front.get("/", port="figures").text):
        for sample in family.samples:
            if sample.name == "penstock_tunnel_ends_total" and sample.value:
                found[sample.labels["reason"]] = sample.value
    return found


@pytest.mark.parametrize("name", ENDS)
def test_every_end(begin, authority, name: str) -> None:
    case = ENDS[name]
    front, backend = begin(case.script, location=case.location)
    for transport in TRANSPORTS:
        with opened(transport, front, f"/?{transport}", authority.client_context()) as client:
            case.act(client)
            if case.sees is not None:
                assert client.hear_close() == case.sees, transport
            front.logged(rf"(?m)^/\?{transport} ")
    assert log_lines(front) == dict.fromkeys(TRANSPORTS, case.log)
    for transport in TRANSPORTS:
        talk = talk_of(backend, transport)
        assert talk.ended.wait(10)
        if case.hears:
            assert codes(heard(talk)) == case.hears, transport
        assert b"".join(payload for opcode, payload in heard(talk) if opcode == TEXT) == case.said, transport
    eventually(lambda: counted(front) == {case.counted: len(TRANSPORTS)})


def test_closed_by_hand(begin, authority) -> None:
    front, backend = begin([answer_close, read_until_end])
    with ExitStack() as stack:
        clients = {
            transport: stack.enter_context(opened(transport, front, f"/?{transport}", authority.client_context()))
            for transport in TRANSPORTS
        }
        ask_workers(f"{front.directory}/nginx.control", {"do": "close", "all": True, "code": 4100})
        assert {transport: client.hear_close() for transport, client in clients.items()} == dict.fromkeys(
            TRANSPORTS, 4100
        )
        eventually(lambda: log_lines(front) == dict.fromkeys(TRANSPORTS, "4100 proxy killed"))
    assert [codes(heard(talk_of(backend, transport))) for transport in TRANSPORTS] == [[4100]] * len(TRANSPORTS)
    eventually(lambda: counted(front) == {"killed": len(TRANSPORTS)})


@pytest.mark.parametrize(
    ("main", "http", "number", "code", "reason"),
    [
        ("", "websocket_drain 300ms;", signal.SIGQUIT, 1012, "drain"),
        ("worker_shutdown_timeout 500ms;", "", signal.SIGQUIT, 1001, "shutdown"),
        ("", "", signal.SIGTERM, 1001, "shutdown"),
    ],
    ids=["drain", "timeout", "term"],
)
def test_the_process_ends(begin, authority, main: str, http: str, number, code: int, reason: str) -> None:
    front, backend = begin([answer_close, read_until_end], main=main, http=http)
    with ExitStack() as stack:
        clients = {
            transport: stack.enter_context(opened(transport, front, f"/?{transport}", authority.client_context()))
            for transport in TRANSPORTS
        }
        front.send_signal(number)
        assert {transport: client.hear_close() for transport, client in clients.items()} == dict.fromkeys(
            TRANSPORTS, code
        )
        eventually(lambda: log_lines(front) == dict.fromkeys(TRANSPORTS, f"{code} proxy {reason}"))
    for transport in TRANSPORTS:
        talk = talk_of(backend, transport)
        assert talk.ended.wait(10)
        assert codes(heard(talk)) == [code], transport
