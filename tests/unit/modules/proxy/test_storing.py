"""What `proxy_store` comes to, and what is said of mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled, mistakes
from penstock.modules.gateways.fastcgi import FastCgi
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.proxy.storing import StoreRule
from penstock.plan.location import SERVERS


def rule(lines: str, folder: Path, kind: type = Proxy) -> StoreRule | None:
    plan = compiled(f"events {{ }} http {{ proxy_cache_path {folder}/c keys_zone=z:1m; server {{ {lines} }} }}", folder)
    (server,) = plan.shared[SERVERS]
    assert server.locations is not None
    found = server.locations.find("/", None)[kind]  # type: ignore[arg-type]
    assert found.stores == (found.store_rule is not None)
    assert not (found.stores and found.caches)
    return found.store_rule


def test_where_and_with_which_rights(tmp_path: Path) -> None:
    on = rule("location / { proxy_pass http://127.0.0.1:1; proxy_store on; }", tmp_path)
    assert on is not None
    assert (on.place, on.access) == (None, 0o600)
    there = rule(
        "proxy_store up/../$uri; proxy_store_access group:r all:r; location / { proxy_pass http://127.0.0.1:1; }",
        tmp_path,
    )
    assert there is not None
    assert there.place is not None
    assert (there.climbs, there.access) == (1, 0o644)
    assert there.place.text.endswith("/up/../$uri")
    only = rule("proxy_store $uri; proxy_store_access user:r; location / { proxy_pass http://127.0.0.1:1; }", tmp_path)
    assert only is not None
    assert only.access == 0o400
    fastcgi = rule("location / { fastcgi_pass 127.0.0.1:1; fastcgi_store on; }", tmp_path, FastCgi)
    assert fastcgi is not None
    second = rule("location / { proxy_pass http://127.0.0.1:1; proxy_http_version 2; proxy_store on; }", tmp_path)
    assert second is not None


def test_the_inner_one_of_two_holds(tmp_path: Path) -> None:
    location = "location / {{ proxy_pass http://127.0.0.1:1; {} }}"
    assert rule("proxy_store on;" + location.format("proxy_store off;"), tmp_path) is None
    assert rule("proxy_store on;" + location.format("proxy_cache z;"), tmp_path) is None
    assert rule("proxy_cache z;" + location.format("proxy_store on;"), tmp_path) is not None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("proxy_store on; proxy_cache z;", '"proxy_store" directive is incompatible with "proxy_cache"'),
        ("proxy_store_access user:rwx;", 'invalid value "user:rwx"'),
        ("proxy_store_access user;", 'invalid value "user"'),
        ("proxy_store $nothing;", 'unknown "nothing" variable'),
    ],
)
def test_mistakes(lines: str, message: str, tmp_path: Path) -> None:
    location = f"location / {{ proxy_pass http://127.0.0.1:1; {lines} }}"
    found = mistakes(f"proxy_cache_path {tmp_path}/c keys_zone=z:1m; server {{ {location} }}", tmp_path)
    assert [each for each in found if each.startswith(message)], found
