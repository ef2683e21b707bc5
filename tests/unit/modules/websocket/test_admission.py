"""What a `websocket_admission` comes to, and what is said of mistakes in one."""

from pathlib import Path

import pytest

from harness.site import compiled, mistakes
from penstock.modules.core.locations import all_locations
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.modules.websocket.admission import Admission
from penstock.upstream.admission.bounds import Bounds, SharedBounds
from penstock.upstream.admission.rule import AdmissionRule

APP = "upstream app {{ server 127.0.0.1:1; {} }}"
LINE = "websocket_admission rate=200r/s in_progress=500 queue=20s reject=1013 retry_after=5s..2m;"
RULE = AdmissionRule(200.0, 500, 20.0, 1013, (5.0, 120.0))


@pytest.mark.parametrize(("more", "kind"), [("", Bounds), ("zone app 64k;", SharedBounds)])
def test_of_an_upstream(more: str, kind: type, tmp_path: Path) -> None:
    plan = compiled(f"events {{ }} http {{ {APP.format(LINE + more)} }}", tmp_path)
    group = plan.shared[UPSTREAMS].find("app")
    assert group is not None and group.admission is not None
    assert group.admission.rule == RULE
    assert type(group.admission.bounds) is kind


def test_of_a_location(tmp_path: Path) -> None:
    http = f"""server {{
        location /a {{ {LINE} location /a/b {{ }} location /a/c {{ websocket_admission off; }} }}
        location /d {{ websocket_admission in_progress=5 zone=z; }}
        location /e {{ websocket_admission in_progress=6 zone=z; }}
    }}"""
    plan = compiled(f"events {{ }} http {{ {http} }}", tmp_path)
    found = {place.name: place[Admission].gate for place in all_locations([each.root for each in plan.servers])}
    assert found["/a"] is not None and found["/d"] is not None and found["/e"] is not None
    assert found["/a"].rule == RULE
    assert found["/a/b"] is found["/a"]
    assert found["/a/c"] is None
    assert found["/d"].bounds is found["/e"].bounds
    assert isinstance(found["/d"].bounds, SharedBounds)


def test_not_all_come_back_at_once() -> None:
    times = {RULE.come_back() for _ in range(200)}
    assert min(times) >= 5
    assert max(times) <= 120
    assert len(times) > 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("websocket_admission queue=5s;", '"websocket_admission" needs "rate" or "in_progress"'),
        ("websocket_admission rate=fast;", 'invalid parameter "rate=fast"'),
        ("websocket_admission in_progress=0;", 'invalid parameter "in_progress=0"'),
        ("websocket_admission rate=1r/s reject=429;", 'invalid parameter "reject=429"'),
        ("websocket_admission rate=1r/s retry_after=9s..3s;", 'invalid parameter "retry_after=9s..3s"'),
        ("websocket_admission rate=1r/s retry_after=0;", 'invalid parameter "retry_after=0"'),
        ("websocket_admission rate=1r/s burst=3;", 'invalid parameter "burst=3"'),
    ],
)
@pytest.mark.parametrize("where", ["upstream", "location"])
def test_mistakes(line: str, message: str, where: str, tmp_path: Path) -> None:
    text = APP.format(line) if where == "upstream" else f"server {{ location / {{ {line} }} }}"
    assert mistakes(text, tmp_path) == [message]


def test_a_zone_belongs_to_a_location(tmp_path: Path) -> None:
    line = "websocket_admission rate=1r/s zone=z;"
    assert mistakes(APP.format(line), tmp_path) == ['invalid parameter "zone=z"']
    assert mistakes(APP.format(LINE + LINE), tmp_path) == ['"websocket_admission" directive is duplicate']
