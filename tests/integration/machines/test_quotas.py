"""websocket_quota over several machines: what a user has used on one of them counts on all."""

import json

import pytest

from harness.crowd_frames import close_code
from harness.machines import handshake, joined, open_tunnel
from harness.redis_server import RedisServer
from harness.waiting import eventually
from harness.wire import CLOSE, TEXT, WireClient, masked
from penstock.modules.fleet import scripts

pytest.importorskip("redis")

NODE = """
fleet {value:redis} lease=2s timeout=500ms {value:more};
http {
    websocket_quota_zone $arg_user zone=users:1m sync;
    websocket_quota_zone $name zone=named:1m sync;
    limit_conn_zone $arg_group zone=places:1m sync;
    limit_req_zone $arg_group zone=rates:1m rate=1r/m sync;
    server {
        listen 127.0.0.1:{port:front};
        websocket_close_timeout 500ms;
        location /status { status; }
        location / {
            websocket auto;
            websocket_quota users messages=40/d;
            proxy_pass http://127.0.0.1:{port:ws};
        }
        location /few { websocket auto; websocket_quota users tunnels=3; proxy_pass http://127.0.0.1:{port:ws}; }
        limit_conn_status 429;
        limit_req_status 429;
        location /all {
            websocket auto;
            websocket_quota users tunnels=3;
            limit_conn places 5;
            limit_req zone=rates burst=4 nodelay;
            proxy_pass http://127.0.0.1:{port:ws};
            location /all/guarded { auth_request /who; auth_request_set $name $http_x_name;
                                    websocket_quota named tunnels=1; proxy_pass http://127.0.0.1:{port:ws}; }
        }
        location /who { return 204; }
    }
}
"""


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def machines(proxy, ws_backend, redis):
    def start(number=2, more=""):
        values = {"redis": redis.address, "more": more}
        found = [proxy(NODE, ports={"ws": ws_backend.port}, values=values) for _ in range(number)]
        joined(redis, number)
        eventually(lambda: all(json.loads(each.get("/status").body)["fleet"]["machines"] == number for each in found))
        return found

    return start


def said(client, count):
    """Say so many things, and hear them again."""
    client.send(masked(b"x", TEXT) * count)
    for _ in range(count):
        assert client.frame() == (TEXT, b"x")


def closed(client):
    """The code that the client is told, once it is."""
    while True:
        opcode, payload = client.frame()
        if opcode == CLOSE:
            return close_code(payload)


def used(redis):
    """What Redis knows to be used, of all keys."""
    client = redis.client()
    try:
        return sum(int(client.get(key)) for key in client.scan_iter(match="{penstock:penstock}:q:*"))
    finally:
        client.close()


def client_of(front, target="/?user=a"):
    return WireClient(front.port(), target)


def test_machines_count_together(machines, redis) -> None:
    one, two = machines()
    first, second = client_of(one), client_of(two)
    said(first, 20)
    said(second, 20)
    eventually(lambda: used(redis) == 40)
    other = client_of(one, "/?user=b")
    said(other, 20)
    first.send(masked(b"y", TEXT))
    assert closed(first) == 1008
    # The other machine is told when it tells.
    second.send(masked(b"y", TEXT))
    assert closed(second) == 1008
    for front in (one, two):
        assert closed(client_of(front)) == 1008
    said(other, 1)


def test_a_machine_that_has_not_seen_a_user_hears_of_it_after_the_handshake(machines, redis) -> None:
    one, two = machines()
    first = client_of(one)
    said(first, 40)
    first.send(masked(b"y", TEXT))
    assert closed(first) == 1008
    eventually(lambda: used(redis) == 41)
    assert closed(client_of(two)) == 1008


def test_an_emptied_redis_is_told_what_it_knew(machines, redis) -> None:
    one, _ = machines()
    first = client_of(one)
    said(first, 30)
    eventually(lambda: used(redis) == 30)
    redis.client().flushall()
    joined(redis, 2)
    said(first, 5)
    eventually(lambda: used(redis) == 35)


