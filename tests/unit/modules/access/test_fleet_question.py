"""What becomes of a request by Redis's answer, by none, and when nobody waits any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.site import compiled
from penstock.http.request import Answer, Outcome
from penstock.modules.access.fleet_limits import FLEET_ASKED, FleetLimits
from penstock.modules.fleet.membership import FLEET
from penstock.modules.fleet.places import FleetPlaces
from penstock.plan.later import Later

pytest.importorskip("redis")

SITE = """
    fleet redis://127.0.0.1:1 on_error=%s;
    events { }
    http {
        limit_conn_zone $arg_user zone=users:1m sync;
        limit_conn_zone $server_name zone=all:1m sync;
        limit_req_zone $arg_rate zone=rate:1m rate=10r/s sync;
        server {
            listen 127.0.0.1:8; server_name here; limit_conn_status 429;
            location / { limit_conn users 4; limit_conn all 9; limit_req zone=rate burst=5 delay=1; }
        }
    }
"""


class Link:
    """A worker's link that the test plays."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.nodes = 2
        self.asked: list[tuple[bytes, tuple[bytes, ...], Any]] = []
        self.held: list[bytes] = []
        self.left: list[bytes] = []
        self.up = True
        self.waiter: Any = None

    def enter(self, question: bytes, places: tuple[bytes, ...], waiter: Any) -> Any:
        self.asked.append((question, places, waiter))
        self.waiter = waiter
        return self if self.up else None

    def hold(self, digest: bytes) -> None:
        self.held.append(digest)

    def leave(self, digests: tuple[bytes, ...]) -> None:
        self.left += digests


class Here:
    """Who else has places on this machine, and what a request asks of its connection."""

    now = 5.0

    def __init__(self) -> None:
        self.service = self.timers = self


class Asked:
    """A request, as far as limits look at it."""

    method = host = uri = "x"
    parent = None
    log_context = None

    def __init__(self, location: Any, **args: str) -> None:
        self.main = self
        self.location = location
        self.cached: dict[str, str] = {}
        self.endings: list[Any] = []
        self.connection = Here()
        self.args = "&".join(f"{name}={value}" for name, value in args.items())
        self.server = self
        self.name = "here"
        self.variables: dict[str, str] = {}

    def at_end(self, action: Any) -> None:
        self.endings.append(action)


@pytest.fixture
def level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(on_error: str = "local") -> tuple[FleetLimits, Link, Any]:
        plan = compiled(SITE % on_error, tmp_path)
        locations = plan.servers[0].locations
        assert locations is not None
        location = locations.all[0]
        fleet = plan.shared[FLEET]
        link = Link(fleet.options)
        monkeypatch.setattr(fleet, "link", link)
        monkeypatch.setattr("penstock.modules.access.fleet_question.report", lambda *words: None)
        return location[FleetLimits], link, location

    return made


def waited(later: Any) -> list[Outcome]:
    """Wait for an outcome."""
    assert isinstance(later, Later)
    said: list[Outcome] = []
    later.told = said.append
    return said


def test_what_is_granted_is_left_at_the_end(level: Any) -> None:
    limits, link, location = level()
    request = Asked(location, user="a")
    said = waited(limits.ask(request))
    link.waiter([1])
    assert said == [None]
    (places,) = request.endings
    assert isinstance(places, FleetPlaces)
    places()
    places()
    assert tuple(link.left) == link.asked[0][1] and len(link.left) == 2
    assert limits.ask(request) is None, "it is asked once for a request"
    assert request.cached[FLEET_ASKED] == "ASKED"


def test_the_same_keys_are_the_same_question(level: Any) -> None:
    limits, link, location = level()
    for _ in range(3):
        limits.ask(Asked(location, user="a"))
    limits.ask(Asked(location, user="b"))
    limits.ask(Asked(location))
    first, second, third, other, none = link.asked
    assert first[:2] == second[:2] == third[:2]
    assert second[0] is third[0], "it is written once"
    assert other[1][0] != first[1][0] and other[1][1] == first[1][1]
    assert none[1] == first[1][1:], "an empty key does not count"


@pytest.mark.parametrize(
    ("reply", "status"), [([2, 0, 4], 429), ([2, 1, 9], 429), ([3, 0, 6000], 503), ([1, 0], None), ([0, 0], None)]
)
def test_what_redis_says(level: Any, reply: list[int], status: int | None) -> None:
    limits, link, location = level()
    request = Asked(location, user="a", rate="b")
    said = waited(limits.ask(request))
    link.waiter(reply)
    (outcome,) = said
    assert (outcome.status if isinstance(outcome, Answer) else outcome) == status
    assert len(request.endings) == (status is None)
    assert len(link.held) == (2 if reply[0] == 0 else 0), "it is not sure: this machine decides, and tells it"


def test_what_is_too_fast_waits_and_may_give_up(level: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Slow(Later[Outcome]):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds
            made.append(self)

    monkeypatch.setattr("penstock.modules.access.fleet_question.Delay", Slow)
    limits, link, location = level()
    question = limits.ask(Asked(location, rate="b", user="a"))
    said = waited(question)
    link.waiter([1, 3000])
    assert said == [] and made[0].seconds == pytest.approx(0.2)
    made[0].say(None)
    assert said == [None]
    question = limits.ask(Asked(location, rate="b", user="a"))
    waited(question)
    link.waiter([1, 3000])
    question.drop()
    assert made[1].told is None


@pytest.mark.parametrize(("how", "status"), [("local", None), ("open", None), ("closed", 429)])
@pytest.mark.parametrize("up", [True, False])
def test_without_an_answer(level: Any, how: str, status: int | None, up: bool) -> None:
    limits, link, location = level(how)
    link.up = up
    request = Asked(location, user="a")
    outcome = limits.ask(request)
    if up:
        said = waited(outcome)
        link.waiter(None)
        (outcome,) = said
    assert (outcome.status if isinstance(outcome, Answer) else outcome) == status
    assert len(link.held) == len(request.endings) * 2 == (2 if status is None else 0)


def test_who_goes_waits_for_nothing(level: Any) -> None:
    limits, link, location = level()
    request = Asked(location, user="a")
    question = limits.ask(request)
    said = waited(question)
    question.drop()
    assert link.waiter is None, "what is granted from now on is nobody's"
    assert said == [] and request.endings == []


def test_a_mistake_of_ours_costs_one_request(level: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, link, location = level()
    logged: list[str] = []
    monkeypatch.setattr("penstock.observe.errorlog.report", lambda subject, level, message: logged.append(message))
    said = waited(limits.ask(Asked(location, user="a")))
    link.waiter([])
    (outcome,) = said
    assert isinstance(outcome, Answer) and outcome.status == 500
    assert logged[0].startswith("internal error: IndexError('list index out of range') at _outcome line ")
    assert "fleet_question.py" in logged[1] and "\n" not in logged[1]
