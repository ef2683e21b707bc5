"""Ends that are alike are said once."""

from penstock.doctor.lifetimes import AGAIN, PLACES, SeenLifetimes, alike, whose


def note(seen: SeenLifetimes, end: str, age: float, now: float, location: str = "/ws") -> str:
    return seen.note("chat.example", location, "10.0.0.3:8000", end, age, 60.0, now, "proxy_read_timeout")


def test_silence_is_said_once_and_again_after_an_hour() -> None:
    seen = SeenLifetimes()
    said = [line for n in range(40) if (line := note(seen, "IDLE", 60 + n, n))]
    assert len(said) == 1
    assert said[0].startswith("10 tunnels of location /ws (server chat.example, the last to 10.0.0.3:8000) were ended")
    assert "by proxy_read_timeout: nothing came from either side for 60 s; raise it" in said[0]
    later = [line for n in range(40) if (line := note(seen, "IDLE", 60, AGAIN + 10 + n))]
    assert [line[:10] for line in later] == ["41 tunnels"]


def test_a_timer_of_the_other_side() -> None:
    seen = SeenLifetimes()
    said = [line for n in range(30) if (line := note(seen, "BACKEND_CLOSED", 100 + n % 3, n))]
    assert len(said) == 1
    assert "ended by the backend at the same age, 101 s: a timer there (Cloudflare" in said[0]


def test_ages_that_differ_say_nothing() -> None:
    seen = SeenLifetimes()
    assert not any(note(seen, "CLIENT_CLOSED", 7 * n + 10, n) for n in range(200))
    assert not any(note(seen, "CLIENT_CLOSED", 0.5, n) for n in range(200)), "short ones are nobody's timer"
    assert not any(note(seen, "SHUTDOWN", 60, n) for n in range(200))
    assert not alike([60.0] * 9)
    assert whose(61) and not whose(80)


def test_memory_is_bounded() -> None:
    seen = SeenLifetimes()
    for n in range(PLACES * 3):
        note(seen, "IDLE", 60, n, location=f"/{n}")
    assert len(seen._seen) == PLACES
