"""Where a body ends that comes in records."""

from __future__ import annotations

import pytest

from harness.backends.fastcgi import STDERR, STDOUT, ending, fcgi
from penstock.http.errors import BadResponse
from penstock.upstream.fastcgi.framing import RecordFraming, RecordHead, record_head
from penstock.upstream.fastcgi.records import RecordReader


def head(text: str = "", *, keeps: bool = True) -> RecordHead:
    found = record_head(f"{text}\r\n".encode(), 0, RecordReader(), keeps=keeps)
    assert found is not None
    return found


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_body_ends_with_its_request(step: int, keeps: bool) -> None:
    of = head(keeps=keeps)
    framing = RecordFraming(of, bodiless=False)
    said: list[bytes] = []
    framing.say = said.append
    data = fcgi(STDOUT, b"abc", padding=5) + fcgi(STDERR, b"oh") + fcgi(STDOUT, b"def") + ending()
    body = b""
    for at in range(0, len(data), step):
        assert not framing.done
        body += framing.feed(data[at : at + step])
    assert (body, b"".join(said), framing.done, of.keep_alive) == (b"abcdef", b"oh", True, keeps)


def test_the_end_of_the_connection_is_none() -> None:
    framing = RecordFraming(head(), bodiless=False)
    assert framing.feed(fcgi(STDOUT, b"abc")) == b"abc"
    assert not framing.may_end()
    framing.feed(fcgi(STDOUT))
    assert framing.may_end() and framing.done


@pytest.mark.parametrize("end", [fcgi(STDOUT), ending()])
def test_less_than_announced_is_an_error(end: bytes) -> None:
    framing = RecordFraming(head("Content-Length: 4\r\n"), bodiless=False)
    framing.feed(fcgi(STDOUT, b"abc"))
    with pytest.raises(BadResponse, match="prematurely closed FastCGI stdout"):
        framing.feed(end)


def test_more_than_announced_is_dropped_and_the_connection_not_kept() -> None:
    of = head("Content-Length: 2\r\n")
    framing = RecordFraming(of, bodiless=False)
    assert framing.feed(fcgi(STDOUT, b"abc") + ending()) == b"ab"
    assert framing.done and framing.surplus and not of.keep_alive


def test_bytes_behind_the_end_spoil_the_connection() -> None:
    of = head()
    framing = RecordFraming(of, bodiless=False)
    framing.feed(ending() + b"\1")
    assert framing.done and not of.keep_alive


def test_an_answer_without_a_body_keeps_the_connection_when_its_end_has_come() -> None:
    of = head("Content-Length: 100\r\n")
    framing = RecordFraming(of, bodiless=True)
    assert framing.feed(fcgi(STDOUT, b"abc") + ending()) == b""
    assert framing.done and of.keep_alive
    assert RecordFraming(head(keeps=False), bodiless=True).done


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols"])
def test_nothing_switches_protocols(status: str) -> None:
    with pytest.raises(BadResponse, match="invalid status"):
        head(f"Status: {status}\r\n")


def test_a_head_may_be_empty() -> None:
    assert (head().status, head().length) == (200, 2)
