"""When a side is asked, and when it is given up; times are told."""

from math import inf

from penstock.websocket.ping_timer import TOKEN, Pulse


def asked(at: float, arrived: int, before: int) -> Pulse:
    """A pulse that sent a ping at that time, behind so many bytes."""
    pulse = Pulse(20, 10)
    assert len(pulse.ask(at)) == TOKEN
    pulse.sent_behind(arrived, before)
    return pulse


def test_silence_is_asked_and_then_given_up() -> None:
    assert Pulse(0, 10).due(5) == inf, "never"
    assert Pulse(20, 10).due(5) == 25
    pulse = asked(25, 1000, 10)
    assert pulse.due(5) == 35
    assert pulse.due(30) == 40, "whatever it says is a sign of life"
    assert not pulse.takes(35, 1000)
    pulse.answered(26.5)
    assert (pulse.rtt, pulse.sent, pulse.due(26)) == (1.5, 1, 46)


def test_what_is_before_the_ping_may_take_its_time() -> None:
    pulse = asked(1, 1000, 5000)
    assert pulse.takes(10, 3000) and pulse.due(0) == 20
    assert pulse.takes(20, 5990) and pulse.due(0) == 30
    assert pulse.takes(30, 9000), "the ping has arrived meanwhile: it has a last time for its answer"
    assert not pulse.takes(40, 12000), "what came after it is no sign of life"


def test_a_side_that_takes_nothing_is_waited_for_without_a_ping() -> None:
    pulse = Pulse(20, 10)
    pulse.wait(20, 1000, 4000)
    assert (pulse.mute, pulse.sent, pulse.due(0)) == (True, 0, 30)
    assert pulse.state()[0] == 0, "another process has nothing to wait for"
    assert pulse.takes(30, 1001) and not pulse.takes(40, 1001)
    pulse.ask(41)
    assert not pulse.mute


def test_a_side_that_is_not_read_is_spared() -> None:
    pulse = asked(1, 0, 10)
    pulse.spare(10)
    assert pulse.due(0) == 20


def test_a_socket_that_counts_what_is_left() -> None:
    """Where nothing tells what has arrived, what has not stands for it, below nought."""
    pulse = asked(1, -5000, 5000)
    assert pulse.takes(10, -3000)
    assert pulse.takes(20, 0)
    assert not pulse.takes(30, 0)


def test_going_on_elsewhere() -> None:
    one, other = asked(7, 100, 10), Pulse(20, 10)
    other.restore(one.state())
    assert (other.due(0), other.sent) == (17, 1)
    assert not other.takes(17, 5_000_000), "nothing is known of what was before the ping"
