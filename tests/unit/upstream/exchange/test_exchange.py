"""One request and its backends: who is tried, how often, and what is known afterwards. Nothing here is a socket."""

from __future__ import annotations

from dataclasses import replace
from errno import ECONNREFUSED, ECONNRESET
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.net.errors import DialFailed, NetError, PeerGone, TimedOut
from penstock.net.fiber import Fiber, pause
from penstock.upstream.errors import ClientGone, ProxyError
from penstock.upstream.exchange import exchange as module
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.policy import Policy
from penstock.upstream.exchange.sending import InMemory
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.keepalive import KeepAlive, KeptConnection
from penstock.upstream.peers.peers import Peer, ServerOptions

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ALL = frozenset({"error", "timeout", "invalid_header", "http_503", "http_404"})


class Clock:
    now = 100.0


class FakeLine:
    """A connection on which a backend says so much, one piece for each read, or fails so. None: nothing comes."""

    secure = False
    ready = False
    fd = 3
    on_hangup: Any = None

    def __init__(self, *says: bytes | NetError | None) -> None:
        self.says = list(says)
        self.heard = b""
        self.sent = 0
        self.closed = False
        self.hot = Clock
        self.loop = SimpleNamespace(timers=SimpleNamespace(now=0.0, stale=0, push=lambda when, alarm: None))

    def is_drained(self) -> bool:
        return not self.ready

    def post(self, data: bytes) -> bool:
        self.heard += data
        self.sent += len(data)
        return True

    def send_now(self, data: bytes) -> int:
        self.post(data)
        return len(data)

    async def send_all(self, data: bytes, timeout: float) -> None:
        self.post(data)

    async def recv(self, limit: int, timeout: float) -> bytes:
        said = self.says.pop(0)
        if said is SILENT:
            await pause()
        if isinstance(said, NetError):
            raise said
        assert said is not None
        self.ready = not said  # as a socket at its end
        return said

    def close(self) -> None:
        self.closed = True
        self.fd = -1


SILENT = None
REFUSES = DialFailed(ECONNREFUSED)


class Slow(InMemory):
    """A body that comes from the client as it goes out: it can not be sent twice."""

    whole = False
    replayable = False


