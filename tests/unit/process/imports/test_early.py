"""What is imported before workers are forked is all that they import, and no more than the configuration needs."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock.modules import WORDS
from penstock.process.imports.early import ALWAYS, AS_READ, WITH

SOURCE = Path(penstock.__file__).parent
MISTAKES = {"difflib", "gzip", "grp", "pwd"}
"""Imported as the configuration is read, or by the master before it serves."""
LIBRARIES = {
    *("prometheus_client.core", "prometheus_client.exposition", "prometheus_client.registry", "maxminddb"),
    *("redis", "redis.cluster", "redis.sentinel"),
}
"""Libraries that a configuration asks for (`metrics`, `geoip2`, `fleet`): the master imports them as it reads that."""

ORDINARY = """
events { }
http {
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; scgi_temp_path scgi; uwsgi_temp_path uwsgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    upstream app { server 127.0.0.1:8080; keepalive 64; }
    server {
        listen 127.0.0.1:8000;
        listen 127.0.0.1:8443 ssl;
        http2 on;
        ssl_reject_handshake on;
        location / { proxy_pass http://app; }
        location /ws {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
        }
    }
}
"""
ROOMS = {
    *("config.regex.engines", "config.regex.pattern_tree", "config.regex.translation"),
    *("modules.acme.certificate", "modules.acme.issuer", "process.acme"),
    *("modules.checks", "upstream.checks.asking", "upstream.checks.expected"),
    *("modules.control.api", "modules.control.dashboard", "modules.logs.metrics", "modules.logs.status"),
    *("modules.filters.charset", "modules.filters.gzip", "modules.filters.ssi", "modules.filters.sub_filter"),
    *("modules.fleet.fleet", "modules.fleet.link", "net.redis", "server.fleet_questions"),
    *("modules.access.limit_conn", "modules.access.limit_req", "modules.websocket.quota", "server.websocket.quotas"),
    *("modules.gateways.fastcgi", "modules.gateways.gateway", "modules.gateways.grpc", "modules.gateways.memcached"),
    *("modules.gateways.params", "modules.gateways.scgi", "modules.gateways.uwsgi"),
    *("upstream.fastcgi", "upstream.h2", "net.h2.client"),
    *("modules.rewrite.rewrite", "modules.rewrite.geo", "modules.rewrite.geoip2", "modules.rewrite.json_set"),
    *("modules.stream", "server.stream.serve", "server.stream.datagrams"),
    *("modules.tracing.otel", "modules.tracing.tunnel_spans", "observe.tracing"),
    *("modules.unsupported.nginx_plus", "modules.unsupported.third_party", "modules.unsupported.unsupported"),
    *("modules.upstream.servers_from", "modules.upstream.sticky", "process.discovery"),
    *("upstream.names.dns", "upstream.names.resolver", "upstream.peers.least_time", "upstream.peers.hashing"),
    *("process.cache", "process.single"),
}
"""What a configuration without their directives does not have, rooms and modules."""
STRANGERS = {
    *("argparse", "calendar", "cryptography", "difflib", "email", "html", "http", "pathlib", "pkgutil", "rich"),
    *("hmac", "ipaddress", "secrets"),
    *("h2", "hpack", "hyperframe", "prometheus_client", "redis", "stringprep", "urllib"),
}
"""Libraries that it has no use for, Python's own among them: each is a tenth of a megabyte, or more."""
MOST = 520
"""Modules of the program; ten of them are about a third of a megabyte."""

LOADED = """
import json, sys
import penstock.cli.main, penstock.process.start
from penstock.modules.load import known, load
from penstock.process.imports.early import provide
if sys.argv[2] == "everything":
    known()
load(sys.argv[1], prefix="/tmp/")
provide()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ordinary") / "nginx.conf"
    path.write_text(ORDINARY)
    return path


@pytest.fixture(scope="module")
def ordinary(site: Path) -> frozenset[str]:
    return loaded(site, "ordinary")


@pytest.fixture(scope="module")
def everything(site: Path) -> frozenset[str]:
    return loaded(site, "everything")


def loaded(site: Path, what: str) -> frozenset[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(site), what], capture_output=True, text=True, timeout=60, check=True
    )
    return frozenset(json.loads(done.stdout))


def late_imports(path: Path) -> Iterator[str]:
    """Modules that functions of a file import."""
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                inner = {f"{node.module}.{each.name}" for each in node.names}
                files = {name for name in inner if (SOURCE.parent / f"{name.replace('.', '/')}.py").exists()}
                yield from files or {node.module}


def left(there: frozenset[str]) -> set[str]:
    """What functions of these modules would import, and nobody has."""
    names = (*AS_READ, *(f"modules.{name}" for name in WORDS), *(more for each in WITH.values() for more in each))
    known = {f"penstock.{name}" for name in names}
    missing = set()
    for name in there:
        top, _, rest = name.removeprefix("penstock.").partition(".")
        path = SOURCE / f"{top}/{rest.replace('.', '/')}.py"
        if name.startswith("penstock.") and top not in ("cli", "doctor") and path.exists():
            missing |= {f"{name}: {each}" for each in set(late_imports(path)) - there - known - LIBRARIES - MISTAKES}
    return missing


def test_nothing_is_left_for_later(ordinary: frozenset[str], everything: frozenset[str]) -> None:
    assert left(ordinary) == set()
    assert left(everything) == set()


def test_what_always_comes_is_there(ordinary: frozenset[str]) -> None:
    assert {f"penstock.{name}" for name in ALWAYS} <= ordinary


def test_an_ordinary_configuration_has_what_it_needs_and_no_more(ordinary: frozenset[str]) -> None:
    rooms = [f"penstock.{room}" for room in ROOMS]
    unwanted = {name for name in ordinary for room in rooms if name == room or name.startswith(f"{room}.")}
    packages = {name for name in unwanted if (SOURCE.parent / name.replace(".", "/") / "__init__.py").exists()}
    assert unwanted - packages == set()
    assert {name.partition(".")[0] for name in ordinary} & STRANGERS == set()
    own = [name for name in ordinary if name.startswith("penstock")]
    assert len(own) <= MOST, len(own)


def test_libraries_that_only_some_configurations_need_stay_out(everything: frozenset[str]) -> None:
    there = {name.partition(".")[0] for name in everything}
    assert there & {"prometheus_client", "cryptography", "rich", "argparse", "email", "html"} == set()
    assert there & {"h2", "hpack", "hyperframe"} == set(), "`penstock probe` alone speaks HTTP/2 with them"
