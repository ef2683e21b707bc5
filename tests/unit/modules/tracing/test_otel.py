"""`otel_...`: mistakes in its lines."""

import sys
from pathlib import Path

import pytest

from harness.site import compiled
from penstock.config.errors import ConfigFailed
from penstock.modules.tracing.otel_exporter import EXPORTER

GOOD = "endpoint http://127.0.0.1:4318/v1/traces;"


def said(text: str, tmp_path: Path) -> list[tuple[str, str]]:
    try:
        compiled(f"events {{ }} http {{ {text} server {{ listen 80; }} }}", tmp_path)
    except ConfigFailed as failed:
        return [(each.message, each.hint or "") for each in failed.problems]
    return []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("otel_exporter { }", '"otel_exporter" requires "endpoint"'),
        ("otel_exporter { endpoint ftp://x/; }", "invalid URL prefix"),
        ("otel_exporter { endpoint http://127.0.0.1:x/v1; }", 'invalid port in upstream "127.0.0.1:x/v1"'),
        (f"otel_exporter {{ {GOOD} {GOOD} }}", '"endpoint" directive is duplicate'),
        (f"otel_exporter {{ {GOOD} }} otel_exporter {{ {GOOD} }}", '"otel_exporter" directive is duplicate'),
        (f"otel_exporter {{ {GOOD} interval 0; }}", '"interval" directive invalid value'),
        (f"otel_exporter {{ {GOOD} batch_size x; }}", '"batch_size" directive invalid value'),
        (f"otel_exporter {{ {GOOD} batch_count 0; }}", '"batch_count" directive invalid value'),
        (f"otel_exporter {{ {GOOD} header a; }}", 'invalid number of arguments in "header" directive'),
        (f"otel_exporter {{ {GOOD} header 'a b' c; }}", '"a b" can not be a header'),
        (f"otel_exporter {{ {GOOD} header a 'b\r\nc: d'; }}", '"a" can not be a header'),
        (f"otel_exporter {{ {GOOD} wait 1s; }}", 'unknown directive "wait"'),
        ("otel_trace on;", '"otel_exporter" block is missing'),
        ("otel_trace_context both;", 'invalid value "both"'),
        ("otel_tunnel_spans every=10ms;", 'invalid value "every=10ms"'),
        ("otel_tunnel_spans never;", 'invalid value "never"'),
        ("otel_service_name a; otel_service_name b;", '"otel_service_name" directive is duplicate'),
        ("otel_span_attr a $nothing;", 'unknown "nothing" variable'),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    ((found, _),) = said(text, tmp_path)
    assert found.startswith(message)


def test_without_the_library_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "penstock.observe.tracing.otlp", None)
    plan = compiled(
        f"events {{ }} http {{ otel_exporter {{ {GOOD} }} otel_trace on; server {{ listen 80; }} }}", tmp_path
    )
    (warning,) = plan.problems
    assert (warning.level, warning.hint) == ("warn", "pip install 'penstock[otel]'")
    assert (
        warning.message == "otel_exporter needs the library opentelemetry-proto, which is not here: no spans are sent"
    )
    assert plan.shared.get(EXPORTER) is None


def test_what_needs_no_exporter(tmp_path: Path) -> None:
    assert said("otel_trace off; otel_trace_context propagate; otel_span_name x; otel_service_name y;", tmp_path) == []
    assert said(f"otel_trace $arg_trace; otel_exporter {{ {GOOD} }}", tmp_path) == [], "it may stand further down"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "http://127.0.0.1:4317", "https://127.0.0.1:4317"])
def test_grpc_is_refused_with_what_to_write_instead(tmp_path: Path, endpoint: str) -> None:
    ((message, hint),) = said(f"otel_exporter {{ endpoint {endpoint}; }} otel_trace on;", tmp_path)
    assert "OTLP over gRPC is not spoken here" in message
    assert "://127.0.0.1:4318/v1/traces" in hint
