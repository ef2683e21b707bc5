"""What carries a tunnel decides whether an upgrade keeps it: `penstock tunnels`, `status` and `metrics` show it."""

import json
from contextlib import ExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.backends import hold
from harness.binary import installed
from harness.programs import run
from harness.proxy import in_http
from harness.transports import TRANSPORTS, opened
from harness.waiting import eventually
from harness.wire import switch

FRONT = "worker_processes 1;\n" + in_http(
    """
    server {
        listen 127.0.0.1:{port:h1};
        listen 127.0.0.1:{port:h2};
        listen 127.0.0.1:{port:h1tls} ssl;
        listen 127.0.0.1:{port:h2tls} ssl;
        http2 on;
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /status { status; }
        location /metrics { metrics; }
    }
    """
)
SHOWN = {"h1": "h1", "h1tls": "h1-tls", "h2": "h2", "h2tls": "h2-tls"}


@pytest.fixture
def front(proxy, raw_backend, authority):
    pair = authority.issue("localhost")
    values = {"crt": pair.certificate, "key": pair.key}
    front = proxy(FRONT, ports={"back": raw_backend([switch, hold]).port}, values=values)
    with ExitStack() as stack:
        for name in TRANSPORTS:
            stack.enter_context(opened(name, front, f"/?{name}", authority.client_context()))
        yield front


def tunnels(front, *arguments: str) -> str:
    command = [*installed().command, "tunnels", "--socket", f"{front.directory}/nginx.control", *arguments]
    done = run(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_the_list(front) -> None:
    found = json.loads(tunnels(front, "--json"))["tunnels"]
    assert sorted(entry["transport"] for entry in found) == sorted(SHOWN.values())
    assert [entry["transport"] for entry in found if entry["portable"]] == ["h1"], "these an upgrade keeps"
    for name in SHOWN.values():
        (one,) = json.loads(tunnels(front, "--json", "--transport", name))["tunnels"]
        assert one["transport"] == name
        (same,) = json.loads(front.get(f"/status?transport={name}", port="h1").text)["tunnels"]["listed"]
        assert same["id"] == one["id"]
    lines = tunnels(front).splitlines()
    at = lines[0].index("VIA")
    assert sorted(line[at:].split()[0] for line in lines[1:5]) == sorted(SHOWN.values())


def test_in_the_metrics(front) -> None:
    def figures() -> dict[tuple[str, ...], float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(front.get("/metrics", port="h1").text)
            for sample in family.samples
        }

    eventually(lambda: figures()["penstock_tunnels_open",] == 4)
    found = figures()
    assert [found["penstock_tunnels_by_transport", name] for name in SHOWN.values()] == [1, 1, 1, 1]
    assert found["penstock_tunnels_portable",] == 1
