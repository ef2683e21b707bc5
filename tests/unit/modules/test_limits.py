"""limit_req and limit_conn: how buckets leak, how places are taken, and what is wrong in a configuration."""

import asyncio
import os

import pytest

from harness.site import Site, mistakes
from penstock.modules.access import limit_req
from penstock.modules.access.delay import delay
from penstock.modules.access.places import give_back, take
from penstock.modules.access.zones import ZONES as KEY
from penstock.modules.access.zones import Shared
from penstock.shared.zone import RECORD, WINDOW, Zone

ZONES = "limit_req_zone $arg_k zone=one:1m rate=2r/s; limit_conn_zone $arg_k zone=two:1m;"


class Clock:
    """Asks a site at moments of its own choosing, and keeps how long requests would have waited."""

    def __init__(self, text: str, tmp_path, monkeypatch) -> None:
        self.site = Site(text, tmp_path)
        self.waits: list[float] = []

        # Where it would have to wait, it goes on at once.
        monkeypatch.setattr(limit_req, "Delay", self.waits.append)

    def ask(self, target: str, at: float):
        from types import SimpleNamespace

        from harness import site

        site.Client.service = SimpleNamespace(draining=False, timers=SimpleNamespace(now=at))
        return self.site.ask(target).status


def front(tmp_path, monkeypatch, limits: str) -> Clock:
    return Clock(
        f"{ZONES} server {{ listen 80; location / {{ {limits} try_files /none =204; }} }}", tmp_path, monkeypatch
    )


def test_beyond_the_burst_is_refused(tmp_path, monkeypatch) -> None:
    clock = front(tmp_path, monkeypatch, "limit_req zone=one burst=2 nodelay;")
    assert [clock.ask("/?k=a", 10) for _ in range(4)] == [204, 204, 204, 503]
    assert clock.site.said() == ['limiting requests, excess: 3.000 by zone "one"']
    assert clock.ask("/?k=b", 10) == 204
    assert clock.ask("/?k=a", 10.25) == 503
    assert clock.ask("/?k=a", 10.5) == 204
    assert [clock.ask("/", 10) for _ in range(9)] == [204] * 9
    assert clock.waits == []


def test_within_the_burst_waits(tmp_path, monkeypatch) -> None:
    clock = front(tmp_path, monkeypatch, "limit_req zone=one burst=3 delay=1; limit_req_log_level warn;")
    assert [clock.ask("/?k=a", 10) for _ in range(4)] == [204] * 4
    assert clock.waits == [0.5, 1.0]
    assert clock.site.log.kept == [
        (6, 'delaying request, excess: 2.000, by zone "one"'),
        (6, 'delaying request, excess: 3.000, by zone "one"'),
    ]


def test_a_clock_that_goes_back_does_no_harm(tmp_path, monkeypatch) -> None:
    clock = front(tmp_path, monkeypatch, "limit_req zone=one burst=1 nodelay; limit_req_status 429;")
    assert clock.ask("/?k=a", 100) == 204
    assert clock.ask("/?k=a", 10) == 204
    assert clock.ask("/?k=a", 10) == 429


def test_dry_runs(tmp_path, monkeypatch) -> None:
    clock = front(tmp_path, monkeypatch, "limit_req zone=one burst=1; limit_req_dry_run on;")
    assert [clock.ask("/?k=a", 10) for _ in range(3)] == [204] * 3
    assert clock.waits == []
    assert clock.site.said() == [
        'delaying request, dry run, excess: 1.000, by zone "one"',
        'limiting requests, dry run, excess: 2.000 by zone "one"',
    ]


def test_what_one_limit_refuses_the_others_do_not_count(tmp_path, monkeypatch) -> None:
    text = """
        limit_req_zone $arg_k zone=wide:1m rate=1r/s; limit_req_zone $arg_k zone=narrow:1m rate=1r/m;
        server { listen 80;
            location / { limit_req zone=wide burst=1 nodelay; limit_req zone=narrow; try_files /none =204; }
            location /wide { limit_req zone=wide burst=1 nodelay; try_files /none =204; }
        }"""
    clock = Clock(text, tmp_path, monkeypatch)
    assert [clock.ask("/?k=a", 10) for _ in range(3)] == [204, 503, 503]
    assert [clock.ask("/wide?k=a", 10) for _ in range(2)] == [204, 503]


def test_a_full_zone_forgets_the_oldest() -> None:
    shared = Shared("limit_req", "one", None, 1000, Zone("one", RECORD * WINDOW))  # type: ignore[arg-type]
    for number in range(WINDOW):
        limit_req._count(shared, shared.memory.digest(str(number)), 1000 + number, 0)
    limit_req._count(shared, shared.memory.digest("0"), 5000, 0)
    limit_req._count(shared, shared.memory.digest("new"), 5001, 0)
    assert shared.memory.find(shared.memory.digest("0")) >= 0
    assert shared.memory.find(shared.memory.digest("1")) == -1


