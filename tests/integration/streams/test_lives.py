"""Streams beside what happens to the program: they are listed, counted, and outlive a reload and an upgrade."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest

from harness.binary import installed
from harness.processes import gone
from harness.programs import run
from harness.proxy import Proxy
from harness.waiting import eventually

SITE = """
    events { }
    http { server { listen 127.0.0.1:{port:web}; location /metrics { metrics; } } }
    stream {
        log_format told '$status $bytes_received $bytes_sent $upstream_addr $upstream_bytes_sent $session_time';
        access_log told.log told;
        limit_conn_zone $binary_remote_addr zone=held:32k;
        upstream back { least_conn; server 127.0.0.1:{port:back}; }
        server { listen 127.0.0.1:{port:front}; limit_conn held 2; proxy_half_close on; proxy_pass back; }
    }
    """


def echoing(talk: Any) -> None:
    while talk.fill():
        talk.socket.sendall(talk.received[-1:])
    talk.socket.sendall(b"!")


def listed(front: Proxy) -> dict[str, Any]:
    command = [*installed().command, "tunnels", "--socket", f"{front.directory}/nginx.control", "--json"]
    done = run(command)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_they_are_listed_and_counted_and_a_reload_leaves_them_alone(proxy: Any, raw_backend: Any) -> None:
    back = raw_backend([echoing])
    front = proxy(SITE, ports={"back": back.port})
    with front.client("front") as client:
        assert client.send(b"abc").recv_exactly(1)
        (entry,) = listed(front)["tunnels"]
        assert (entry["transport"], entry["portable"], entry["bytes_in"]) == ("tcp", True, 3)
        assert (entry["client"], entry["peer"]) == ("127.0.0.1", f"127.0.0.1:{back.port}")
        assert entry["server"] == f"127.0.0.1:{front.port('front')}"
        shown = eventually(lambda: re.search(rb'by_transport\{transport="tcp"\} 1', front.get("/metrics").body))
        assert shown
        workers = front.children()
        front.reload(SITE.replace("limit_conn held 2; proxy_half_close on;", "return gone;"))
        with front.client("front") as other:
            assert other.recv_all() == b"gone"
        assert front.children() == workers
        client.send(b"d").recv_exactly(1)
        client.half_close()
        assert client.recv_all().endswith(b"!")
    front.logged(rf"(?m)^200 4 3 127.0.0.1:{back.port} 4 ", name="told.log")


@pytest.mark.alone
def test_another_program_goes_on_with_them(proxy: Any, raw_backend: Any) -> None:
    back = raw_backend([echoing])
    front = proxy(SITE, ports={"back": back.port})
    old, workers = front.pid, front.children()
    with front.client("front") as client:
        assert client.send(b"abc").recv_exactly(1)
        os.kill(old, signal.SIGUSR2)
        front.successor(old)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old) and all(map(gone, workers)))
        client.send(b"d").recv_exactly(1)
        client.half_close()
        assert client.recv_all().endswith(b"!")
    front.logged(rf"(?m)^200 4 3 127.0.0.1:{back.port} 4 ", name="told.log")
    pid = front.pid
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: gone(pid))
    assert front._process is not None
    front._process.wait(20)


def test_a_worker_that_goes_waits_for_them_as_long_as_it_may(proxy: Any, raw_backend: Any) -> None:
    back = raw_backend([echoing])
    front = proxy("worker_shutdown_timeout 500ms;" + SITE, ports={"back": back.port})
    with front.client("front") as client:
        assert client.send(b"abc").recv_exactly(1)
        front.send_signal(signal.SIGQUIT)
        client.buffer = b""
        assert client.closed()
    front.logged(r"(?m)^200 3 1 ", name="told.log")
