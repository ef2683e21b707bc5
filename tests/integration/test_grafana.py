"""The board and the rules of packaging/grafana ask for nothing that `metrics` does not show."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness.certs import Authority
from harness.proxy import Proxy, in_http
from harness.waiting import eventually

FOLDER = Path(__file__).resolve().parents[2] / "packaging" / "grafana"

FRONT = in_http(
    """
    upstream chat { zone chat 64k; server 127.0.0.1:{port:back}; }
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:tls} ssl;
        server_name chat.example;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        location / { websocket auto; proxy_pass http://chat; health_check interval=1s type=tcp; }
        location /none { return 403; }
        location /metrics { metrics names=nginx; }
    }
    """
)
FROM_PROMETHEUS = {"job", "instance", "le"}

Exposed = dict[str, set[str]]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory):
    """The samples of a page with the labels that each has, after a tunnel and a handshake that was refused."""
    from harness.backends import WebSocketEcho

    pair = Authority(tmp_path_factory.mktemp("certificates")).issue("chat.example", days=7)
    values = {"certificate": pair.certificate, "key": pair.key}
    with ExitStack() as stack:
        back = stack.enter_context(WebSocketEcho("one"))
        front = stack.enter_context(Proxy(FRONT, ports={"back": back.port}, values=values))
        with connect(front.url("/", "ws"), proxy=None) as client:
            client.send("hello")
            assert client.recv(20) == "hello"
        with pytest.raises(InvalidStatus):
            connect(front.url("/none", "ws"), proxy=None)

        def of_peer(values, name: str, **labels: str) -> float | None:
            return values.get((f"penstock_peer_{name}_total", *(labels[label] for label in sorted(labels))))

        def page() -> dict[tuple[str, ...], float] | None:
            samples = [
                sample
                for family in text_string_to_metric_families(front.get("/metrics").text)
                for sample in family.samples
            ]
            found.clear()
            for sample in samples:
                found.setdefault(sample.name, set()).update(sample.labels)
            values = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
            whole = of_peer(values, "tunnel_ends", **peer, code="1000") == 1
            return values if whole and "penstock_peer_checks_total" in found else None

        found: Exposed = {}
        peer = {"server": "chat.example", "upstream": "chat", "peer": f"127.0.0.1:{back.port}"}
        values = eventually(page)
        assert of_peer(values, "handshakes", **peer, result="101") == 1
        assert of_peer(values, "handshakes", server="chat.example", upstream="", peer="", result="4xx") == 1
        yield found, values


def test_every_figure_of_the_board_is_shown(exposed) -> None:
    board = json.loads((FOLDER / "board.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [each["expr"] for each in board["annotations"]["list"]]
    asked += [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    assert len(asked) > 25
    for expression in asked:
        hold(expression, exposed[0])


def test_every_figure_of_the_rules_is_shown(exposed) -> None:
    text = (FOLDER / "alerts.yml").read_text()
    rules = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", text, re.MULTILINE)
    assert len(rules) == text.count("- alert: ") == text.count("expr:")
    for folded, line in rules:
        hold(folded or line, exposed[0])


def hold(expression: str, exposed: Exposed) -> None:
    """An expression of Prometheus names what is shown, with labels that it has."""
    names = re.findall(r"\b(?:penstock|nginx)_\w+", expression)
    assert names, expression
    known: set[str] = set(FROM_PROMETHEUS)
    for name in names:
        assert name in exposed, f"{name} is not shown, in {expression}"
        known |= exposed[name]
    used = [label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")]
    used += re.findall(r"(\w+)(?:=~|!=|!~|=)\"", expression)
    assert set(used) <= known, expression


def test_the_names_of_nginx_s_exporter(exposed) -> None:
    """What its board asks for, by the names that its README lists."""
    connections = {f"nginx_connections_{name}" for name in "accepted active handled reading waiting writing".split()}
    assert {"nginx_up", "nginx_http_requests_total"} | connections <= set(exposed[0])


def test_a_reload_and_a_certificate_are_shown(exposed) -> None:
    values = exposed[1]
    assert values["penstock_config_last_reload_successful",] == 1
    assert values["penstock_config_last_reload_timestamp_seconds",] > 1.6e9
    (end,) = [value for key, value in values.items() if key[0] == "penstock_certificate_expiry_timestamp_seconds"]
    started = values["penstock_config_last_reload_timestamp_seconds",]
    assert 6 < (end - started) / 86400 < 8


def test_servers_are_counted_by_their_state_and_their_checks(exposed) -> None:
    values = exposed[1]
    states = {key[2]: value for key, value in values.items() if key[0] == "penstock_peer_addresses"}
    assert states["up"] == 1 and sum(states.values()) == 1
    checks = {key[2]: value for key, value in values.items() if key[0] == "penstock_peer_checks_total"}
    assert checks["passed"] >= 1 and checks["failed"] == 0
