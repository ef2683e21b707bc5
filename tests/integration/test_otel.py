"""Traces: what reaches a collector, what backends are told, and that nobody waits for it."""

from __future__ import annotations

import os
import re
import signal
import ssl
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from websockets.sync.client import connect

from harness.otlp import OtlpCollector, attributes
from harness.processes import gone
from harness.waiting import eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONF = """
    http {{
        otel_exporter {{
            endpoint http://127.0.0.1:{port}/v1/traces;
            interval 100ms;
            header X-Key secret;
        }}
        otel_service_name front;
        otel_resource_attr deployment.environment test;
        otel_trace on;
        {http}
        server {{
            listen 127.0.0.1:{{port:front}};
            server_name site.test;
            location / {{ proxy_pass http://127.0.0.1:{{port:api}}; }}
            {server}
        }}
    }}
    """


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    made = OtlpCollector()
    yield made
    made.close()


def test_a_request_is_a_span(proxy: Any, http_backend: Any, collector: OtlpCollector) -> None:
    front = proxy(
        CONF.format(
            port=collector.port,
            http="otel_span_attr http.request.header.x_kind $http_x_kind; otel_span_attr kind a$arg_kind;",
            server="location /named { otel_span_name $request_method; otel_span_attr own 1; return 500; }",
        ),
        ports={"api": http_backend.port},
    )
    assert front.get("/a?kind=b", headers={"X-Kind": "\xe9", "User-Agent": "me"}).status == 200
    assert front.get("/named").status == 500
    plain, named = collector.wait(2)
    assert (plain.name, plain.kind, plain.parent_span_id) == ("/", 2, b"")
    assert (len(plain.trace_id), len(plain.span_id)) == (16, 8)
    assert plain.end_time_unix_nano >= plain.start_time_unix_nano > 1_600_000_000_000_000_000
    told = attributes(plain)
    assert told.pop("net.sock.peer.port") > 0
    sent = told.pop("http.response_content_length")
    assert sent > 0
    assert told == {
        "http.method": "GET",
        "http.target": "/a?kind=b",
        "http.route": "/",
        "http.scheme": "http",
        "http.flavor": "1.1",
        "http.user_agent": "me",
        "http.request_content_length": 0,
        "http.status_code": 200,
        "net.host.name": "site.test",
        "net.host.port": front.port(),
        "net.sock.peer.addr": "127.0.0.1",
        "http.request.header.x_kind": ["\N{REPLACEMENT CHARACTER}"],
        "kind": "ab",
    }
    assert (named.name, named.status.code, attributes(named)["own"]) == ("GET", 2, "1")
    assert "kind" not in attributes(named), "a level's own attributes replace those around it"
    front.get("/named?" + "x" * 5000)
    assert attributes(collector.wait(3)[2])["http.target"] == "/named?" + "x" * 4089, "4 KiB of it"
    (one,) = collector.batches[0].resource_spans
    assert attributes(one.resource) == {"service.name": "front", "deployment.environment": "test"}
    assert collector.paths[0] == "/v1/traces"
    assert collector.headers[0]["x-key"] == "secret"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert len(collector.connections) == 1 or len(collector.paths) == len(collector.connections)


@pytest.mark.parametrize(
    ("context", "taken", "told"),
    [("ignore", False, False), ("extract", True, False), ("inject", False, True), ("propagate", True, True)],
)
def test_contexts(
    proxy: Any, http_backend: Any, collector: OtlpCollector, context: str, taken: bool, told: bool
) -> None:
    front = proxy(
        CONF.format(
            port=collector.port,
            http=f"otel_trace_context {context};",
            server="location /ids { return 200 '$otel_trace_id $otel_span_id $otel_parent_id $otel_parent_sampled'; }"
            "location /off { otel_trace off; proxy_pass http://127.0.0.1:{port:api}; }",
        ),
        ports={"api": http_backend.port},
    )
    headers = {"traceparent": PARENT, "tracestate": "a=b"}
    front.get("/", headers=headers)
    front.get("/off", headers=headers)
    passed, off = http_backend.requests[-2:]
    (span,) = collector.wait(1)
    assert (span.trace_id.hex() == PARENT[3:35]) is taken
    assert (span.parent_span_id.hex() == PARENT[36:52]) is taken
    assert (span.trace_state == "a=b") is taken
    if told:
        assert passed.header("traceparent") == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        assert passed.header("tracestate") == ("a=b" if taken else None)
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", off.header("traceparent"))
    else:
        assert (passed.header("traceparent"), passed.header("tracestate")) == (PARENT, "a=b")
        assert off.header("traceparent") == PARENT
    trace, own, parent, sampled = front.get("/ids", headers=headers).text.split(" ")
    ids = collector.wait(2)[1]
    assert (trace, own) == (ids.trace_id.hex(), ids.span_id.hex())
    assert (parent, sampled) == ((PARENT[36:52], "1") if taken else ("", "0"))