def test_a_lost_redis_ends_no_tunnel_and_leaves_a_share(machines, redis) -> None:
    one, _ = machines()
    first = client_of(one)
    said(first, 20)
    eventually(lambda: used(redis) == 20)
    redis.kill()
    eventually(lambda: json.loads(one.get("/status").body)["fleet"]["state"] != "up")
    # 20 are left, and there were two machines: each has 10 of them.
    said(first, 10)
    first.send(masked(b"y", TEXT))
    assert closed(first) == 1008
    redis.start()
    joined(redis, 2)
    eventually(lambda: used(redis) == 31, why="what was counted in between, and what was known before")


def test_tunnels(machines, redis) -> None:
    one, two = machines()
    kept = [client_of(front, "/few?user=a") for front in (one, two, one)]
    assert closed(client_of(two, "/few?user=a")) == 1008
    kept.pop().close()

    def again():
        client = client_of(two, "/few?user=a")
        client.send(masked(b"x", TEXT))
        return client.frame()[0] == TEXT

    eventually(again)


def test_on_error_closed_lets_nobody_in(machines, redis) -> None:
    [one] = machines(1, "on_error=closed")
    kept = client_of(one)
    redis.kill()
    eventually(lambda: json.loads(one.get("/status").body)["fleet"]["state"] != "up")
    assert closed(client_of(one)) == 1008
    assert closed(client_of(one, "/few?user=a")) == 1008
    said(kept, 10)
    assert open_tunnel(one, "/status") is None


class Asked:
    """Counts the questions of requests that Redis is asked meanwhile."""

    def __init__(self, redis):
        self._redis = redis
        self._client = redis.client()
        self._monitor = self._client.monitor().__enter__()
        self.count = 0

    def so_far(self):
        """How many there were up to now."""
        ended = self._redis.client()
        ended.echo("up to here")
        ended.close()
        while "up to here" not in (command := self._monitor.next_command()["command"]):
            self.count += command.startswith(f"EVALSHA {scripts.enter.sha.decode()}")
        return self.count


def test_limits_and_quotas_are_asked_for_in_one_question(machines, redis) -> None:
    one, two = machines()
    asked = Asked(redis)
    kept = [open_tunnel(one, "/all?user=a&group=x"), open_tunnel(two, "/all?user=b&group=x")]
    assert all(kept)
    assert asked.so_far() == 2
    # Whichever of them is not to be had refuses in its own way, and takes nothing from the others.
    kept += [client_of(one, "/all?user=a&group=y"), client_of(two, "/all?user=a&group=y")]
    assert closed(client_of(two, "/all?user=a&group=y")) == 1008
    kept += [client_of(one, "/all?user=c&group=x"), client_of(two, "/all?user=d&group=x")]
    kept += [client_of(two, "/all?user=e&group=x")]
    assert handshake(one, "/all?user=f&group=x")[1] == 429, "five of x have a place"
    assert len(kept) == 7
    assert asked.so_far() == 9
    # What is no handshake asks for its limits alone, and at once.
    assert one.get("/all?user=e&group=z").status == 426
    assert asked.so_far() == 10
    # A rate that is used up refuses, too.
    assert [handshake(two, f"/all?user={name}&group=z")[1] for name in "ghijk"] == [101, 101, 101, 101, 429]
    assert asked.so_far() == 15


def test_who_is_known_only_behind_the_access_checks(machines, redis) -> None:
    one, two = machines()
    asked = Asked(redis)
    me = "X-Name: me\r\n"
    assert open_tunnel(one, "/all/guarded?group=x", me)
    assert asked.so_far() == 2, "guesses are counted before they are judged"
    assert closed(WireClient(two.port(), "/all/guarded?group=x", more=me)) == 1008
    other = WireClient(two.port(), "/all/guarded?group=x", more="X-Name: you\r\n")
    said(other, 1)

