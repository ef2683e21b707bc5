"""HTTP/2 toward backends: requests as streams of shared connections, and what becomes of those that end badly."""

import hashlib
import os
import signal
import threading
import time

import pytest
from h2.settings import SettingCodes

from harness.backends import HttpEcho
from harness.backends.http2 import Asked, Http2Backend
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually

REFUSED_STREAM, CANCEL, INTERNAL_ERROR, NO_ERROR = 7, 8, 2, 0
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 8, 9
CONFIGURATION = "error_log error.log info;" + in_http(
    """
    log_format up "$request $status $upstream_status [$upstream_addr] $upstream_response_length";
    access_log access.log up;
    upstream kept { server 127.0.0.1:{port:back}; keepalive 4; }
    upstream short { server 127.0.0.1:{port:back}; keepalive 4; keepalive_timeout 300ms; }
    upstream few { server 127.0.0.1:{port:back}; keepalive 4; keepalive_requests 2; }
    server {
        listen 127.0.0.1:{port:front};
        client_max_body_size 64m;
        proxy_http_version 2;
        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /kept { proxy_pass http://kept; }
        location /short { proxy_pass http://short; }
        location /few { proxy_pass http://few; }
        location /slow { proxy_buffering off; proxy_pass http://kept; }
        location /late { proxy_read_timeout 300ms; proxy_pass http://kept; }
        location /stream { proxy_request_buffering off; proxy_pass http://kept; }
        location /trailers { proxy_pass_trailers on; proxy_set_header TE trailers; proxy_pass http://kept; }
        location /hints { early_hints 1; proxy_pass http://kept; }
        location /set/ {
            proxy_set_header Host a.example;
            proxy_set_header X-Path $uri;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_pass http://kept;
        }
    }
    """
)


def start(proxy, backend, text: str = CONFIGURATION, **more):
    return proxy(text, ports={"back": backend.port}, **more)


def echo(asked: Asked) -> None:
    asked.answer(bytes(asked.body) or b"-", ("content-type", "text/plain"), ("x-connection", str(asked.talk.number)))


def head_of(front, lines: str, port: str | None = None) -> bytes:
    """What comes to these lines, until the connection ends."""
    with RawClient(front.port(port)) as client:
        client.send(lines.replace("\n", "\r\n").encode("latin-1"))
        return client.recv_all()