class Try:
    """A request to a group of backends, each of them a list of connections: those that refuse are errors."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *backends: FakeLine | NetError,
        method: str = "GET",
        keepalive: KeepAlive | None = None,
        body: InMemory | None = None,
        options: ServerOptions | None = None,
        **policy: Any,
    ) -> None:
        Clock.now = 100.0
        self.logged: list[str] = []
        self.lines = {("127.0.0.1", at): line for at, line in enumerate(backends)}
        self.dialled: list[int] = []
        peers = [Peer(address, f"p{address[1]}", "", options or ServerOptions()) for address in self.lines]
        self.group = Group("g", peers, keepalive=keepalive)
        self.client = SimpleNamespace(hot=Clock, on_hangup=None, loop=None)
        self.request: Any = SimpleNamespace(
            attempts=None,
            method=method,
            connection=SimpleNamespace(stream=self.client, client_address="127.0.0.1"),
            variables={},
            upstream_head=None,
            upstream_url="",
        )
        policy.setdefault("next", ALL)
        self.policy = Policy(log=lambda request, level, text: self.logged.append(text), **policy)
        head = f"{method} / HTTP/1.1\r\n\r\n".encode()
        plan = Prepared(self.group, head, method, ("http://", "/"))
        self.exchange = Exchange(self.request, plan, self.policy, body or InMemory(b""))
        monkeypatch.setattr(module, "connect", self._connect)

    async def _connect(self, address: tuple[str, int], timeout: float, **_: Any) -> FakeLine:
        self.dialled.append(address[1])
        line = self.lines[address]
        if isinstance(line, NetError):
            raise line
        return line

    def run(self) -> Fiber[Any]:
        fiber: Fiber[Any] = Fiber(self.exchange.run())
        fiber.keep_error = True
        fiber.resume()
        return fiber

    def status(self) -> int:
        """The status that comes of it: that of the head, or of the refusal."""
        fiber = self.run()
        assert fiber.done
        try:
            return fiber.outcome().status
        except ProxyError as error:
            return error.status

    @property
    def statuses(self) -> list[int]:
        return [attempt.status for attempt in self.request.attempts]


def test_a_good_answer_is_the_first_peer_s(monkeypatch) -> None:
    tried = Try(monkeypatch, FakeLine(GOOD), FakeLine(GOOD))
    assert tried.status() == 200
    assert tried.dialled == [0]
    assert tried.statuses == [200]
    assert tried.lines["127.0.0.1", 0].heard == b"GET / HTTP/1.1\r\n\r\n"
    assert tried.logged == []


def answer(status: int) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status


FAILURES = {
    "refuses": (REFUSES, "error", 502),
    "closes": (FakeLine(b""), "error", 502),
    "resets": (FakeLine(PeerGone(ECONNRESET)), "error", 502),
    "is late to connect": (TimedOut(), "timeout", 504),
    "is late to answer": (FakeLine(TimedOut()), "timeout", 504),
    "answers nonsense": (FakeLine(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "invalid_header", 502),
    "says 503": (FakeLine(answer(503)), "http_503", 503),
    "says 404": (FakeLine(answer(404)), "http_404", 404),
}


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("failure", FAILURES)
def test_another_peer_is_tried_where_the_policy_says_so(monkeypatch, failure: str, allowed: bool) -> None:
    first, condition, status = FAILURES[failure]
    if isinstance(first, FakeLine):
        first = FakeLine(*first.says)
    tried = Try(monkeypatch, first, FakeLine(GOOD), next=ALL if allowed else ALL - {condition})
    assert tried.status() == (200 if allowed else status)
    assert tried.dialled == ([0, 1] if allowed else [0])
    assert tried.statuses == ([status, 200] if allowed else [status])


@pytest.mark.parametrize("method", ["POST", "LOCK", "PATCH"])
def test_what_a_backend_may_have_done_is_not_done_twice(monkeypatch, method: str) -> None:
    assert Try(monkeypatch, FakeLine(b""), FakeLine(GOOD), method=method).status() == 502
    assert Try(monkeypatch, REFUSES, FakeLine(GOOD), method=method).status() == 200, "it was sent nowhere"
    brave = ALL | {"non_idempotent"}
    assert Try(monkeypatch, FakeLine(b""), FakeLine(GOOD), method=method, next=brave).status() == 200


def test_a_body_that_went_as_it_came_is_not_sent_twice(monkeypatch) -> None:
    loop = SimpleNamespace(call_soon=lambda call: None)  # who sends has ended before anybody waits for it
    monkeypatch.setattr("penstock.net.fiber.asyncio.get_running_loop", lambda: loop)
    assert Try(monkeypatch, FakeLine(b""), FakeLine(GOOD), body=Slow(b"x")).status() == 502
    assert Try(monkeypatch, REFUSES, FakeLine(GOOD), body=Slow(b"x")).status() == 200


def test_tries_are_bounded_by_number_and_by_time(monkeypatch) -> None:
    tried = Try(monkeypatch, REFUSES, REFUSES, FakeLine(GOOD), next_tries=2)
    assert tried.status() == 502
    assert tried.dialled == [0, 1]

    tried = Try(monkeypatch, REFUSES, FakeLine(GOOD), next_timeout=5.0)
    connect = tried._connect

    async def slowly(*args: Any, **more: Any) -> FakeLine:
        Clock.now += 6
        return await connect(*args, **more)

    monkeypatch.setattr(module, "connect", slowly)
    assert tried.status() == 502
    assert tried.dialled == [0]


def test_the_last_peer_s_answer_is_passed_on_whatever_it_is(monkeypatch) -> None:
    tried = Try(monkeypatch, FakeLine(answer(503)), FakeLine(answer(503)))
    assert tried.status() == 503
    assert tried.dialled == [0, 1]


def test_where_nobody_can_be_tried_it_says_so(monkeypatch) -> None:
    tried = Try(monkeypatch, FakeLine(GOOD), options=ServerOptions(down=True))
    assert tried.status() == 502
    assert tried.logged == ["no live upstreams while connecting to upstream"]
    assert [attempt.address for attempt in tried.request.attempts] == ["g"]


def test_a_peer_that_fails_too_often_is_left_out(monkeypatch) -> None:
    tried = Try(monkeypatch, REFUSES, FakeLine(GOOD))
    assert tried.status() == 200
    assert any("temporarily disabled" in line for line in tried.logged)
    assert tried.group.peers[0].fails == 1
    assert tried.group.peers[1].fails == 0


@pytest.mark.parametrize("status", [404, 403])
def test_an_answer_that_sends_on_may_say_nothing_against_the_peer(monkeypatch, status: int) -> None:
    tried = Try(monkeypatch, FakeLine(answer(status)), FakeLine(GOOD), next=frozenset({f"http_{status}"}))
    assert tried.status() == 200
    assert tried.group.peers[0].fails == 0


def kept(tried: Try, line: FakeLine) -> None:
    """Has the pool hold a connection to the first peer, which has carried a request."""
    pool = tried.group.pool
    assert pool is not None
    found = KeptConnection(line, ("127.0.0.1", 0), 99.0)  # type: ignore[arg-type]
    found.requests = 1
    pool.put(found, tried.policy.owner, 99.0, tried.policy.basis)


def test_a_kept_connection_is_used_and_kept_again(monkeypatch) -> None:
    tried = Try(monkeypatch, REFUSES, keepalive=KeepAlive())
    line = FakeLine(GOOD)
    kept(tried, line)
    fiber = tried.run()
    body = tried.exchange.open(fiber.outcome())
    assert tried.dialled == []
    assert tried.request.attempts[0].connect_time == 0.0
    assert body.now() == b"ok"
    assert body.done
    assert not line.closed
    assert len(tried.group.pool) == 1  # type: ignore[arg-type]
    assert tried.group.peers[0].active == 0


def test_a_kept_connection_that_had_died_costs_no_try(monkeypatch) -> None:
    """The backend closed it while it was idle: that is nobody's failure, and the same peer is asked again."""
    tried = Try(monkeypatch, FakeLine(GOOD), keepalive=KeepAlive(), next_tries=1)
    kept(tried, dead := FakeLine(b""))
    assert tried.status() == 200
    assert dead.closed
    assert tried.dialled == [0]
    assert tried.group.peers[0].fails == 0


