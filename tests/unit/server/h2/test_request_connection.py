"""What a request of HTTP/2 sees of its connection, and which server it is for when it goes straight."""

from __future__ import annotations

import socket
from pathlib import Path

from harness.backends import HttpEcho
from harness.http2 import Http2Client
from harness.in_process import InProcess
from penstock.server.h2.request_connection import LONGEST_HOST, MOST_HOSTS
from penstock.server.h2.straight import StreamPassage

SITE = """
    http2 on;
    upstream back {{ server 127.0.0.1:{port}; }}
    server {{ listen 127.0.0.1:8080; server_name a; location / {{ proxy_pass http://back; }} }}
    server {{ listen 127.0.0.1:8080; server_name b; http2 off; location / {{ proxy_pass http://back; }} }}
    server {{ listen 127.0.0.1:8080; server_name c; rewrite ^/x /y; location / {{ proxy_pass http://back; }} }}
    server {{ listen 127.0.0.1:8080; server_name ~^d; location / {{ proxy_pass http://back; }} }}
"""


def answered(folder: Path, hosts: list[str]) -> tuple[list[int], InProcess]:
    """The answers to one request for each of the hosts, on one connection."""
    with HttpEcho() as backend:
        worker = InProcess(SITE.format(port=backend.port), folder)

        def client(sock: socket.socket) -> list[int]:
            with Http2Client(sock) as spoken:
                return [spoken.get(f"/{number}", host=host).status for number, host in enumerate(hosts)]

        return worker.talk(client, http2=True, straight=True), worker


def test_which_servers_requests_go_straight(tmp_path: Path) -> None:
    hosts = ["a", "a", "b", "c", "d", "other", "A", "a:81"]
    statuses, worker = answered(tmp_path, hosts)
    assert statuses == [200, 200, 421, 200, 200, 200, 200, 200]
    straight = [type(request) is StreamPassage for request in worker.ended]
    assert straight == [True, True, False, False, False, True, True, True]
    assert [request.uri for request in worker.ended] == [f"/{number}" for number in range(len(hosts))]
    assert [request.connection.requests for request in worker.ended] == [*range(1, len(hosts) + 1)]


def test_names_of_hosts_are_remembered_within_bounds(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(MOST_HOSTS + 40)]
    long = "x" * (LONGEST_HOST + 1)
    statuses, worker = answered(tmp_path, [*names, long])
    assert set(statuses) == {200}
    (hosts,) = next(value for key, value in worker.service.plan.shared.items() if "straight" in repr(key)).values()
    assert 0 < len(hosts) <= MOST_HOSTS and long not in hosts