def at_once(front, targets: list[str]) -> list:
    """The answers to as many requests at a time."""
    answers: list = [None] * len(targets)

    def ask(number: int) -> None:
        answers[number] = front.get(targets[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(targets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return answers


# Requests and answers


def test_a_request_is_fields_and_nothing_of_the_clients_hop(proxy) -> None:
    with Http2Backend(echo) as backend:
        front = start(proxy, backend)
        head_of(
            front,
            "GET /set/a?b=c HTTP/1.1\nHost: x\nConnection: close, Upgrade, HTTP2-Settings\nUpgrade: h2c\n"
            "HTTP2-Settings: AAMAAABkAAQAAP__\nKeep-Alive: 5\nProxy-Connection: x\nTE: gzip\nExpect: y\n"
            "X-Mine: Z\nCookie: a=b\n\n",
        )
        asked = backend.requests[0]
        assert asked.fields[:4] == [
            (":method", "GET"), (":scheme", "http"), (":path", "/set/a?b=c"), (":authority", "a.example")
        ]
        assert dict(asked.fields[4:]) == {"x-path": "/set/a", "x-mine": "Z", "cookie": "a=b"}


def test_what_would_end_a_field_early_is_not_sent(proxy) -> None:
    with Http2Backend(echo) as backend:
        front = start(proxy, backend)
        assert front.get("/set/%0d%0ax-evil:%201").status == 200
        assert dict(backend.requests[0].fields)["x-path"] == "/set/%0D%0Ax-evil: 1"
        front.logged(r'"proxy_set_header X-Path" \(.*have been percent-encoded', name="error.log")


@pytest.mark.parametrize("status", [200, 204, 304, 404])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_with_and_without_a_body(proxy, status: int, method: str) -> None:
    def answer(asked: Asked) -> None:
        if method == "HEAD" or status in (204, 304):
            asked.head(status, *([("content-length", "5")] if status not in (204,) else []), ended=True)
        else:
            asked.answer(b"hello", ("content-length", "5"), status=status)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        line = f"{method} /kept HTTP/1.1\nHost: x\n"
        made = head_of(front, f"{line}\n{line}Connection: close\n\n")
        assert made.count(f"HTTP/1.1 {status} ".encode()) == 2
        assert made.count(b"hello") == (2 if method == "GET" and status in (200, 404) else 0)
        assert backend.connections == 1


@pytest.mark.parametrize("where", ["/kept", "/stream"])
def test_bodies_go_both_ways_whole(proxy, where: str) -> None:
    data = os.urandom(3_000_000)
    with Http2Backend(echo, settings={SettingCodes.INITIAL_WINDOW_SIZE: 20000}) as backend:
        front = start(proxy, backend)
        answered = front.get(where, method="POST", body=data)
        assert hashlib.sha256(answered.body).digest() == hashlib.sha256(data).digest()
        assert backend.requests[0].field("content-length") == str(len(data))
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(data[at : at + 70000]), data[at : at + 70000])
                           for at in range(0, len(data), 70000)) + b"0\r\n\r\n"
        with RawClient(front.port()) as client:
            client.send(
                f"POST {where} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
            )
            threading.Thread(target=client.send, args=(chunked,), daemon=True).start()
            client.recv_all()
        assert bytes(backend.requests[1].body) == data
        assert backend.requests[1].field("transfer-encoding") is None


def test_small_windows_on_both_sides(proxy) -> None:
    """A piece for which there is half the room goes in two, and nothing of it twice."""
    data = os.urandom(60_000)
    with Http2Backend(echo, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1500}) as backend:
        front = start(proxy, backend, CONFIGURATION.replace("server {", "server { http2 on;", 1))
        assert front.get("/kept").status == 200
        with Http2Client(front.port(), settings={SettingCodes.INITIAL_WINDOW_SIZE: 1100}) as client:
            for path in ("/kept", "/stream", "/slow"):
                for size in (1100, 2000, 9000, 60_000):
                    stream = client.open(path, method="POST", ended=False)
                    client.send(stream, data[:size], ended=True)
                    assert bytes(client.read(stream).body) == data[:size]
        assert backend.connections == 1


def test_trailers_and_early_hints(proxy) -> None:
    def answer(asked: Asked) -> None:
        asked.head(103, ("link", "</a.css>; rel=preload"))
        asked.head(200)
        asked.data(b"body")
        asked.talk.head(asked.stream, [("x-sum", "9"), ("set-cookie", "a=b"), ("content-type", "a/b")], ended=True)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        made = head_of(front, "GET /trailers HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert made.endswith(b"4\r\nbody\r\n0\r\nx-sum: 9\r\n\r\n")
        assert backend.requests[0].field("te") == "trailers"
        made = head_of(front, "GET /hints HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert made.startswith(b"HTTP/1.1 103 ") and b"rel=preload" in made and b"HTTP/1.1 200 OK" in made


def test_over_tls_by_alpn(proxy, authority) -> None:
    pair = authority.issue("back.example")
    text = CONFIGURATION.replace("http://kept", "https://kept").replace(
        "client_max_body_size",
        f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority.certificate}; "
        "proxy_ssl_name back.example; client_max_body_size",
    )
    seen = []

    def answer(asked: Asked) -> None:
        seen.append(asked.talk.socket.selected_alpn_protocol())  # type: ignore[attr-defined]
        echo(asked)

    with Http2Backend(answer, tls=authority.server_context(pair)) as backend:
        front = start(proxy, backend, text)
        data = os.urandom(500_000)
        assert front.get("/kept", method="POST", body=data).body == data
        assert front.get("/kept").status == 200
        assert seen == ["h2", "h2"] and backend.connections == 1
        assert backend.requests[0].field(":scheme") == "https"


# Connections


def test_many_requests_share_one_connection(proxy) -> None:
    held: list[Asked] = []

    def answer(asked: Asked) -> None:
        held.append(asked)
        if len(held) == 20:
            for each in held:
                echo(each)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        answers = at_once(front, ["/kept"] * 20)
        assert [each.status for each in answers] == [200] * 20
        assert backend.connections == 1


def test_no_more_streams_than_the_backend_allows(proxy) -> None:
    most, lock, now = [0], threading.Lock(), [0]

    def answer(asked: Asked) -> None:
        with lock:
            now[0] = sum(not each.ended or not getattr(each, "done", False) for each in asked.talk.asked.values())
            most[0] = max(most[0], now[0])

        def later() -> None:
            asked.done = True  # type: ignore[attr-defined]
            echo(asked)

        threading.Timer(0.3, later).start()

    with Http2Backend(answer, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3}) as backend:
        front = start(proxy, backend)
        answers = at_once(front, ["/kept"] * 8)
        assert [each.status for each in answers] == [200] * 8
        assert most[0] <= 3
        assert 3 <= backend.connections <= 8