def test_an_answer_without_an_end_leaves_no_connection(monkeypatch) -> None:
    tried = Try(monkeypatch, line := FakeLine(b"HTTP/1.1 200 OK\r\n\r\nok", b""), keepalive=KeepAlive())
    body = tried.exchange.open(tried.run().outcome())
    reading: Fiber[bytes] = Fiber(body.read())
    reading.resume()
    assert reading.outcome() == b"ok"
    ending: Fiber[bytes] = Fiber(body.read())
    ending.resume()
    assert ending.outcome() == b""
    assert line.closed
    assert len(tried.group.pool) == 0  # type: ignore[arg-type]
    assert tried.group.peers[0].active == 0


def test_a_head_may_come_in_pieces_and_after_interim_ones(monkeypatch) -> None:
    pieces = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", b"00 OK\r\nContent-Len", b"gth: 2\r\n\r\nok"
    tried = Try(monkeypatch, FakeLine(*pieces))
    head = tried.run().outcome()
    assert head.status == 200
    assert tried.exchange.open(head).now() == b"ok"


def test_a_head_has_a_bound(monkeypatch) -> None:
    tried = Try(monkeypatch, FakeLine(b"HTTP/1.1 200 OK\r\n", b"a" * 4079), head_size=4096)
    assert tried.status() == 502
    assert tried.logged == ["upstream sent too big header while reading response header from upstream"]


def test_a_client_that_goes_ends_it(monkeypatch) -> None:
    tried = Try(monkeypatch, line := FakeLine(SILENT), FakeLine(GOOD))
    fiber = tried.run()
    assert not fiber.done
    tried.client.on_hangup()
    assert fiber.done
    assert isinstance(fiber.take_error(), ClientGone)
    assert line.closed
    assert tried.dialled == [0]
    assert tried.group.peers[0].active == 0
    assert "client prematurely closed connection" in tried.logged[0]


def test_a_client_that_goes_may_be_ignored(monkeypatch) -> None:
    tried = Try(monkeypatch, FakeLine(SILENT), ignore_client_abort=True)
    fiber = tried.run()
    assert tried.client.on_hangup is None
    fiber.cancel()


def test_who_gives_up_leaves_nothing(monkeypatch) -> None:
    tried = Try(monkeypatch, line := FakeLine(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))
    head = tried.run().outcome()
    tried.exchange.open(head)
    tried.exchange.abandon()
    assert line.closed
    assert tried.client.on_hangup is None
    assert tried.group.peers[0].active == 0


def test_an_exchange_goes_by_its_policy_alone(monkeypatch) -> None:
    """A second exchange of one request, as after `error_page`, marks that the first one was left."""
    tried = Try(monkeypatch, FakeLine(answer(503)), next=frozenset())
    assert tried.status() == 503
    again = Exchange(tried.request, tried.exchange.plan, replace(tried.policy, next=ALL), InMemory(b""))
    tried.lines["127.0.0.1", 0] = FakeLine(GOOD)
    fiber: Fiber[Any] = Fiber(again.run())
    fiber.resume()
    assert fiber.outcome().status == 200
    assert [attempt.redirected for attempt in tried.request.attempts] == [True, False]
