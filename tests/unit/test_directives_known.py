"""Whatever directive nginx's http modules have, Penstock has a verdict on it: none is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.registry import REGISTRY, Verdict
from penstock.modules.load import known

NAMES = Path(__file__).parents[1] / "corpus" / "directives.txt"
LINES = [line.split() for line in NAMES.read_text("ascii").splitlines() if line and not line.startswith("#")]
MODULES = sorted({module for module, _ in LINES})
CORE = {
    "ngx_http_access_module",
    "ngx_http_auth_basic_module",
    "ngx_http_auth_request_module",
    "ngx_http_core_module",
    "ngx_http_limit_conn_module",
    "ngx_http_limit_req_module",
    "ngx_http_log_module",
    "ngx_http_map_module",
    "ngx_http_proxy_module",
    "ngx_http_realip_module",
    "ngx_http_rewrite_module",
    "ngx_http_scgi_module",
    "ngx_http_ssl_module",
    "ngx_http_tunnel_module",
    "ngx_http_upstream",
    "ngx_http_uwsgi_module",
}


def test_the_list_covers_what_proxying_needs() -> None:
    assert set(MODULES) >= CORE
    assert len(LINES) > 500


@pytest.mark.parametrize("module", MODULES)
def test_every_directive_has_a_verdict(module: str) -> None:
    known()
    missing = [name for where, name in LINES if where == module and name not in REGISTRY]
    assert not missing


def test_whatever_is_not_done_says_why() -> None:
    known()
    silent = [spec.name for spec in REGISTRY if spec.verdict is not Verdict.IMPLEMENTED and len(spec.reason) < 15]
    assert not silent
