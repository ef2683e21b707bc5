"""What becomes of a request whatever goes wrong with it: one status, one line, one effect on the client, one end."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from harness.site import Site, listen_to
from penstock.http.errors import BadRequest
from penstock.http.request import Answer, Request, UnreadBody
from penstock.net.errors import PeerGone, TimedOut
from penstock.net.waiting import Closed
from penstock.server.transaction import refused_request, run
from penstock.upstream.errors import ClientGone

CONF = """
server {
    listen 127.0.0.1:8080;
    location / { return 200 "ok"; }
    location /silent { return 444; }
    error_page 405 /instead;
    location = /instead { return 200 "other"; }
}
"""


class FakeCarrier:
    """Carries nothing. `broken` is raised where an answer would be sent, once."""

    def __init__(self, broken: Exception | None = None, *, unprepared: Exception | None = None) -> None:
        self.broken = broken
        self.unprepared = unprepared
        self.seen: list[Any] = []

    def prepare(self, request: Request) -> int:
        if self.unprepared is not None:
            raise self.unprepared
        return 0

    def glance(self, request: Request) -> None:
        self.seen.append("glance")

    def send(self, request: Request, answer: Answer) -> Coroutine[Any, Any, None]:
        return self._send(request, answer)

    async def _send(self, request: Request, answer: Answer) -> None:
        if self.broken is not None:
            broken, self.broken = self.broken, None
            raise broken
        request.status = answer.status
        request.completed = True
        self.seen.append(answer.status)

    def say_why(self, request: Request, reason: str) -> None:
        self.seen.append(reason)

    def closed_what(self) -> str:
        return "letter box"

    def stalled(self, request: Request, *, sending: bool) -> None:
        self.seen.append("stalled sending" if sending else "stalled reading")

    def silenced(self, request: Request) -> None:
        self.seen.append("silenced")


class Ran:
    """A request that has been run, without anything to wait for."""

    def __init__(self, folder: Path, carrier: FakeCarrier, target: str = "/", method: str = "GET") -> None:
        site = Site(CONF, folder)
        listen_to(site.plan.servers[0].root, site.log)
        self.request = site.request(target)
        self.request.method = method
        self.closed = 0
        self.request.connection.tunnelled = False  # type: ignore[misc]
        self.request.connection.show_peer = lambda: None  # type: ignore[method-assign]
        self.request.hold(self)
        with pytest.raises(StopIteration):
            run(self.request, carrier).send(None)
        self.said = site.said()

    def close(self) -> None:
        self.closed += 1


def test_an_answer_is_sent_and_the_request_is_finished_once(tmp_path: Path) -> None:
    carrier = FakeCarrier()
    ran = Ran(tmp_path, carrier)
    assert (carrier.seen, ran.closed, ran.request.keep_alive) == ([200], 1, True)


ENDS: dict[str, tuple[Exception, int, list[Any], list[str]]] = {
    "a client that is gone": (
        PeerGone(104), 499, [], ["client prematurely closed letter box"],
    ),
    "a client that was seen to go": (ClientGone(104), 499, [], []),
    "a client that takes nothing": (
        TimedOut(), 0, ["stalled sending"],
        ["client timed out (110: Connection timed out) while sending response to client"],
    ),
    "a connection that a shutdown closed": (
        Closed("the stream was closed"), 499, [], ["connection lost: the stream was closed"],
    ),
    "a body that is broken": (BadRequest(400, "client sent nonsense"), 0, ["client sent nonsense"], []),
}  # fmt: skip


@pytest.mark.parametrize(("error", "status", "seen", "said"), ENDS.values(), ids=ENDS)
def test_whatever_breaks_while_sending_ends_the_request(
    tmp_path: Path, error: Exception, status: int, seen: list[Any], said: list[str]
) -> None:
    carrier = FakeCarrier(error)
    ran = Ran(tmp_path, carrier)
    assert (ran.request.status, carrier.seen, ran.said) == (status, seen, said)
    assert (ran.request.keep_alive, ran.closed) == (False, 1)


def test_a_mistake_of_ours_is_logged_and_answered_with_500(tmp_path: Path) -> None:
    carrier = FakeCarrier(ZeroDivisionError("ours"))
    ran = Ran(tmp_path, carrier)
    assert (carrier.seen, ran.request.keep_alive, ran.closed) == ([500], False, 1)
    assert ran.said[0] == "internal error: ZeroDivisionError('ours') at _send line " + ran.said[0].rpartition(" ")[2]


def test_a_body_that_stalls_is_a_408_without_an_answer(tmp_path: Path) -> None:
    carrier = FakeCarrier(unprepared=TimedOut())
    ran = Ran(tmp_path, carrier)
    assert (ran.request.status, carrier.seen, ran.closed) == (408, ["stalled reading"], 1)
    assert ran.said == ["client timed out (110: Connection timed out) while reading client request body"]


def test_a_bad_request_gets_its_status(tmp_path: Path) -> None:
    carrier = FakeCarrier(unprepared=BadRequest(413, "too much"))
    ran = Ran(tmp_path, carrier)
    assert (carrier.seen, ran.request.keep_alive) == (["too much", 413], False)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_no_phase_sees_are_refused_by_way_of_error_page(tmp_path: Path, method: str) -> None:
    carrier = FakeCarrier()
    ran = Ran(tmp_path, carrier, method=method)
    assert (carrier.seen, ran.request.uri) == ([f"client sent {method} method", 405], "/instead")


def test_return_444_sends_nothing(tmp_path: Path) -> None:
    carrier = FakeCarrier()
    ran = Ran(tmp_path, carrier, "/silent")
    assert (carrier.seen, ran.request.status, ran.request.keep_alive) == (["silenced"], 444, False)


def test_the_rest_of_a_body_that_stalls_says_so(tmp_path: Path) -> None:
    class Stalling(UnreadBody):
        async def discard(self) -> None:
            raise TimedOut

    class WithBody(FakeCarrier):
        def prepare(self, request: Request) -> int:
            request.body = Stalling()
            return 0

    carrier = WithBody()
    ran = Ran(tmp_path, carrier)
    assert carrier.seen == ["glance", 200, "stalled reading"]
    assert ran.said == ["client timed out (110: Connection timed out) while reading client request body"]


def test_a_refused_head_keeps_its_line_and_its_method(tmp_path: Path) -> None:
    site = Site(CONF, tmp_path)
    client = site.request("/").connection
    refused = refused_request(client, "HEAD /\x00 HTTP/1.1", 3.0, 17)
    assert (refused.method, refused.head.line, refused.request_length) == ("HEAD", "HEAD /\x00 HTTP/1.1", 17)
    assert not refused.keep_alive
    assert refused_request(client, "", 0.0, 0, method="HEAD").method == "HEAD"
