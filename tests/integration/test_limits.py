"""limit_req and limit_conn over several workers, tunnels, deaths and reloads; limit_rate."""

import os
import signal
import time

from harness.proxy import in_http
from harness.waiting import eventually

FRONT = """
worker_processes 2;
http {
    limit_req_zone $uri zone=rate:1m rate=1r/m;
    limit_conn_zone $server_port zone=conn:1m;
    server {
        listen 127.0.0.1:{port:front} reuseport;
        location /ws {
            limit_conn conn 1;
            proxy_pass http://127.0.0.1:{port:ws};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        location /burst { limit_req zone=rate burst=3 nodelay; try_files /none =204; }
    }
}
"""


def upgrade(front):
    client = front.client()
    client.send(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return client, client.recv_until(b"\r\n\r\n").split()[1]


def test_workers_share_a_rate(proxy, ws_backend) -> None:
    front = proxy(FRONT, ports={"ws": ws_backend.port})
    statuses = [front.get("/burst").status for _ in range(12)]
    assert statuses == [204] * 4 + [503] * 8
    front.reload()
    assert front.get("/burst").status == 503


def test_a_tunnel_keeps_its_place_until_it_ends(proxy, ws_backend) -> None:
    front = proxy(FRONT, ports={"ws": ws_backend.port})
    first, status = upgrade(front)
    assert status == b"101"
    refused = [upgrade(front) for _ in range(6)]
    assert [each[1] for each in refused] == [b"503"] * 6
    first.close()
    kept = []

    def again() -> bool:
        client, status = upgrade(front)
        kept.append(client)
        return status == b"101"

    assert eventually(again)
    for client in [*kept, *(each[0] for each in refused)]:
        client.close()


def test_a_dead_worker_holds_no_place(proxy, ws_backend) -> None:
    front = proxy(FRONT, ports={"ws": ws_backend.port}, expect=["exited on signal 9"])
    first, status = upgrade(front)
    assert status == b"101"
    before = front.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(front.children() - before) == 2)

    def again() -> bool:
        client, status = upgrade(front)
        client.close()
        return status == b"101"

    assert eventually(again)
    first.close()


def test_a_rate_comes_in_pieces_that_are_worth_sending(proxy) -> None:
    size = 300_000
    site = "http { limit_rate 150k; server { listen 127.0.0.1:{port:front}; location / { root {dir}; } } }"
    front = proxy(site, files={"file": bytes(size)})
    began = time.monotonic()
    with front.client() as client:
        client.send("GET /file HTTP/1.0\r\n\r\n")
        pieces = 0
        while client.socket.recv(size):
            pieces += 1
    assert time.monotonic() - began > 0.8, "a second's worth at once, the other half in a second"
    assert pieces < 100


def test_a_client_that_goes_amid_an_answer_is_logged_with_what_it_got(proxy) -> None:
    size = 50_000_000
    front = proxy(
        "error_log error.log info;"
        + in_http(
            """
            log_format sent "$uri $status $body_bytes_sent $bytes_sent [$request_completion]";
            access_log access.log sent;
            server {
                listen 127.0.0.1:{port:front};
                location / { root {dir}; }
                location /p/ { proxy_pass http://127.0.0.1:{port:front}/; }
            }
            """
        ),
        files={"file": bytes(size)},
    )
    for target in ("/file", "/p/file"):
        with front.client() as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(b"\0")
        body, total = map(int, front.logged(rf"(?m)^{target} 200 (\d+) (\d+) \[\]$").groups())
        assert 0 < body < size
        assert 100 < total - body < 1000, "the head"
        noticed = r"(: [^)]+\) while sending|client prematurely closed)"
        front.logged(rf"\[info\] .*{noticed} .*GET {target}", name="error.log")


def test_a_client_that_goes_while_its_answer_is_held_back_is_noticed_at_once(proxy) -> None:
    front = proxy(
        in_http(
            """
            log_format sent "$status $body_bytes_sent";
            access_log access.log sent;
            server { listen 127.0.0.1:{port:front}; limit_rate 1; location / { root {dir}; } }
            """
        ),
        files={"file": bytes(100)},
    )
    with front.client() as client:
        client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(b"\0")
    front.logged("^200 1$")
