"""What a span costs, in microseconds of CPU, and what is imported for it, in KiB: as `observe/tracing/otlp.py` writes
it, and by the SDK.

Usage: python experiments/tracing.py [SPANS [otlp.py | opentelemetry-sdk]]; what is not installed is left out. The SDK's
time is that of the request alone: its own thread, which takes as much again of the same interpreter, is not counted.
The memory is right for the first of them only: name one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from os import urandom
from pathlib import Path

TEXTS = {
    "http.method": "GET",
    "http.target": "/api/rooms/17?since=4711",
    "http.route": "/api/",
    "http.scheme": "https",
    "http.flavor": "1.1",
    "http.user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "net.host.name": "chat.example.com",
    "net.sock.peer.addr": "192.0.2.17",
}
NUMBERS = {
    "http.request_content_length": 0,
    "http.response_content_length": 1234,
    "http.status_code": 200,
    "net.sock.peer.port": 54321,
}


def ours() -> Callable[[int], None]:
    from penstock.observe.tracing.otlp import SpanWriter
    from penstock.observe.tracing.span import SpanRecord

    writer = SpanWriter({"service.name": "front"}, "1")

    def run(count: int) -> None:
        made = []
        for _ in range(count):
            said = (*TEXTS.items(), *NUMBERS.items())
            now = time.time()
            record = SpanRecord(urandom(16), urandom(8), b"", "", "/api/", now, now, said)
            made.append(writer.written(record))
        for at in range(0, count, 512):
            writer.batch(made[at : at + 512])

    return run


def sdk() -> Callable[[int], None]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanKind

    tracer = TracerProvider().get_tracer("front")

    def run(count: int) -> None:
        attributes = {**TEXTS, **NUMBERS}
        for _ in range(count):
            one = tracer.start_span("/api/", kind=SpanKind.SERVER)
            one.set_attributes(attributes)  # type: ignore[arg-type]
            one.end()

    return run


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    wanted = sys.argv[2:] or ["otlp.py", "opentelemetry-sdk"]
    for name, make in {"otlp.py": ours, "opentelemetry-sdk": sdk}.items():
        if name not in wanted:
            continue
        before = _resident()
        try:
            run = make()
        except ImportError:
            continue
        memory = _resident() - before
        run(1000)
        best = min(_timed(run, count) for _ in range(5))
        print(f"{name:20} {best / count * 1e6:6.2f} us {memory:6} KiB")


def _resident() -> int:
    """KiB of this process that are in memory (proc(5))."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)


def _timed(run: Callable[[int], None], count: int) -> float:
    begun = time.process_time()
    run(count)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
