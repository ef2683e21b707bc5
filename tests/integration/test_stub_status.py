"""stub_status over workers and reloads, and the pixel."""

import re
import socket

from harness.waiting import eventually

FRONT = """
worker_processes 2;
http {
    server {
        listen 127.0.0.1:{port:front} reuseport;
        location /status { stub_status; }
        location /pixel { empty_gif; }
        location / { try_files /none =204; }
    }
}
"""


def status(front) -> list[int]:
    answer = front.get("/status")
    assert answer.header("content-type") == "text/plain"
    return [int(found) for found in re.findall(r"\d+", answer.text)]


def test_figures_of_all_workers(proxy) -> None:
    front = proxy(FRONT)
    for _ in range(10):
        front.get("/")
    held = [socket.create_connection(("127.0.0.1", front.port())) for _ in range(6)]

    def told() -> bool:
        active, accepts, handled, requests, reading, writing, waiting = status(front)
        return (active, reading, writing, waiting) == (7, 0, 1, 6) and accepts == handled >= 17 and requests >= 11

    assert eventually(told)
    for each in held:
        each.close()
    before = status(front)[3]
    front.reload()
    assert status(front)[3] > before


def test_a_picture_of_one_pixel(proxy) -> None:
    front = proxy(FRONT)
    answer = front.get("/pixel")
    assert (answer.status, answer.header("content-type"), answer.header("content-length")) == (200, "image/gif", "43")
    assert answer.header("last-modified") == "Mon, 28 Sep 1970 06:00:00 GMT"
