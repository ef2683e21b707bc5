"""`keyval` and `keyval_zone`: what may be written, and what their variables are."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, compiled, mistakes
from penstock.modules.rewrite.keyval import KEYVALS
from penstock.plan.plan import STREAM_PART

SERVER = 'server { listen 80; location / { return 200 "[$v]"; } }'


def test_a_variable_is_what_is_set_now(tmp_path: Path) -> None:
    site = Site(f"keyval $arg_key $v zone=one; keyval_zone zone=one:32k; {SERVER}", tmp_path)
    store = site.plan.shared[KEYVALS]["one"]
    assert site.ask("/?key=a").text == "[]"
    store.change(lambda entries: entries.update({"a": ["1", 0]}), 0.0)
    assert (site.ask("/?key=a").text, site.ask("/?key=b").text, site.ask("/").text) == ("[1]", "[]", "[]")


def test_what_is_set_outlasts_a_reload(tmp_path: Path) -> None:
    from penstock.modules.load import load

    text = "events { } http { keyval_zone zone=one:32k; keyval_zone zone=two:32k; keyval $uri $v zone=one; }"
    first = compiled(text, tmp_path)
    for name in ("one", "two"):
        first.shared[KEYVALS][name].change(lambda entries: entries.update({"a": ["1", 0]}), 0.0)
    (tmp_path / "penstock.conf").write_text(text.replace("zone=two:32k", "zone=two:64k"))
    second = load(str(tmp_path / "penstock.conf"), prefix=f"{tmp_path}/", previous=first)
    assert second.shared[KEYVALS]["one"].find("a", 0.0) == "1"
    assert second.shared[KEYVALS]["two"].find("a", 0.0) is None, "another size is another zone"


def test_a_file_is_read_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"a": "kept"}')
    text = f"keyval_zone zone=one:32k state=one.json; keyval $arg_key $v zone=one; {SERVER}"
    assert Site(text, tmp_path).ask("/?key=a").text == "[kept]"
    (tmp_path / "one.json").unlink()
    assert Site(text, tmp_path).ask("/?key=a").text == "[]"


def test_streams_have_zones_of_their_own(tmp_path: Path) -> None:
    plan = compiled(
        "events { } http { keyval_zone zone=one:32k; } stream { keyval_zone zone=one:32k type=ip; "
        "keyval $remote_addr $to zone=one; server { listen 127.0.0.1:18999; proxy_pass $to; } }",
        tmp_path,
    )
    part = plan.shared[STREAM_PART]
    assert part[KEYVALS]["one"].memory is not plan.shared[KEYVALS]["one"].memory
    assert (part[KEYVALS]["one"].kind, plan.shared[KEYVALS]["one"].kind) == ("ip", "string")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keyval $uri $a zone=none;", 'unknown zone "none"'),
        ("keyval $uri a zone=one; keyval_zone zone=one:32k;", 'invalid variable name "a"'),
        ("keyval $uri $a one;", 'invalid parameter "one"'),
        ("keyval $uri $a zone=;", 'invalid parameter "zone="'),
        ("keyval_zone zone=one;", 'invalid zone size "zone=one"'),
        ("keyval_zone zone=:32k;", 'invalid zone size "zone=:32k"'),
        ("keyval_zone zone=one:32x;", 'invalid zone size "zone=one:32x"'),
        ("keyval_zone zone=one:16k;", 'zone "one" is too small'),
        ("keyval_zone state=x;", '"keyval_zone" must have "zone" parameter'),
        ("keyval_zone zone=one:32k zone=one:32k;", 'duplicate "zone" parameter'),
        ("keyval_zone zone=one:32k; keyval_zone zone=one:32k;", 'duplicate zone "one"'),
        ("keyval_zone zone=one:32k type=number;", 'invalid type "number"'),
        ("keyval_zone zone=one:32k timeout=x;", 'invalid timeout "x"'),
        ("keyval_zone zone=one:32k timeout=0;", 'invalid timeout "0"'),
        ("keyval_zone zone=one:32k sync;", '"sync" requires "timeout" parameter'),
        ("keyval_zone zone=one:32k sync=on timeout=1h;", 'invalid parameter "sync=on"'),
        ("keyval_zone zone=one:32k timeout;", 'invalid parameter "timeout"'),
        (
            "keyval_zone zone=one:32k sync timeout=1h;",
            '"sync" has no effect: the keyval zone "one" is this machine\'s alone',
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    assert message in mistakes(f"{text} server {{ listen 80; }}", tmp_path)


def test_a_state_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("server 127.0.0.1;")
    (found,) = mistakes("keyval_zone zone=one:32k state=one.json; server { listen 80; }", tmp_path)
    assert found.startswith(f'the state file "{tmp_path}/one.json" can not be read: ')
