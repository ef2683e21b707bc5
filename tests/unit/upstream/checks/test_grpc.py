"""What is said of servers of gRPC, whatever they answer; messages of the health protocol, written and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.backends import RawBackend
from harness.backends.http2 import Asked, Http2Backend
from harness.backends.scripted import hold
from penstock.http.h2.fields import field
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.upstream.checks.check import Check, Fields
from penstock.upstream.checks.grpc import PATH, BadHealth, health_request, health_state
from penstock.upstream.checks.nobody import CheckClient
from penstock.upstream.exchange.outgoing import Secure
from unit.upstream.checks.test_asking import NoServer, said

SERVING = b"\0\0\0\0\x02\x08\x01"
GRPC = ("content-type", "application/grpc")


def prepare(fields: Fields) -> tuple[bytes, Request, Secure | None]:
    head = RequestHead(f"POST {PATH} HTTP/2.0", "POST", PATH, 20, [], {})
    made = Request(CheckClient(), head, NoServer())  # type: ignore[arg-type]
    pairs = ((":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "app"), GRPC)
    return b"".join(field(*pair) for pair in pairs), made, None


CHECK = Check(prepare, "grpc", limit=2.0)


def answering(message: bytes, status: str = "0") -> Callable[[Asked], None]:
    def answer(asked: Asked) -> None:
        asked.head(200, GRPC)
        asked.data(message)
        asked.talk.head(asked.stream, [("grpc-status", status)], ended=True)

    return answer


def only_a_head(status: str, code: int = 200) -> Callable[[Asked], None]:
    def answer(asked: Asked) -> None:
        asked.head(code, GRPC, ("grpc-status", status), ended=True)

    return answer


def interim(asked: Asked) -> None:
    asked.head(103)
    answering(SERVING)(asked)


def pour(asked: Asked) -> None:
    asked.head(200, GRPC)
    asked.data(b"\0\0\xff\0\0" + b"x" * (1 << 20))


@pytest.mark.parametrize(
    ("answer", "wanted", "wrong"),
    [
        (answering(SERVING), 0, ""),
        (answering(SERVING), 12, ""),
        (interim, 0, ""),
        (only_a_head("12"), 12, ""),
        (only_a_head("12"), 0, 'the status of gRPC is "12"'),
        (only_a_head("5"), 12, 'the status of gRPC is "5"'),
        (answering(b"\0\0\0\0\x02\x08\x02"), 0, "it says NOT_SERVING"),
        (answering(b"\0\0\0\0\x02\x08\x02"), 12, "it says NOT_SERVING"),
        (answering(bytes(5)), 0, "it says UNKNOWN"),
        (answering(b""), 0, "the message is cut off"),
        (answering(b"\1\0\0\0\x02\x08\x01"), 0, "the message is compressed"),
        (answering(SERVING, ""), 0, "there is no status of gRPC"),
        (only_a_head("0", 503), 0, "the status is 503"),
        (lambda asked: asked.answer(b"hello"), 0, "there is no status of gRPC"),
        (pour, 0, "there is no status of gRPC"),
        (lambda asked: asked.cancel(7), 0, "upstream rejected request with error 7 (REFUSED_STREAM)"),
        (lambda asked: asked.talk.goaway(0), 0, "upstream sent goaway with error 0, and has not looked at the request"),
        (lambda asked: asked.talk.close(), 0, "upstream prematurely closed connection"),
        (lambda asked: asked.head(200, ("bad name", "1")), 0, 'upstream sent invalid header "bad name: 1"'),
    ],
)
def test_answers(answer: Callable[[Asked], None], wanted: int, wrong: str) -> None:
    with Http2Backend(answer) as backend:
        check = replace(CHECK, service="chat", grpc_status=wanted)
        assert said(check, backend.port, 2) == [wrong, wrong]
        assert len(backend.talks) == 2, "a connection each"
        asked = backend.requests[0]
        assert (asked.path, asked.field(":method"), asked.field("content-type")) == (PATH, "POST", "application/grpc")
        assert bytes(asked.body) == b"\0\0\0\0\x06\x0a\x04chat"


def test_who_says_nothing_or_no_http2() -> None:
    with Http2Backend(lambda asked: None) as backend:
        assert said(replace(CHECK, limit=0.3), backend.port) == ["no answer in time"]
    with RawBackend([b"HTTP/1.1 400 Bad Request\r\n\r\n", hold]) as raw:
        assert said(CHECK, raw.port) == ["upstream sent no HTTP/2, but an answer of HTTP/1"]
    with RawBackend([]) as raw:
        assert said(CHECK, raw.port)[0] != ""
    (nobody,) = said(CHECK, raw.port)
    assert "connect() failed" in nobody


def test_what_is_asked() -> None:
    assert health_request("") == bytes(5)
    assert health_request("a" * 200) == b"\0\0\0\0\xcb\x0a\xc8\x01" + b"a" * 200
    assert health_request("caf\xc3\xa9")[5:] == b"\x0a\x05caf\xc3\xa9"


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"", "UNKNOWN"),
        (b"\x08\x01", "SERVING"),
        (b"\x08\x03", "SERVICE_UNKNOWN"),
        (b"\x08\x09", "9"),
        (b"\x12\x03abc\x08\x01", "SERVING"),
        (b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x08\x01", "SERVING"),
        (b"\x08\x02\x08\x01", "SERVING"),
    ],
)
def test_a_state_is_read(body: bytes, state: str) -> None:
    assert health_state(message(body)) == state


@pytest.mark.parametrize("body", [b"\x08", b"\x08" + b"\xff" * 11, b"\x12\x09a", b"\x0b", b"\x11a"])
def test_a_broken_message(body: bytes) -> None:
    with pytest.raises(BadHealth, match="the message is broken"):
        health_state(message(body))
