"""What Redis is asked of sessions, and what it says of those that others have changed."""

import struct
from types import SimpleNamespace
from typing import Any

from penstock.modules.fleet.fleet import Fleet, FleetOptions
from penstock.modules.fleet.sessions import FleetSessions
from penstock.net.fiber import spawn
from penstock.net.redis.opening import RedisAddress


class OneLink:
    """Answers at once."""

    def __init__(self, reply: Any, *, up: bool = True) -> None:
        self.reply, self.up = reply, up
        self.packed: list[bytes] = []

    def ask_and_watch(self, script: Any, packed: bytes, told: Any) -> bool:
        self.packed.append(packed)
        told(self.reply)
        return self.up


def sessions(reply: Any = None, **how: Any) -> tuple[FleetSessions, OneLink]:
    made, link = FleetSessions("zone"), OneLink(reply, **how)
    made.fleet = SimpleNamespace(link=link)  # type: ignore[assignment]
    return made, link


def test_a_server_is_eight_bytes() -> None:
    for reply, server in (
        ([1, b"12345678"], b"12345678"),
        ([1, b""], None),
        ([1, b"123456789"], None),
        ([1, 3], None),
        ([], None),
        (None, None),
    ):
        made, _ = sessions(reply)
        assert spawn(made.ask(b"d" * 16)).take() == server


def test_what_is_told_has_its_end() -> None:
    made, link = sessions()
    made.say(b"d" * 16, b"12345678", 2.5)
    assert struct.unpack("<16sd8s", link.packed[0]) == (b"d" * 16, 2500.0, b"12345678")


def test_without_a_link_nobody_is_there() -> None:
    made = FleetSessions("zone")
    assert not made.there
    made.say(b"d" * 16, b"12345678", 2.5)
    assert sessions()[0].there
    assert not sessions(up=False)[0].there


def test_keys_that_others_changed_are_forgotten() -> None:
    fleet = Fleet(FleetOptions(RedisAddress("x", 1), name="edge"), None)  # type: ignore[arg-type]
    forgotten: list[bytes] = []
    made = FleetSessions("zone")
    made.forget = forgotten.append
    fleet.sessions.append(made)
    for told in (
        [b"invalidate", [b"{penstock:edge}:s:" + b"d" * 16, b"{penstock:edge}:t", b"{penstock:x}:s:1", 3, None]],
        [b"invalidate", None],
        [b"invalidate"],
    ):
        fleet.stale(told)  # type: ignore[arg-type]
    assert forgotten == [b"d" * 16]
