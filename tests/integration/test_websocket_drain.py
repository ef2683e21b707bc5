"""Tunnels that have to go: spread over a window at QUIT, at the end of worker_shutdown_timeout, with their server."""

import signal
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import WebSocketEcho, hold, read_head
from harness.crowd import Crowd, EchoServers
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, PING, WireClient, close_code, masked, switch

pytestmark = pytest.mark.alone

LOCATION = "location / { websocket auto; proxy_pass http://back; proxy_read_timeout 1h; }"
SERVER = "server { listen 127.0.0.1:{port:front}; " + LOCATION + " }"
MANY = "worker_rlimit_nofile 8192; events { worker_connections 4096; }\n"


def test_a_thousand_over_ten_seconds(proxy) -> None:
    count, window = 1000, 10
    text = "http { websocket_drain 10s; upstream back { server 127.0.0.1:{port:back}; }\n" + SERVER + "}"
    with EchoServers(1) as echo:
        front = proxy(MANY + text, ports={"back": echo.port})
        with Crowd(front.port(), interval=1.0) as crowd:
            assert crowd.open(count).open == count
            began = time.monotonic()
            front.send_signal(signal.SIGQUIT)
            eventually(lambda: not crowd.report().open, 3 * window, every=0.5)
            told = crowd.report()
            assert told.closes == {1012: count}
            assert (told.dropped, told.cut, told.wrong) == (0, 0, 0)
            times = sorted(at - began for at in told.close_times)
            most = max(sum(first <= at < first + 1 for at in times) for first in times)
            assert most <= count / 5, Counter(int(at) for at in times)
            assert times[-1] < window + 3
        served = echo.report()
        assert served.closes == {1012: count}
        assert (served.dropped, served.cut, served.unmasked) == (0, 0, 0)
    front.logged(r"draining all: 1000 tunnels, 10s", name="error.log")
    front.logged(r"draining all: \d{3} tunnels left, \ds to go", name="error.log")
    front.logged(r"drained all: 1000 tunnels in 1\d\.\ds", name="error.log")


def test_other_tunnels_are_closed_and_new_ones_follow(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, b"HTTP/1.1 101 A\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n", hold])
    text = """
        websocket_drain 1s;
        upstream back { server 127.0.0.1:{port:back}; }
        server {
            listen 127.0.0.1:{port:front};
            location / {
                proxy_pass http://back;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
        }
    """
    front = proxy(in_http(text), ports={"back": backend.port})
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n")
        assert client.response().status == 101
        front.send_signal(signal.SIGQUIT)
        assert client.recv_all() == b""


@pytest.mark.parametrize("timeout", ["", "worker_shutdown_timeout 2s;"])
def test_without_a_drain_quit_waits(proxy, ws_backend, timeout) -> None:
    text = timeout + in_http("upstream back { server 127.0.0.1:{port:back}; }\n" + SERVER)
    front = proxy(text, ports={"back": ws_backend.port})
    with connect(front.url("/", "ws")) as client:
        front.send_signal(signal.SIGQUIT)
        time.sleep(0.2)
        client.send("open")
        assert client.recv() == "open"
        if timeout:
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(timeout=20)
            assert ended.value.rcvd.code == 1001
            eventually(lambda: ws_backend.closed == [(1001, "")])


