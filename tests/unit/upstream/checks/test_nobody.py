"""Every variable there is can be asked for in a check: most are empty, and none is a mistake of ours."""

from pathlib import Path

from harness.site import compiled
from penstock.config.variables import FAMILIES, VARIABLES
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.upstream.checks.nobody import CheckClient, NobodyAsks


def test_every_variable(tmp_path: Path) -> None:
    plan = compiled("events { } http { server { } }", tmp_path)
    head = RequestHead("GET / HTTP/1.1", "GET", "/", 11, [], {})
    broken = {}
    found = {}
    for variable in (*VARIABLES.values(), *(make(f"{name}x") for name, make in FAMILIES.items())):
        request = Request(CheckClient(), head, plan.servers[0])  # type: ignore[arg-type]
        try:
            found[variable.name] = variable.get(request)
        except NobodyAsks:
            found[variable.name] = None
        except Exception as error:
            broken[variable.name] = repr(error)
    assert broken == {}
    assert len(found) > 100
    assert found["remote_addr"] == "127.0.0.1"