def test_what_is_sampled_is_decided_by_variables(proxy: Any, http_backend: Any, collector: OtlpCollector) -> None:
    front = proxy(
        CONF.format(
            port=collector.port,
            http="split_clients $otel_trace_id $ratio { 0.01% on; * off; }",
            server="location /ratio { otel_trace $ratio; return 204; }"
            "location /parent { otel_trace $otel_parent_sampled; otel_trace_context propagate; return 204; }"
            "location /rewritten { rewrite ^ /parent last; }"
            "location /inside { error_page 404 = /parent; return 404; }",
        ),
        ports={"api": http_backend.port},
    )
    front.get("/parent")
    front.get("/parent", headers={"traceparent": PARENT[:-1] + "0"})
    for name in ("/rewritten", "/inside", "/parent"):
        front.get(f"{name}?x", headers={"traceparent": PARENT})
    spans = collector.wait(3)
    assert [attributes(each)["http.target"] for each in spans] == ["/rewritten?x", "/inside?x", "/parent?x"]
    taken = [each.trace_id.hex() == PARENT[3:35] for each in spans]
    assert taken == [False, False, True], "where the first two began, the client was not asked"


def test_a_collector_that_is_away_costs_spans_and_nothing_else(
    proxy: Any, http_backend: Any, collector: OtlpCollector
) -> None:
    statuses = iter([503, 503])
    collector.answer = lambda: next(statuses, 200)
    conf = CONF.format(port=collector.port, http="", server="location /n { return 204; } location /m { metrics; }")
    few = conf.replace("100ms;", "100ms; batch_size 2; batch_count 2;")
    front = proxy(few, ports={"api": http_backend.port})
    for _ in range(12):
        assert front.get("/n").status == 204
    front.logged(r"OTel export to http://127.0.0.1:\d+/v1/traces: it answered 503", name="error.log")
    front.logged(r"OTel export to http://127.0.0.1:\d+/v1/traces: spans are dropped, as 4 wait", name="error.log")
    collector.wait(4)
    page = front.get("/m").text
    found = {name: float(value) for name, value in re.findall(r'otel_spans_total{result="(\w+)"} (\S+)', page)}
    assert found["dropped"] >= 1
    assert found["failed"] == 0


def test_what_waits_is_sent_before_a_worker_goes(proxy: Any, http_backend: Any, collector: OtlpCollector) -> None:
    conf = CONF.format(port=collector.port, http="", server="").replace("interval 100ms", "interval 1h")
    front = proxy(conf, ports={"api": http_backend.port})
    front.get("/last")
    front.stop(signal.SIGQUIT)
    (span,) = collector.wait(1)
    assert attributes(span)["http.target"] == "/last"


def test_a_reload_sends_by_both_configurations(proxy: Any, http_backend: Any, collector: OtlpCollector) -> None:
    conf = CONF.format(port=collector.port, http="", server="")
    front = proxy(conf, ports={"api": http_backend.port})
    front.get("/one")
    front.reload(conf.replace("otel_service_name front", "otel_service_name after"))
    front.get("/two")
    spans = collector.wait(2)
    assert {attributes(each)["http.target"] for each in spans} == {"/one", "/two"}
    names = {attributes(each.resource)["service.name"] for batch in collector.batches for each in batch.resource_spans}
    assert names == {"front", "after"}