def test_places_are_taken_and_given_back(tmp_path) -> None:
    site = Site(f"{ZONES} server {{ listen 80; limit_conn two 2; try_files /none =204; }}", tmp_path)
    replies = [site.ask("/?k=a") for _ in range(3)]
    assert [reply.status for reply in replies] == [204, 204, 503]
    assert site.said() == ['limiting connections by zone "two"']
    assert replies[2].request.endings is None
    for action in replies[0].request.endings:
        action()
    assert site.ask("/?k=a").status == 204
    assert site.ask("/?k=a").status == 503
    assert site.ask("/").status == 204


def test_a_request_that_one_zone_refuses_holds_no_place_in_another(tmp_path) -> None:
    text = (
        "limit_conn_zone $arg_k zone=first:1m; limit_conn_zone $arg_k zone=second:1m;"
        "server { listen 80; try_files /none =204; location / { limit_conn first 2; limit_conn second 1; }"
        " location /first { limit_conn first 2; } }"
    )
    site = Site(text, tmp_path)
    assert [site.ask("/x?k=a").status for _ in range(3)] == [404, 503, 503]
    assert [site.ask("/first?k=a").status for _ in range(2)] == [404, 503]


def test_what_a_dead_worker_held_is_free() -> None:
    zone = Zone("one", 1 << 15)
    digest = zone.digest("k")
    pid = os.fork()
    if not pid:
        take(zone, digest, 2)
        take(zone, digest, 2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert take(zone, digest, 2)
    assert take(zone, digest, 2)
    assert not take(zone, digest, 2)
    give_back(zone, digest)
    assert take(zone, digest, 2)


def test_memory_goes_on_with_the_next_configuration(tmp_path) -> None:
    from penstock.config.errors import ConfigFailed
    from penstock.modules.load import load

    def read(zones: str, previous=None):
        path = tmp_path / "n.conf"
        path.write_text(f"events {{ }} http {{ {zones} server {{ listen 80; }} }}")
        return load(str(path), prefix=f"{tmp_path}/", previous=previous)

    def memory(plan):
        return plan.shared[KEY]["one"].memory

    first = read("limit_req_zone $uri zone=one:1m rate=1r/s;")
    assert memory(read("limit_req_zone $uri zone=one:1m rate=9r/s;", first)) is memory(first)
    assert memory(read("limit_req_zone $uri zone=one:2m rate=1r/s;", first)) is not memory(first)
    with pytest.raises(ConfigFailed) as failed:
        read("limit_req_zone $host zone=one:1m rate=1r/s;", first)
    message = 'limit_req "one" uses the "$host" key while previously it used the "$uri" key'
    assert [problem.message for problem in failed.value.problems] == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit_req_zone $uri zone=a rate=1r/s;", 'invalid zone size "zone=a"'),
        ("limit_req_zone $uri zone=a:1x rate=1r/s;", 'invalid zone size "zone=a:1x"'),
        ("limit_req_zone $uri zone=a:4k rate=1r/s;", 'zone "a" is too small'),
        ("limit_req_zone $uri zone=a:1m rate=0r/s;", 'invalid rate "rate=0r/s"'),
        ("limit_req_zone $uri zone=a:1m sync;", '"sync" without a "fleet"'),
        ("limit_req_zone $uri rate=1r/s rate=1r/s;", '"limit_req_zone" must have "zone" parameter'),
        (
            "limit_req_zone $uri zone=a:1m rate=1r/s; limit_req_zone $host zone=a:1m rate=1r/s;",
            'limit_req_zone "a" is already bound to key "$uri"',
        ),
        ("limit_req zone=a;", 'zero size shared memory zone "a"'),
        ("limit_conn a 1;", 'zero size shared memory zone "a"'),
        ("limit_req burst=1;", '"limit_req" must have "zone" parameter'),
        (f"{ZONES} limit_req zone=one burst=0;", 'invalid burst value "burst=0"'),
        (f"{ZONES} limit_req zone=one slow;", 'invalid parameter "slow"'),
        (f"{ZONES} limit_req zone=one; limit_req zone=one;", '"limit_req" directive is duplicate'),
        (f"{ZONES} limit_req zone=two;", 'the shared memory zone "two" is already declared for a different use'),
        (f"{ZONES} limit_conn two 0;", 'invalid number of connections "0"'),
        (f"{ZONES} limit_conn two 65536;", "connection limit must be less 65536"),
        ("limit_req_status 399;", "value must be equal to or greater than 400"),
        ("limit_conn_status 600;", "value must be equal to or less than 599"),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert mistakes(text, tmp_path) == [message]


def test_waiting_needs_nothing_of_the_test(monkeypatch) -> None:
    """The wait itself: time passes, and nobody is told of a hang-up afterwards."""
    from types import SimpleNamespace

    from penstock.net.fiber import spawn

    stream = SimpleNamespace(on_hangup=None)
    request = SimpleNamespace(connection=SimpleNamespace(stream=stream))

    async def run() -> None:
        fiber = spawn(delay(request, 0.01))
        assert stream.on_hangup is not None
        while not fiber.done:
            await asyncio.sleep(0.01)
        assert stream.on_hangup is None

    asyncio.run(run())
