"""Settings of a level: inherited as declared, shared where a level says nothing, and never changed once finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.config.settings import Frozen
from penstock.modules.core.http_core import HttpCore
from penstock.modules.filters.headers import Headers
from penstock.modules.logs.log import AccessLogs
from penstock.plan.location import Location
from penstock.plan.plan import Plan


def plan(http: str, folder: Path) -> Plan:
    return compiled(f"events {{ }} http {{ {http} }}", folder)


def nested(found: Plan, path: str) -> Location:
    locations = found.servers[0].root.nested
    assert locations is not None
    return next(each for each in locations.all if each.name == path)


def test_the_nearest_level_s_value_is_in_force(tmp_path: Path) -> None:
    found = plan(
        "keepalive_timeout 10s; server { listen 80; keepalive_timeout 20s; location /a { keepalive_timeout 30s; }"
        " location /b { etag off; } }",
        tmp_path,
    )
    assert found.servers[0].root[HttpCore].keepalive_timeout[0] == 20
    assert nested(found, "/a")[HttpCore].keepalive_timeout[0] == 30
    assert nested(found, "/b")[HttpCore].keepalive_timeout[0] == 20


def test_a_level_that_says_nothing_shares_what_is_around_it(tmp_path: Path) -> None:
    found = plan("etag off; server { listen 80; location /a { } location /b { etag on; } }", tmp_path)
    root = found.servers[0].root
    assert nested(found, "/a")[HttpCore] is root[HttpCore]
    assert nested(found, "/b")[HttpCore] is not root[HttpCore]


def test_a_list_of_a_level_replaces_the_outer_one(tmp_path: Path) -> None:
    found = plan("add_header A 1; server { listen 80; location /a { add_header B 2; } location /b { } }", tmp_path)
    outer = nested(found, "/b")[Headers].added
    inner = nested(found, "/a")[Headers].added
    assert len(outer) == len(inner) == 1
    assert outer != inner


def test_where_a_value_was_written_is_known(tmp_path: Path) -> None:
    found = plan("server {\nlisten 80;\netag off; }", tmp_path)
    settings = found.servers[0].root[HttpCore]
    origin = settings.origin("etag")
    assert origin is not None
    assert origin.line == 3
    assert settings.origin("keepalive_requests") is None


def test_finished_settings_can_not_be_changed(tmp_path: Path) -> None:
    found = plan("server { listen 80; access_log off; }", tmp_path)
    for kind in (HttpCore, AccessLogs):
        settings = found.servers[0].root[kind]
        for attribute in ("of_this_test", next(iter(kind.fields))):
            with pytest.raises(Frozen, match=attribute):
                setattr(settings, attribute, None)


def test_every_module_s_settings_are_finished(tmp_path: Path) -> None:
    """Whatever a module derives, it does in `finish`: nothing is left to be set while it serves."""
    found = plan("server { listen 80; location / { proxy_pass http://127.0.0.1:1; } }", tmp_path)
    for location in (found.servers[0].root, nested(found, "/")):
        assert len(location) > 20
        for settings in location.values():
            with pytest.raises(Frozen):
                settings.of_this_test = None
