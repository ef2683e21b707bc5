"""limit_req over several machines: one bucket for a key, on Redis's clock."""

import time

import pytest

from harness.machines import joined
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

NODE = """
fleet {value:redis} lease=2s timeout=500ms {value:more};
http {
    limit_req_zone $uri zone=rate:1m rate=1r/m sync;
    limit_req_zone $uri zone=quick:1m rate=20r/s sync;
    limit_req_zone $arg_user zone=both:1m rate=1r/m sync;
    limit_conn_zone $arg_user zone=conn:1m sync;
    server {
        listen 127.0.0.1:{port:front};
        limit_req_status 429;
        location /burst { limit_req zone=rate burst=3 nodelay; try_files /none =204; }
        location /two { limit_req zone=rate burst=9 nodelay; limit_req zone=both; limit_conn conn 5;
                        try_files /none =204; }
        location /quick { limit_req zone=quick burst=100; try_files /none =204; }
        location /tried { limit_req zone=rate; limit_req_dry_run on; try_files /none =204; }
        location /status { status; }
    }
}
"""


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def pair(proxy, redis):
    found = [proxy(NODE, values={"redis": redis.address, "more": ""}) for _ in range(2)]
    joined(redis, 2)
    eventually(lambda: all('"machines":2' in front.get("/status").text for front in found))
    return found


def statuses(fronts, target, count):
    return [fronts[turn % len(fronts)].get(target).status for turn in range(count)]


def test_machines_share_a_bucket(pair) -> None:
    assert statuses(pair, "/burst", 10) == [204] * 4 + [429] * 6
    assert 'by zone "rate" of the fleet' in "".join(front.error_log() for front in pair)


def test_what_this_machine_refuses_never_reaches_redis(pair, redis) -> None:
    statuses(pair[:1], "/burst", 4)
    client = redis.client()
    before = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    assert statuses(pair[:1], "/burst", 50) == [429] * 50
    # Renewals go on beside.
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before < 25


def test_all_limits_hold_together_and_are_asked_at_once(pair, redis) -> None:
    assert statuses(pair, "/two?user=a", 2) == [204, 429]
    assert statuses(pair, "/two?user=b", 2) == [204, 429]
    assert statuses(pair[1:], "/two?user=c", 1) == [204]


def test_what_is_too_fast_waits(pair) -> None:
    began = time.monotonic()
    assert statuses(pair, "/quick", 11) == [204] * 11
    assert time.monotonic() - began > 0.45, "ten of them waited for a twentieth of a second each"


def test_a_machine_alone_has_its_share_of_the_rate(pair, redis) -> None:
    redis.kill()
    eventually(lambda: all("fleet:" in front.error_log() for front in pair))
    for front in pair:
        assert statuses([front], "/burst", 6) == [204] * 4 + [429] * 2


def test_dry_run_refuses_nobody(pair) -> None:
    pair[0].get("/tried")
    assert pair[1].get("/tried").status == 204
    assert "limiting requests, dry run" in pair[1].error_log()
