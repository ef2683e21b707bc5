"""Where temporary files of what gateways answer go, and that to say so needs none of what serves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.modules.core.temp_paths import temp_folders
from penstock.modules.gateways.fastcgi import FastCgi
from penstock.modules.gateways.gateway import Gateway
from penstock.modules.gateways.scgi import Scgi
from penstock.modules.gateways.uwsgi import Uwsgi

HERE = "events {{ }} http {{ {0}_temp_path there 1 2; server {{ listen 127.0.0.1:80; {1} }} }}"


@pytest.mark.parametrize(("prefix", "gateway"), [("fastcgi", FastCgi), ("scgi", Scgi), ("uwsgi", Uwsgi)])
def test_the_innermost_that_is_written_holds(tmp_path: Path, prefix: str, gateway: type[Gateway]) -> None:
    inner = f"""
        location /far {{ {prefix}_pass 127.0.0.1:9000; }}
        location /near {{ {prefix}_temp_path {tmp_path}/near 3; {prefix}_pass 127.0.0.1:9000; }}
        location / {{ return 200; }}
    """
    plan = compiled(HERE.format(prefix, inner), tmp_path)
    locations = plan.servers[0].locations
    assert locations is not None
    found = {each.name: each[gateway].policy.folder for each in locations.all if each.name != "/"}
    assert {name: None if folder is None else (folder.path, folder.levels) for name, folder in found.items()} == {
        "/far": (f"{tmp_path}/there", (1, 2)),
        "/near": (f"{tmp_path}/near", (3,)),
    }
    used = {each.folder.path for each in temp_folders(plan)}
    assert {f"{tmp_path}/there", f"{tmp_path}/near"} <= used


def test_there_is_one_where_none_is_written(tmp_path: Path) -> None:
    text = "events { } http { server { listen 127.0.0.1:80; location / { fastcgi_pass 127.0.0.1:9000; } } }"
    locations = compiled(text, tmp_path).servers[0].locations
    assert locations is not None
    folder = locations.all[0][FastCgi].policy.folder
    assert folder is not None and folder.path.endswith("fastcgi_temp") and folder.directive == "fastcgi_temp_path"