def tunnel_conf(collector: OtlpCollector, rule: str) -> str:
    ws = "location /ws { websocket auto; otel_trace_context propagate; RULE proxy_pass http://127.0.0.1:{port:api}; }"
    return CONF.format(port=collector.port, http="", server=ws.replace("RULE", rule)).replace("100ms", "50ms")


def test_a_tunnel_is_seen_before_it_ends(proxy: Any, ws_backend: Any, collector: OtlpCollector) -> None:
    front = proxy(tunnel_conf(collector, "otel_tunnel_spans every=1s;"), ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws"), proxy=None, additional_headers={"traceparent": PARENT}) as client:
        (shake,) = collector.wait(1)
        assert (shake.trace_id.hex(), shake.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
        assert (shake.kind, attributes(shake)["http.status_code"]) == (2, 101)
        client.send("hello")
        assert client.recv(20) == "hello"
        collector.wait(3)
    front.logged("GET /ws", name="access.log")
    collector.wait(4)
    eventually(lambda: "penstock.tunnel.end" in attributes(collector.spans[-1]))
    first, *parts = collector.spans
    assert {each.parent_span_id for each in parts} == {first.span_id}
    assert {each.trace_id for each in parts} == {first.trace_id}
    assert [each.links[0].span_id for each in parts] == [each.span_id for each in collector.spans[:-1]]
    assert [attributes(each)["penstock.tunnel.part"] for each in collector.spans] == list(range(len(parts) + 1))
    assert all(each.start_time_unix_nano == before.end_time_unix_nano for before, each in pairwise(collector.spans))
    last = attributes(parts[-1])
    assert last["penstock.tunnel.bytes_from_client"] > 5
    assert last["penstock.tunnel.end"] in ("closed", "client_closed", "backend_closed")


def test_a_tunnel_as_one_span(proxy: Any, ws_backend: Any, collector: OtlpCollector) -> None:
    front = proxy(tunnel_conf(collector, "otel_tunnel_spans close;"), ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws"), proxy=None) as client:
        client.send("hello")
        client.recv(20)
        front.get("/nothing")
        collector.wait(1)
    _, span = collector.wait(2)
    told = attributes(span)
    assert (told["http.status_code"], span.kind, list(span.links)) == (101, 2, [])
    assert told["penstock.tunnel.bytes_from_backend"] == told["http.response_content_length"] > 5
    assert "penstock.tunnel.part" not in told


@pytest.mark.alone
def test_an_upgrade_goes_on_with_the_spans_of_a_tunnel(proxy: Any, ws_backend: Any, collector: OtlpCollector) -> None:
    front = proxy(tunnel_conf(collector, ""), ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws"), proxy=None) as client:
        collector.wait(1)
        old = front.pid
        front.send_signal(signal.SIGUSR2)
        front.successor(old)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        client.send("hello")
        assert client.recv(20) == "hello"
        assert len(collector.spans) == 1, "it has not ended"
    first, last = collector.wait(2)
    assert (last.parent_span_id, last.links[0].span_id) == (first.span_id, first.span_id)
    assert attributes(last)["http.route"] == "/ws"
    assert attributes(last)["penstock.tunnel.part"] == 1


def test_over_tls_to_whom_it_is_for(proxy: Any, http_backend: Any, authority: Any) -> None:
    conf = CONF.format(port="PORT", http="", server="").replace("http://127.0.0.1:PORT", "https://localhost:PORT")
    pair = authority.issue("localhost")
    other = authority.issue("elsewhere.test")
    for given, taken in ((pair, True), (other, False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.certificate, given.key)
        collector = OtlpCollector(context)
        trusted = f"interval 100ms; trusted_certificate {authority.certificate};"
        front = proxy(
            conf.replace("PORT", str(collector.port)).replace("interval 100ms;", trusted),
            ports={"api": http_backend.port},
        )
        front.get("/")
        if taken:
            collector.wait(1)
        else:
            front.logged('its certificate is not for "localhost"', name="error.log")
            assert not collector.spans
        collector.close()
