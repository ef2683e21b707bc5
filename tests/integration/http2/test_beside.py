"""A hundred WebSockets on one connection of HTTP/2, beside a download on it: nothing is altered, nobody waits long.

The clients are those of the benchmark: each echo is compared with what was sent, byte by byte, and the download summed
up. Latencies are medians; the client's window is the protocol's own, 65,535 bytes, as what a client lets come before
it looks is ahead of any echo whatever the proxy does.
"""

import os
import zlib
from typing import Any

import pytest

from harness.load import load, missing
from harness.proxy import in_http

pytestmark = [pytest.mark.alone, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

CONFIGURATION = in_http(
    """
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:secure} ssl;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        location /ws { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
        location /file { root www; }
    }
    """
)
WEBSOCKETS = 100
RATE = 2000
MOST = 3.0
"""What is aimed at: times the latency without a download. It is asked of the long one, on a machine that is quiet."""
MOST_IN_PASSING = 8.0
"""What is asked with all other tests: a download that held everybody up would make it a hundred."""
ROUNDS = 4
"""Other work on the machine is nobody's fault here: one round of several has to do."""

LONG = pytest.param(
    1 << 30,
    marks=[
        pytest.mark.slow,
        pytest.mark.timeout(300),
        pytest.mark.skipif("PENSTOCK_SOAK" not in os.environ, reason="takes a gigabyte of disk: make soak"),
    ],
)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [64 << 20, LONG])
def test_a_hundred_websockets_beside_a_download(proxy, authority, tmp_path, size: int, tls: bool) -> None:
    bench = load()
    most = MOST_IN_PASSING if size <= 64 << 20 else MOST
    loadgen = bench.build(tmp_path)
    if tls and not loadgen.tls:
        pytest.skip("no OpenSSL headers")
    pair = authority.issue("bench.example")
    with bench.Backend(loadgen) as backend:
        front = proxy(
            CONFIGURATION,
            ports={"back": backend.port},
            values={"certificate": str(pair.certificate), "key": str(pair.key)},
            files={"www/file/big": b""},
        )
        wanted = 1
        with (front.directory / "www/file/big").open("wb") as file:
            for _ in range(size >> 20):
                piece = os.urandom(1 << 20)
                wanted = zlib.adler32(piece, wanted)
                file.write(piece)

        def run(count: int, **options: Any) -> Any:
            port = front.port("secure" if tls else "front")
            with bench.Client(
                loadgen,
                "tunnels",
                port,
                path="/ws",
                connections=WEBSOCKETS,
                streams=WEBSOCKETS,
                rate=RATE,
                warmup=WEBSOCKETS,
                count=count,
                seconds=100,
                tls=tls,
                **options,
            ) as client:
                client.ready()
                return client.go()

        ratios = []
        for _ in range(ROUNDS if size <= 64 << 20 else 2):
            idle = run(RATE)
            loaded = run(1_000_000, download="/file/big")
            assert (loaded.downloaded, loaded.adler32) == (size, wanted)
            assert loaded.count > 100, "there were echoes all the time"
            ratios.append(loaded.p50_us / idle.p50_us)
            if ratios[-1] <= most:
                break
    print(f"{idle.p50_us:.0f} us, beside the download {loaded.p50_us:.0f} us, {size / loaded.seconds / 1e6:.0f} MB/s")
    assert min(ratios) <= most, f"echoes beside a download took {ratios} times as long"
