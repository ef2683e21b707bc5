"""Every way in which the proxy ends a WebSocket, as a client and a browser see it: close codes and reasons."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import HttpEcho, hold, pause, read_until_end, reset
from harness.binary import installed
from harness.programs import run
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from harness.wire import TEXT, masked, plain, switch

FRONT = "worker_processes 1;\n" + in_http(
    """
    log_format ws '$request_uri $websocket_close_code $websocket_close_from $websocket_end_reason';
    access_log access.log ws;
    websocket_drain 100ms removed;
    upstream leaving { server 127.0.0.1:{port:echo}; server 127.0.0.1:{port:other} backup; }
    server {
        listen 127.0.0.1:{port:front};
        websocket auto;
        websocket_close_timeout 4s;
        proxy_set_header Sec-WebSocket-Extensions "";    # sizes are those on the wire
        location = /page { websocket off; default_type text/html; return 200 ok; }
        location = /favicon.ico { websocket off; return 204; }
        location = /auth { internal; proxy_pass http://127.0.0.1:{port:auth}; }
        location /gone { proxy_pass http://127.0.0.1:{port:gone}; }
        location /wrong { proxy_pass http://127.0.0.1:{port:wrong}; }
        location /idle { proxy_pass http://127.0.0.1:{port:hold}; proxy_read_timeout 500ms; }
        location /silent { proxy_pass http://127.0.0.1:{port:hold}; websocket_ping 200ms timeout=300ms to=backend; }
        location /message { proxy_pass http://127.0.0.1:{port:echo}; websocket_max_message 100; }
        location /frame { proxy_pass http://127.0.0.1:{port:echo}; websocket_max_frame 100; }
        location /rate { proxy_pass http://127.0.0.1:{port:echo}; websocket_rate 1r/m; }
        location /life { proxy_pass http://127.0.0.1:{port:echo}; websocket_max_lifetime 500ms; }
        location /login { proxy_pass http://127.0.0.1:{port:echo}; websocket_reauth 300ms /auth; }
        location /killed { proxy_pass http://127.0.0.1:{port:echo}; }
        location /drain { proxy_pass http://leaving; }
        location /end { proxy_pass http://127.0.0.1:{port:echo}; }
    }
    """
)
BY_THEMSELVES = {
    "/gone": (1014, "", "backend_lost"),
    "/wrong": (1002, "", "protocol_error"),
    "/idle": (1001, "idle", "idle_timeout"),
    "/silent": (1001, "", "backend_ping_timeout"),
    "/message": (1009, "a message of 150 bytes or more is larger than websocket_max_message", "message_too_big"),
    "/frame": (1009, "a frame of 150 bytes is larger than websocket_max_frame", "frame_too_big"),
    "/rate": (1008, "messages come faster than websocket_rate allows", "rate"),
    "/life": (1001, "", "lifetime"),
    "/login": (1008, "no longer authorized", "reauth"),
}
"""Where the end comes once the client has said something: code, reason, and what the log calls it."""

SPOKEN = "x" * 150

Close = tuple[int, str]


@pytest.fixture
def front(raw_backend, ws_backend):
    def respond(request) -> bytes:
        return b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"

    gone = raw_backend([switch, plain(b"hello", TEXT), pause(0.2), reset])
    wrong = raw_backend([switch, masked(b"masked", TEXT), read_until_end])
    silent = raw_backend([switch, hold])
    with HttpEcho(respond=respond) as judge:
        ports = {
            "gone": gone.port,
            "wrong": wrong.port,
            "hold": silent.port,
            "echo": ws_backend.port,
            "other": silent.port,
            "auth": judge.port,
        }
        with Proxy(FRONT, ports=ports) as proxy:
            yield proxy


def all_of_them(front: Proxy, opened: Callable[[str], Any], ended: Callable[[Any], Close]) -> None:
    """`opened` opens a WebSocket and says SPOKEN twice, `ended` waits for its end."""
    talks = {path: opened(path) for path in BY_THEMSELVES}
    for path, (code, reason, why) in BY_THEMSELVES.items():
        assert ended(talks[path]) == (code, reason), path
        front.logged(rf"(?m)^{path} {code} proxy {why}$")
    killed, drained, last = opened("/killed"), opened("/drain"), opened("/end")
    command = [*installed().command, "tunnels", "close", "--socket", f"{front.directory}/nginx.control"]
    more = ["--location", "/killed", "--code", "4321", "--reason", "by hand"]
    eventually(lambda: run([*command, *more]).returncode == 0)
    assert ended(killed) == (4321, "by hand")
    front.reload(FRONT.replace("{ server 127.0.0.1:{port:echo}; server", "{ server").replace(" backup;", ";"))
    assert ended(drained) == (1012, "")
    front.stop()
    assert ended(last) == (1001, "")


def test_a_client(front) -> None:
    def opened(path: str):
        client = stack.enter_context(connect(front.url(path, "ws"), proxy=None, close_timeout=2))
        try:
            client.send(SPOKEN)
            client.send(SPOKEN)
        except ConnectionClosed:
            pass  # the first was enough
        return client

    def ended(client) -> Close:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.recv(10)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    with ExitStack() as stack:
        all_of_them(front, opened, ended)


SOCKET = """
    const [path, spoken] = arguments;
    const socket = new WebSocket("ws://" + location.host + path);
    window.ends ??= {};
    socket.onopen = () => { socket.send(spoken); socket.send(spoken); };
    socket.onclose = event => { window.ends[path] = [event.code, event.reason, event.wasClean]; };
    window[path] = socket;
"""


def test_a_browser(front, browser) -> None:
    page = browser.open(front.url("/page"))

    def opened(path: str) -> str:
        page.script(SOCKET, path, SPOKEN)
        page.wait_until(f"window['{path}'].readyState")
        return path

    def ended(path: str) -> Close:
        code, reason, clean = page.wait_until(f"window.ends['{path}']")
        assert clean or path == "/end", "TERM alone waits for no answer"
        return code, reason

    all_of_them(front, opened, ended)
