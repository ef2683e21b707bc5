"""Quotas in Redis: what it is told once a second, in a real one, and what it says."""

import pytest

from harness.redis_server import RedisServer
from penstock.modules.fleet import scripts
from penstock.modules.fleet.lease import Lease
from penstock.modules.fleet.membership import FleetOptions
from penstock.modules.fleet.use import Use, pack_use, read_use
from penstock.net.redis.opening import RedisAddress

pytest.importorskip("redis")
DAY = 86400
A, B = b"a" * 16, b"b" * 16


@pytest.fixture
def tell():
    options = FleetOptions(RedisAddress("x", 1), node="n")
    base, own = options.base, Lease(options).own
    with RedisServer() as server:
        client = server.client()
        client.script_load(scripts.use.text)

        def told(*uses):
            keys = [base, base + b":l", base + b":l:" + own, base + b":t"]
            reply = client.evalsha(scripts.use.sha, len(keys), *keys, pack_use(uses))
            assert reply[0] == 1
            return list(read_use(reply))

        told.client = client
        yield told


def test_it_sums_up_what_machines_tell(tell) -> None:
    [(window, total)] = tell(Use(A, DAY, 0, 0, 5))
    assert total == 5
    assert tell(Use(A, DAY, window, 5, 0), Use(B, DAY, 0, 0, 7)) == [(window, 5), (window, 7)]
    assert tell(Use(A, DAY, 0, 0, 10**12)) == [(window, 10**12 + 5)]
    [key, _] = sorted(tell.client.keys())
    assert 0 < tell.client.ttl(key) <= DAY + 60, "it ends with its period"


def test_it_learns_what_it_has_forgotten(tell) -> None:
    [(window, _)] = tell(Use(A, DAY, 0, 0, 50))
    tell.client.flushall()
    tell.client.script_load(scripts.use.text)
    assert tell(Use(A, DAY, window, 50, 2)) == [(window, 52)]
    assert tell(Use(A, DAY, window, 50, 1)) == [(window, 53)], "another machine, which knew less"
    assert tell(Use(A, DAY, window - 1, 1000, 1)) == [(window, 54)], "that was yesterday"


def test_nothing_is_stored_for_who_has_used_nothing(tell) -> None:
    tell(Use(A, DAY, 0, 0, 0))
    assert tell.client.keys() == []


@pytest.mark.parametrize("reply", [[], [1], [1, 2], [1, None, 3], [1, -1, 3], [1, 2, -3], [1, b"2", 3], [1, 2**40, 1]])
def test_an_answer_that_is_none(reply) -> None:
    assert list(read_use(reply)) == []
