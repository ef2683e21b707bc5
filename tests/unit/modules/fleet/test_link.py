"""The link's states, against a Redis that the test plays."""

import pytest

from penstock.modules.fleet import link as link_module
from penstock.modules.fleet import scripts
from penstock.modules.fleet.link import Link
from penstock.modules.fleet.link_state import LinkState
from penstock.modules.fleet.membership import FleetOptions
from penstock.net.loop import new_loop
from penstock.net.redis.opening import Opened, RedisAddress
from penstock.net.redis.replies import Failure

A = b"a" * 16


class Connection:
    """What was sent, and who waits for it."""

    def __init__(self, stream, on_push, on_end) -> None:
        self.sent = []
        self.told = []
        self.on_end = on_end
        self.closed = False

    @property
    def waiting(self):
        return len(self.told)

    def send(self, command, told) -> None:
        self.sent.append(command)
        self.told.append(told)

    def send_silently(self, command) -> None:
        self.sent.append(command)

    def resume(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        told, self.told = self.told, []
        for each in told:
            each(None)

    def answer(self, *replies) -> None:
        for reply in replies:
            self.told.pop(0)(reply)


class Opening:
    def __init__(self, loop, address, done) -> None:
        self.done = done
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True


@pytest.fixture
def link(monkeypatch):
    monkeypatch.setattr(link_module, "RedisConnection", Connection)
    monkeypatch.setattr(link_module, "Opening", Opening)
    loop = new_loop()
    made = Link(loop, FleetOptions(RedisAddress("x", 1), node="n"))
    yield made
    loop.close()


RENEWED = [1, 1, [b"n:1", b"m:2", b"m:3"]]


def later(link, seconds) -> None:
    timers = link.loop.timers
    timers.now += seconds
    timers.run(timers.now)


def up(link):
    later(link, 0)
    assert link.state is LinkState.OPENING
    link._opening.done(Opened(None, "run", "7"), "")
    assert link.state is LinkState.JOINING
    connection = link._connection
    connection.answer(*[b"OK"] * len(link.lease.greeting), RENEWED)
    assert link.state is LinkState.UP
    return connection


def ask(link):
    heard = []
    assert link.enter(b"\1\0" + A + b"\1\0\0\0", (A,), heard.append)
    return heard


def test_it_comes_up_and_knows_the_machines(link) -> None:
    assert link.enter(b"", (), lambda reply: None) is None
    up(link)
    assert (link.nodes, link.sure) == (2, True)
    heard = ask(link)
    link._connection.answer([1])
    assert heard == [[1]]
    assert link.holdings.held == {A: 1}
    link.leave((A,))
    assert link.holdings.held == {}
    later(link, 0.03)
    assert A in link._connection.sent[-1]


def test_a_late_answer_lets_nobody_wait_and_its_place_is_taken_back(link) -> None:
    connection = up(link)
    heard = ask(link)
    later(link, 0.06)
    assert heard == [None]
    assert link.state is LinkState.SILENT
    assert link.enter(b"", (), heard.append) is None
    connection.answer([1])
    assert link.state is LinkState.UP
    assert link.holdings.held == {}
    later(link, 0.3)
    assert connection.sent[-1].endswith(A + b"\0\0\0\0\r\n$%d\r\n%b\r\n" % (len(link.lease.own), link.lease.own))


def test_silence_ends_the_connection(link) -> None:
    connection = up(link)
    ask(link)
    later(link, 0.06)
    for _ in range(5):
        later(link, 1.0)
    assert connection.closed
    assert link.state in (LinkState.CLOSED, LinkState.OPENING)


def test_scripts_that_were_forgotten_are_loaded_once(link) -> None:
    connection = up(link)
    heard = ask(link)
    connection.answer(Failure("NOSCRIPT gone"))
    assert connection.sent[-1].find(b"EVALSHA") > 0
    connection.answer(*[b"sha"] * len(scripts.ALL), [1])
    assert heard == [[1]]
    heard = ask(link)
    connection.answer(Failure("NOSCRIPT gone"))
    connection.answer(*[Failure("NOPERM")] * len(scripts.ALL), Failure("NOSCRIPT gone"))
    assert heard == [None]
    assert link.state is LinkState.SILENT


def test_a_full_redis_is_tried_again(link) -> None:
    connection = up(link)
    heard = ask(link)
    connection.answer(Failure("OOM command not allowed"))
    assert heard == [None]
    assert link.state is LinkState.SILENT
    later(link, 1.1)
    connection.answer(RENEWED)
    assert link.state is LinkState.UP


def test_a_replica_is_left(link) -> None:
    connection = up(link)
    ask(link)
    connection.answer(Failure("READONLY You can't write"))
    assert connection.closed
    assert link.state is LinkState.CLOSED


def test_an_unknown_lease_tells_everything(link) -> None:
    connection = up(link)
    ask(link)
    connection.answer([1])
    heard = ask(link)
    connection.answer([-1])
    assert heard == [[-1]]
    later(link, 0.01)
    connection.answer([-1])
    assert A + b"\1\0\0\0" in connection.sent[-1]
    connection.answer(RENEWED)
    assert link.state is LinkState.UP


def test_a_lost_connection_answers_all_who_wait(link) -> None:
    connection = up(link)
    heard = ask(link)
    connection.on_end("gone")
    assert heard == [None]
    assert link.state is LinkState.CLOSED
    assert link.loss.count == 1


def test_other_options_are_another_lease_with_the_same_holdings(link) -> None:
    connection = up(link)
    ask(link)
    connection.answer([1])
    name = link.lease.name
    link.follow(FleetOptions(RedisAddress("y", 1), node="n"), None)
    assert connection.closed
    assert link.lease.name != name
    assert link.holdings.held == {A: 1}


def test_what_was_left_goes_with_the_next_question(link) -> None:
    connection = up(link)
    ask(link)
    connection.answer([1])
    link.leave((A,))
    before = len(connection.sent)
    ask(link)
    assert len(connection.sent) == before + 1
    assert connection.sent[-1].endswith(b"$16\r\n%b\r\n" % A)
    later(link, 0.03)
    assert len(connection.sent) == before + 1, "it is not told twice"
    connection.answer([1])
    assert link.holdings.held == {A: 1}
    ask(link)
    assert connection.sent[-1].endswith(b"$0\r\n\r\n")


@pytest.mark.parametrize("asked", [True, False])
def test_what_redis_did_not_take_off_is_told_anew(link, asked) -> None:
    """Redis is full: what was left is in its sums until it hears the truth."""
    connection = up(link)
    ask(link)
    connection.answer([1])
    link.leave((A,))
    if asked:
        ask(link)
    else:
        later(link, 0.03)
    connection.answer(Failure("OOM command not allowed"))
    assert link.holdings.doubtful == {A}
    later(link, 1.1)
    assert A + b"\0\0\0\0" in connection.sent[-1]


def test_nobody_is_told_before_the_question_is_asked(monkeypatch) -> None:
    """Even where the connection is given up because of it."""
    from penstock.net.redis import connection as connection_module
    from penstock.net.redis.connection import RedisConnection

    class Socket:
        def __init__(self) -> None:
            self.hot = self
            self.afterwards: list = []
            self._reader = self._writer = None

        def _arm(self, what, who) -> None:
            pass

        def send_now(self, data) -> int:
            return 0

        def close(self) -> None:
            pass

    monkeypatch.setattr(connection_module, "LONGEST_QUEUE", 3)
    heard: list = []
    sock = Socket()
    made = RedisConnection(sock, heard.append, heard.append)
    made.send(b"long", heard.append)
    assert heard == []
    for action in sock.afterwards:
        action()
    assert heard == ["Redis does not read what it is sent", None]
