"""Whatever directive and variable nginx has or nginx.org documents, Penstock has a verdict on it: none is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.registry import REGISTRY, Context, Verdict
from penstock.config.variables import FAMILIES, VARIABLES
from penstock.modules.load import known

CORPUS = Path(__file__).parents[1] / "corpus"


def _rows(name: str) -> list[list[str]]:
    lines = (CORPUS / name).read_text("ascii").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


LINES = _rows("directives.txt")
NAMES = _rows("variables.txt")
MODULES = sorted({module for module, *_ in LINES})
CORE = {
    "ngx_http_access_module",
    "ngx_http_auth_basic_module",
    "ngx_http_auth_request_module",
    "ngx_http_core_module",
    "ngx_http_limit_conn_module",
    "ngx_http_limit_req_module",
    "ngx_http_log_module",
    "ngx_http_map_module",
    "ngx_http_oidc_module",
    "ngx_http_proxy_module",
    "ngx_http_realip_module",
    "ngx_http_rewrite_module",
    "ngx_http_scgi_module",
    "ngx_http_ssl_module",
    "ngx_http_tunnel_module",
    "ngx_http_upstream",
    "ngx_http_uwsgi_module",
    "ngx_http_v3_module",
    "ngx_mgmt_module",
    "ngx_otel_module",
}


def test_the_list_covers_what_proxying_needs() -> None:
    assert set(MODULES) >= CORE
    assert len(LINES) > 700


@pytest.mark.parametrize("module", MODULES)
def test_every_directive_has_a_verdict_where_it_may_stand(module: str) -> None:
    known()
    missing = []
    for where, name, levels in LINES:
        if where != module or (name not in REGISTRY and REGISTRY.stranger(name)):
            continue
        refused = all(spec.verdict is Verdict.REFUSED for spec in REGISTRY.specs(name))
        for level in levels.split(","):
            spec = REGISTRY.find(name, Context[level.upper()])
            if spec is None and (not refused or name not in REGISTRY):
                missing.append(f"{name} in {level}")
    assert not missing


def test_what_is_taken_stands_nowhere_else() -> None:
    """A directive at a level where nginx has it not would be without effect in silence."""
    known()
    places: dict[str, Context] = {}
    for _, name, levels in LINES:
        for level in levels.split(","):
            places[name] = places.get(name, Context(0)) | Context[level.upper()]
    passes = {f"{prefix}_pass" for prefix in ("fastcgi", "grpc", "scgi", "uwsgi")}
    astray = [
        f"{spec.name} in {spec.where & ~places[spec.name]!r}"
        for spec in REGISTRY
        if spec.name in places
        and spec.verdict is not Verdict.REFUSED
        and spec.where & ~places[spec.name]
        and spec.name not in passes | {"status", "status_zone"}
    ]
    assert not astray


def test_whatever_is_not_done_says_why() -> None:
    known()
    silent = [spec.name for spec in REGISTRY if spec.verdict is not Verdict.IMPLEMENTED and len(spec.reason) < 15]
    silent += [each.what for each in REGISTRY.strangers if len(each.advice) < 15]
    assert not silent


def test_every_variable_is_known() -> None:
    known()
    assert len(NAMES) > 180
    missing = [
        name for name, _ in NAMES if name not in VARIABLES and not any(name.startswith(prefix) for prefix in FAMILIES)
    ]
    assert not missing


def test_the_same_ones_may_be_given_other_values() -> None:
    known()
    different = [
        name for name, kind in NAMES if name in VARIABLES and VARIABLES[name].changeable != (kind == "changeable")
    ]
    assert not different