def test_a_fast_shutdown_says_goodbye_as_far_as_it_can(proxy, ws_backend) -> None:
    text = in_http("websocket_drain 1s; upstream back { server 127.0.0.1:{port:back}; }\n" + SERVER)
    front = proxy(text, ports={"back": ws_backend.port})
    with connect(front.url("/", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        front.send_signal(signal.SIGTERM)
        client.recv(timeout=20)
    assert ended.value.rcvd.code == 1001


def test_peers_that_do_not_answer_do_not_hold_it_up(proxy, raw_backend) -> None:
    text = "websocket_drain 500ms; websocket_close_timeout 500ms; upstream back { server 127.0.0.1:{port:back}; }\n"
    front = proxy(in_http(text + SERVER), ports={"back": raw_backend([switch, hold]).port})
    with WireClient(front.port()) as client:
        front.send_signal(signal.SIGQUIT)
        client.send(masked(b"still here", PING))
        assert client.recv_all()
    front.logged("drained all: 1 tunnels", name="error.log")


def test_servers_that_a_reload_takes_out(proxy) -> None:
    """Tunnels to a server that is marked drain go; those to a server that is gone go with `removed`."""
    with WebSocketEcho("a") as a, WebSocketEcho("b") as b, WebSocketEcho("c") as c, ExitStack() as stack:
        servers = "server 127.0.0.1:{port:a}; server 127.0.0.1:{port:b}; server 127.0.0.1:{port:c};"
        text = "websocket_drain 500ms code=4000%s;\nupstream back { %s }\n" + SERVER.replace("%", "%%")
        front = proxy(in_http(text % ("", servers)), ports={"a": a.port, "b": b.port, "c": c.port})
        clients = {}
        for _ in range(3):
            client = stack.enter_context(connect(front.url("/", "ws")))
            client.send("name?")
            clients[client.recv()] = client
        marked = servers.replace("{port:a};", "{port:a} drain;").replace("server 127.0.0.1:{port:b};", "")
        front.reload(in_http(text % ("", marked)))
        with pytest.raises(ConnectionClosed) as ended:
            clients.pop("a").recv(timeout=20)
        assert ended.value.rcvd.code == 4000
        for name, client in clients.items():
            client.send("name?")
            assert client.recv() == name
        with connect(front.url("/", "ws")) as client:
            client.send("name?")
            assert client.recv() == "c"
        front.reload(in_http(text % (" removed", marked)))
        with pytest.raises(ConnectionClosed) as ended:
            clients.pop("b").recv(timeout=20)
        assert ended.value.rcvd.code == 4000
        clients["c"].send("name?")
        assert clients["c"].recv() == "c"
        clients["c"].close()


WAYS = {
    "gone": "location / { return 200 nothing; }",
    "another": LOCATION.replace("back", "127.0.0.1:{port:b}"),
    "renamed": LOCATION.replace("back", "other"),
    "named": LOCATION.replace("back", "127.0.0.1:{port:a}"),
}


@pytest.mark.parametrize("before", ["back", "127.0.0.1:{port:a}"])
@pytest.mark.parametrize(("after", "stays"), [("gone", False), ("another", False), ("renamed", True), ("named", True)])
def test_an_upstream_that_a_reload_takes_out_as_a_whole(proxy, before, after, stays) -> None:
    with WebSocketEcho("a") as a, WebSocketEcho("b") as b:
        block = "upstream %s { server 127.0.0.1:{port:a}; }\n"
        server = "server { listen 127.0.0.1:{port:front}; %s }"
        text = "websocket_drain 500ms removed;\n" + (block % "back" if before == "back" else "")
        text += server % LOCATION.replace("back", before)
        front = proxy(in_http(text), ports={"a": a.port, "b": b.port})
        with connect(front.url("/", "ws")) as client:
            client.send("name?")
            assert client.recv() == "a"
            other = block % "other" if after == "renamed" else ""
            front.reload(in_http("websocket_drain 500ms removed;\n" + other + server % WAYS[after]))
            if stays:
                time.sleep(1)
                client.send("name?")
                assert client.recv() == "a"
            else:
                with pytest.raises(ConnectionClosed) as ended:
                    client.recv(timeout=20)
                assert ended.value.rcvd.code == 1012


def test_a_server_that_a_variable_names_is_in_no_upstream(proxy) -> None:
    with WebSocketEcho("a") as a:
        text = "websocket_drain 500ms removed;\n" + SERVER.replace("proxy_pass http://back", "proxy_pass http://$arg_to")
        front = proxy(in_http(text), ports={"a": a.port})
        with connect(front.url(f"/?to=127.0.0.1:{a.port}", "ws")) as client:
            front.reload()
            time.sleep(1)
            client.send("name?")
            assert client.recv() == "a"


@pytest.mark.parametrize("by", ["quit", "reload"])
@pytest.mark.parametrize("drain", ["", "websocket_drain 1h;", "websocket_drain 500ms;"])
def test_the_shutdown_timeout_holds_where_a_close_frame_is_not_answered(proxy, raw_backend, by, drain) -> None:
    text = "worker_shutdown_timeout 2s;" + in_http(drain + "upstream back { server 127.0.0.1:{port:back}; }\n" + SERVER)
    front = proxy(text, ports={"back": raw_backend([switch, hold]).port})
    with WireClient(front.port()) as client:
        began = time.monotonic()
        if by == "quit":
            front.send_signal(signal.SIGQUIT)
        else:
            front.reload()
        (opcode, payload), *more = client.frames_until_end()
        took = time.monotonic() - began
        assert (opcode, more) == (CLOSE, [])
        drained = drain and by == "quit"
        assert close_code(payload) == (1012 if drained else 1001)
    assert 1.9 < took < 6.0, took