def test_a_slow_reader_does_not_hold_up_the_others(proxy) -> None:
    big = bytes(20_000_000)

    def answer(asked: Asked) -> None:
        if asked.path == "/slow":
            asked.head(200)
            asked.data(big, ended=True)
        else:
            echo(asked)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        with RawClient(front.port()) as client:
            client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            eventually(lambda: len(backend.requests) == 1)
            for _ in range(20):
                assert front.get("/slow/not").status == 200
            assert backend.connections == 1
            assert len(client.recv_all()) > len(big)


def test_connections_are_kept_as_configured(proxy) -> None:
    with Http2Backend(echo) as backend:
        front = start(proxy, backend)
        for _ in range(3):
            assert front.get("/").status == 200
        assert backend.connections == 3
        eventually(lambda: backend.ended == {0, 1, 2})
        for _ in range(3):
            assert front.get("/kept").status == 200
        assert backend.connections == 4
        for _ in range(4):
            assert front.get("/few").status == 200
        assert backend.connections == 6
        assert front.get("/short").status == 200
        eventually(lambda: 6 in backend.ended)
        assert 3 not in backend.ended
        front.reload()
        eventually(lambda: 3 in backend.ended)


def test_a_connection_on_which_nothing_comes_is_not_used_again(proxy) -> None:
    with Http2Backend(lambda asked: echo(asked) if asked.path == "/kept" else None) as backend:
        front = start(proxy, backend)
        assert front.get("/kept").status == 200
        assert front.get("/late").status == 504
        assert backend.connections == 1
        assert front.get("/late").status == 504
        assert backend.connections == 2
        eventually(lambda: all(each.reset == CANCEL for each in backend.requests[1:]))


