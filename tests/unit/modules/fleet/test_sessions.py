"""What Redis is asked of sessions, and what it says of those that others have changed."""

from types import SimpleNamespace
from typing import Any

from penstock.modules.fleet.membership import Fleet, FleetOptions
from penstock.modules.fleet.sessions import FleetSessions
from penstock.net.fiber import spawn
from penstock.net.redis.opening import RedisAddress


class OneLink:
    """Answers at once."""

    def __init__(self, reply: Any, *, up: bool = True) -> None:
        self.reply, self.up = reply, up
        self.options = FleetOptions(RedisAddress("x", 1), name="edge")
        self.said: list[Any] = []

    def run(self, words: Any, told: Any) -> bool:
        self.said.append(words)
        return self.up

    def ask_and_watch(self, key: bytes, told: Any) -> bool:
        self.said.append(key)
        told(self.reply)
        return self.up


def sessions(reply: Any = None, **how: Any) -> tuple[FleetSessions, OneLink]:
    made, link = FleetSessions("zone"), OneLink(reply, **how)
    made.fleet = SimpleNamespace(link=link)  # type: ignore[assignment]
    return made, link


def test_a_server_is_eight_bytes() -> None:
    for reply, server in (
        ([b"12345678"], b"12345678"),
        ([b""], None),
        ([b"123456789"], None),
        ([3], None),
        ([None], None),
        ([], None),
        (None, None),
    ):
        made, _ = sessions(reply)
        assert spawn(made.ask(b"d" * 16)).take() == server


def test_what_is_told_has_its_end() -> None:
    made, link = sessions()
    made.say(b"d" * 16, b"12345678", 2.5)
    digest = b"d" * 16
    key = b"{penstock:edge}:s:" + digest
    assert link.said == [(b"SET", key, b"12345678", b"PX", b"2500"), key]
    made, link = sessions(up=False)
    made.say(digest, b"12345678", 2.5)
    assert len(link.said) == 1, "what can not be told is not asked for, either"


def test_without_a_link_nobody_is_there() -> None:
    made = FleetSessions("zone")
    assert not made.there
    made.say(b"d" * 16, b"12345678", 2.5)
    assert sessions()[0].there
    assert not sessions(up=False)[0].there


class Known:
    """What this machine knows."""

    def __init__(self, *digests: bytes) -> None:
        self.digests = digests
        self.corrected: list[tuple[bytes, bytes]] = []

    def knows(self, digest: bytes) -> bool:
        return digest in self.digests

    def correct(self, digest: bytes, server: bytes) -> None:
        self.corrected.append((digest, server))


def test_keys_that_others_changed_are_asked_for_again() -> None:
    fleet = Fleet(FleetOptions(RedisAddress("x", 1), name="edge"), None)  # type: ignore[arg-type]
    made, link = sessions([b"12345678"])
    known = Known(b"d" * 16)
    made.known = known  # type: ignore[assignment]
    fleet.sessions.append(made)
    base = b"{penstock:edge}:s:"
    for told in (
        [b"invalidate", [base + b"d" * 16, base + b"e" * 16, b"{penstock:edge}:t", b"{penstock:x}:s:1", 3, None]],
        [b"invalidate", None],
        [b"invalidate"],
    ):
        fleet.stale(told)  # type: ignore[arg-type]
    assert known.corrected == [(b"d" * 16, b"12345678")]
    assert link.said == [base + b"d" * 16]
    link.reply = [None]
    made.changed(b"d" * 16)
    assert len(known.corrected) == 1, "one that is over changes nothing"
