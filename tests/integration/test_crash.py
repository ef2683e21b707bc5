"""Processes that are killed: what others carry goes on, and service is back at once."""

import os
import signal
import socket
import time

import pytest

from harness.crowd import Crowd, EchoServers
from harness.processes import gone
from harness.waiting import eventually

pytestmark = pytest.mark.alone

TUNNELS = """
    worker_processes 3;
    events { worker_connections 2048; }
    http {
        upstream app { zone app 64k; least_conn; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
        server {
            listen 127.0.0.1:{port:front};
            location / {
                proxy_pass http://app;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
            location /here { return 200 yes; }
        }
    }
    """


def test_a_worker_killed_under_load(proxy) -> None:
    with EchoServers(2) as echo:
        front = proxy(
            TUNNELS, ports={"one": echo.ports[0], "two": echo.ports[1]}, expect=["exited on signal 9"]
        )
        eventually(lambda: len(front.children()) == 3)
        with Crowd(front.port()) as crowd:
            assert crowd.open(300, "/").open == 300
            before = front.children()
            victim = min(before)
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: len(front.children() - {victim}) == 3)
            # Whichever worker is asked: nobody waits for the one that is gone.
            for _ in range(12):
                assert front.get("/here").text == "yes"
            assert time.monotonic() - began < 12
            time.sleep(0.5)
            told = crowd.settle()
            assert 0 < told.dropped < 300
            assert told.open == 300 - told.dropped
            assert not (told.wrong or told.outstanding), told
            # What the dead one carried does not count any more: its share is found free again.
            crowd.resume()
            told = crowd.open(told.dropped, "/")
            assert told.open == 300
            eventually(lambda: sorted(echo.report().live) == [150, 150], why=str(echo.report()))


def test_workers_that_die_again_and_again_are_reported(proxy) -> None:
    front = proxy(TUNNELS.replace("worker_processes 3", "worker_processes 1"), ports={"one": 1, "two": 2})
    front.expect = ("exited on signal 9",)
    for _ in range(3):
        (victim,) = eventually(front.children)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda victim=victim: front.children() - {victim})
    words = r"\[error\] .* 3 workers in a row have died soon after their start: .* begins in 0.2s"
    front.logged(words, name="error.log")


def test_nothing_keeps_the_port_when_the_master_is_killed(proxy) -> None:
    with EchoServers(2) as echo:
        front = proxy(TUNNELS, ports={"one": echo.ports[0], "two": echo.ports[1]}, expect=["master process is gone"])
        eventually(lambda: len(front.children()) == 3)
        workers = front.children()
        with Crowd(front.port()) as crowd:
            assert crowd.open(60, "/").open == 60
            os.kill(front.pid, signal.SIGKILL)
            assert front._process is not None
            front._process.wait()
            eventually(lambda: free(front.port()))
            time.sleep(0.3)
            told = crowd.settle()
            assert told.unharmed(60), told
            crowd.leave(60)
        eventually(lambda: all(map(gone, workers)))
        front._process = None


def free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError:
            return False
        return True