def test_a_client_that_leaves_costs_its_stream_only(proxy) -> None:
    with Http2Backend(lambda asked: echo(asked) if asked.path != "/kept/held" else None) as backend:
        front = start(proxy, backend)
        with RawClient(front.port()) as client:
            client.send(b"GET /kept/held HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: len(backend.requests) == 1)
        eventually(lambda: backend.requests[0].reset == CANCEL)
        assert front.get("/kept").status == 200
        assert backend.connections == 1
        # What comes for it all the same is nobody's.
        backend.talks[0].raw(b"\0\0\1\1\4\0\0\0\1\x88" + b"\0\0\3\0\1\0\0\0\1abc")
        assert front.get("/kept").status == 200
        assert backend.connections == 1


def test_clients_that_come_and_go_do_not_make_a_backend_end_what_others_share(proxy) -> None:
    """It would take so many resets for an attack."""
    with Http2Backend(lambda asked: echo(asked) if asked.path == "/kept" else None) as backend:
        front = start(proxy, backend)
        for turn in range(3):
            clients = [RawClient(front.port()) for _ in range(50)]
            for client in clients:
                client.send(b"GET /kept/held HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda turn=turn: len(backend.requests) == 50 * (turn + 1))
            for client in clients:
                client.close()
            eventually(lambda: all(each.reset == CANCEL for each in backend.requests))
        for number in range(backend.connections):
            assert sum(each.talk.number == number for each in backend.requests) <= 60
        assert front.get("/kept").status == 200


# What goes wrong


@pytest.mark.parametrize("how", ["refused", "goaway"])
def test_what_was_not_looked_at_is_sent_again_whatever_the_method(proxy, how: str) -> None:
    def answer(asked: Asked) -> None:
        if len(backend.requests) > 2:
            echo(asked)
        elif how == "refused":
            asked.cancel(REFUSED_STREAM)
        else:
            asked.talk.goaway(0)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        answered = front.get("/kept", method="POST", body=b"data")
        assert answered.status == 200 and answered.body == b"data"
        assert len(backend.requests) == 3
        front.logged(r"POST /kept HTTP/1.1 200 502, 502, 200 \[")
        assert "[error]" not in front.error_log(), "nothing has gone wrong"


def test_a_backend_that_always_refuses_is_given_up(proxy) -> None:
    with Http2Backend(lambda asked: asked.cancel(REFUSED_STREAM)) as backend:
        front = start(proxy, backend)
        assert front.get("/kept", method="POST", body=b"data").status == 502
        assert len(backend.requests) == 3
        front.logged(r"upstream rejected request with error 7 \(REFUSED_STREAM\)", name="error.log")


def test_requests_that_are_given_back_together_again_and_again(proxy) -> None:
    """A server that takes one request on each connection: somebody is given back as often as there are others."""

    def answer(asked: Asked) -> None:
        if asked.talk.asked[min(asked.talk.asked)] is asked:
            echo(asked)
            asked.talk.goaway(asked.stream)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        assert [each.status for each in at_once(front, ["/kept"] * 12)] == [200] * 12
        assert "[error]" not in front.error_log()


def test_other_resets_are_for_proxy_next_upstream(proxy) -> None:
    def answer(asked: Asked) -> None:
        if len(backend.requests) == 1:
            asked.cancel(INTERNAL_ERROR)
        else:
            echo(asked)

    text = CONFIGURATION.replace(
        "upstream kept { server 127.0.0.1:{port:back};",
        "upstream kept { server 127.0.0.1:{port:back}; server 127.0.0.1:{port:back};",
    )
    with Http2Backend(answer) as backend:
        front = start(proxy, backend, text)
        assert front.get("/kept", method="POST", body=b"data").status == 502
        assert len(backend.requests) == 1
        assert front.get("/kept", method="POST", body=b"data").status == 200


def test_goaway_lets_what_is_under_way_end(proxy) -> None:
    def answer(asked: Asked) -> None:
        asked.head(200)
        asked.data(b"first ")
        if asked.talk.number == 0:
            asked.talk.goaway(asked.stream)
        time.sleep(0.2)
        asked.data(b"second", ended=True)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        assert front.get("/kept").body == b"first second"
        assert front.get("/kept").body == b"first second"
        assert backend.connections == 2
        eventually(lambda: 0 in backend.ended)


def test_an_answer_before_the_end_of_the_request_is_an_answer(proxy) -> None:
    def answer(asked: Asked) -> None:
        asked.answer(b"too much", status=413)
        asked.cancel(NO_ERROR)

    with Http2Backend(answer, early=True) as backend:
        front = start(proxy, backend)
        answered = front.get("/kept", method="POST", body=bytes(5_000_000))
        assert answered.status == 413 and answered.body == b"too much"
        assert front.get("/kept").status == 413
        assert backend.connections == 1


LIES = {
    "a coding of HTTP/1.1": ([(":status", "200"), ("transfer-encoding", "gzip")], b"", "unknown \"Transfer-Encoding\""),
    "a line break": ([(":status", "200"), ("x-a", "b\r\nset-cookie: c")], b"", "invalid header"),
    "a capital letter": ([(":status", "200"), ("X-A", "b")], b"", "invalid header"),
    "a colon": ([(":status", "200"), ("x:a", "b")], b"", "invalid header"),
    "no status": ([("x-a", "b")], b"", "no :status"),
    "two statuses": ([(":status", "200"), (":status", "200")], b"", "duplicate :status"),
    "a bad status": ([(":status", "20")], b"", "invalid :status"),
    "101": ([(":status", "101")], b"", "sent 101"),
    "two lengths": ([(":status", "200"), ("content-length", "1"), ("content-length", "2")], b"", "duplicate header"),
    "a length that is none": ([(":status", "200"), ("content-length", "+1")], b"", 'invalid "Content-Length"'),
    "a large head": ([(":status", "200"), ("x-a", "b" * 5000)], b"", "too big header"),
}


def test_headers_of_a_connection_are_left_out(proxy) -> None:
    """RFC 9113 (8.2.2) calls the answer malformed; nginx takes it, and so do we, saying so."""
    of_http1 = {
        "connection": "close, x-a", "keep-alive": "timeout=5", "proxy-connection": "close", "upgrade": "h3",
        "transfer-encoding": "chunked",
    }

    def answer(asked: Asked) -> None:
        asked.answer(b"hello", *of_http1.items(), ("x-a", "b"), ("content-length", "5"))

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        made = head_of(front, "GET /kept HTTP/1.1\nHost: x\n\nGET /kept HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert made.count(b"HTTP/1.1 200 ") == 2 and made.endswith(b"\r\n\r\nhello")
        names = [line.partition(b":")[0].lower().decode() for line in made.split(b"\r\n")]
        assert names.count("connection") == names.count("x-a") == 2, "our own"
        assert set(of_http1).intersection(names) == {"connection"}
        assert backend.connections == 1
        words = 'upstream sent "connection: close, x-a", "keep-alive: timeout=5", .*, which HTTP/2 has no place for'
        front.logged(rf"\[warn\].* {words}", name="error.log")
        assert front.error_log().count("has no place for") == 1, "each connection says so once"


@pytest.mark.parametrize("name", LIES)
def test_answers_that_are_none_cost_their_stream(proxy, name: str) -> None:
    fields, _, words = LIES[name]

    def answer(asked: Asked) -> None:
        if asked.path == "/kept/fine":
            echo(asked)
        else:
            asked.talk.head(asked.stream, fields, ended=False)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        assert front.get("/kept").status == 502
        front.logged(words, name="error.log")
        assert front.get("/kept/fine").status == 200
        assert backend.connections == 1
        eventually(lambda: backend.requests[0].reset is not None)


@pytest.mark.parametrize("more", [b"", b"defg"])
def test_a_length_that_lies_is_told(proxy, more: bytes) -> None:
    def answer(asked: Asked) -> None:
        asked.head(200, ("content-length", "5"))
        asked.data(b"abc")
        time.sleep(0.2)
        asked.data(more, ended=True)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        assert head_of(front, "GET /slow HTTP/1.1\nHost: x\n\n").endswith(b"\r\n\r\nabc")
        front.logged("larger than indicated" if more else "prematurely closed", name="error.log")


def test_a_length_that_lies_in_time_is_no_answer(proxy) -> None:
    with Http2Backend(lambda asked: asked.answer(b"abcdefg", ("content-length", "5"))) as backend:
        front = start(proxy, backend)
        assert front.get("/kept").status == 502
        front.logged("larger than indicated", name="error.log")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


BROKEN = {
    "a body without a head": (frame(DATA, 0, 1, b"a"), "unexpected http2 frame"),
    "a push": (frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2"), "PUSH_PROMISE|push"),
    "a head that can not be read": (frame(HEADERS, 4, 1, b"\xff"), "invalid header block while"),
    "a window of nothing": (frame(WINDOW_UPDATE, 0, 0, bytes(4)), "window increment 0"),
    "a window that is too large": (frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2, "flow control"),
    "a stream that nobody opened": (frame(HEADERS, 5, 99, b"\x88"), "broke the protocol"),
    "a request": (frame(HEADERS, 5, 2, b"\x82\x84\x86"), "sent a request"),
    "a reset of nothing": (frame(RST_STREAM, 0, 99, bytes(4)), "has not opened"),
    "settings of a wrong length": (frame(SETTINGS, 0, 0, b"abc"), "incorrect length 3"),
    "settings that can not be": (frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"), "broke the protocol"),
    "a huge frame": (b"\xff\xff\xff\4" + bytes(5), "too large frame"),
    "pings": (frame(PING, 0, 0, bytes(8)) * 1100, "too many frames that carry nothing"),
    "settings": (frame(SETTINGS, 0, 0) * 1100, "too many frames that carry nothing"),
    "unknown frames": (frame(77, 0, 0) * 1100, "too many frames that carry nothing"),
    "empty bodies": (frame(HEADERS, 4, 1, b"\x88") + frame(DATA, 0, 1) * 1100, "too many frames that carry nothing"),
    "a head without an end": (
        frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, 0, 1, b"\x88") * 200, "too large header"
    ),
    "a bomb": (  # an entry of 4000 bytes, and then a byte for each time it is meant
        frame(HEADERS, 4, 1, b"\x88\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 10000), "too large header"
    ),
    "two heads": (frame(HEADERS, 4, 1, b"\x88") * 2, "broke the protocol"),
    "garbage": (b"\0\0\x05\x04\xff\xff" + bytes(range(100)), "upstream"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_backend_that_breaks_the_protocol_costs_its_connection(proxy, name: str) -> None:
    sent, words = BROKEN[name]

    def answer(asked: Asked) -> None:
        if asked.talk.number or asked.stream > 1:
            echo(asked)
        else:
            asked.talk.raw(sent)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        with RawClient(front.port()) as client:
            client.send(b"GET /kept HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"HTTP/1.1 502 " in client.recv_all() or name == "empty bodies"
        front.logged(words, name="error.log")
        if name != "a body without a head":
            eventually(lambda: 0 in backend.ended)
        assert front.get("/kept").status == 200


def test_one_that_sends_more_than_it_may_costs_its_stream(proxy) -> None:
    poured = threading.Event()

    def answer(asked: Asked) -> None:
        if asked.path == "/slow":
            asked.head(200)
            for _ in range(1500):
                asked.talk.raw(frame(DATA, 0, asked.stream, bytes(16000)))
            poured.set()
        else:
            echo(asked)

    with Http2Backend(answer) as backend:
        front = start(proxy, backend)
        with RawClient(front.port()) as client:
            client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert poured.wait(10)
            assert front.get("/kept").status == 200
            assert backend.connections == 1
            assert len(client.recv_all()) < 20_000_000
        front.logged("upstream broke the protocol on its stream", name="error.log")


def test_a_backend_of_http1_is_told(proxy) -> None:
    with HttpEcho() as backend:
        front = start(proxy, backend)
        assert front.get("/kept").status == 502
        front.logged("upstream sent no HTTP/2, but an answer of HTTP/1", name="error.log")


NGINX = """
    server {
        listen 127.0.0.1:{port:front} %s http2;
        %s
        root www;
        client_max_body_size 64m;
        location /m { return 200 $request_method$http_x$server_protocol; }
        location /stream { proxy_request_buffering off; proxy_pass http://127.0.0.1:{port:echo}; }
        location /kept/few { keepalive_requests 5; return 200 $connection; }
    }
"""


@pytest.mark.parametrize("tls", [False, True])
def test_nginx_as_backend(proxy, nginx, authority, http_backend, tls: bool) -> None:
    data = os.urandom(2_000_000)
    pair = authority.issue("back.example")
    words = ("ssl", f"ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};") if tls else ("", "")
    files = {"www/kept": data, "www/slow": data}
    back = nginx(in_http(NGINX % words), files=files, ports={"echo": http_backend.port})

    class There:
        port = back.port()

    front = start(proxy, There, CONFIGURATION.replace("http://kept", "https://kept") if tls else CONFIGURATION)
    assert front.get("/kept").body == data
    answers = at_once(front, ["/slow", "/kept"] * 4)
    assert all(each.body == data for each in answers)
    if not tls:
        assert front.get("/m", headers={"X": "y"}).body == b"GETyHTTP/2.0"
    for number in range(3):
        assert front.get("/stream", method="POST", body=data).status == 200
        assert http_backend.requests[number].body == data


def test_nginx_that_says_goaway_loses_no_request(proxy, nginx) -> None:
    """It does after so many requests, whatever has been sent meanwhile."""
    back = nginx(in_http(NGINX % ("", "")).replace("server {", "keepalive_requests 5; server {", 1), ports={"echo": 1})

    class There:
        port = back.port()

    front = start(proxy, There)
    for _ in range(5):
        answers = at_once(front, ["/kept/few"] * 12)
        assert [each.status for each in answers] == [200] * 12
    back.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert front.get("/kept/few").status == 200
    assert len({each.body for each in answers}) > 1
