"""What checks ask is what the location would ask, with what checks need."""

from pathlib import Path

from hpack import Decoder

from penstock.upstream.checks.grpc import PATH
from unit.modules.checks.test_health_check import checked


def asked(folder: Path, scheme: str, more: str) -> dict[str, str]:
    (check,) = checked("health_check type=grpc;", folder, more, to=f"grpc_pass {scheme}")[1]
    block, request, secure = check.prepare(())
    assert request.uri == PATH
    found = [(str(name, "ascii"), str(value, "ascii")) for name, value in Decoder().decode(block, raw=True)]
    assert len(dict(found)) == len(found)
    assert (secure is not None) == (dict(found)[":scheme"] == "https")
    return dict(found)


def test_grpc_as_it_is(tmp_path: Path) -> None:
    assert asked(tmp_path, "grpc", "") == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": "app",
        "content-type": "application/grpc",
        "te": "trailers",
    }


def test_grpc_with_what_the_location_sets(tmp_path: Path) -> None:
    found = asked(
        tmp_path,
        "grpcs",
        "grpc_set_header Host a.example; grpc_set_header X-A $host-b; grpc_set_header X-No '';"
        "grpc_set_header Content-Length 7; grpc_set_header X-Port $server_port;",
    )
    assert found.pop(":authority") == "a.example"
    assert found.pop("x-a") == "app-b"
    assert found.pop(":scheme") == "https"
    assert set(found) - {"x-port"} == {":method", ":path", "content-type", "te"}
