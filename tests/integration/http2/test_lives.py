"""How connections of HTTP/2 end: at reload and QUIT, after enough requests; CONNECT; real clients, a real browser."""

import shutil
import signal
import subprocess
import threading

import pytest

from harness.backends import WebSocketEcho, hold, read_head, read_until_end
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.waiting import eventually

CONFIGURATION = in_http(
    """
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        location / { return 200 "first"; }
        location /held { proxy_pass http://127.0.0.1:{port:back}; }
        location /ws { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    server { listen 127.0.0.1:{port:many}; keepalive_requests 100000; return 200 many; }
    server { listen 127.0.0.1:{port:few}; keepalive_requests 3; return 200 few; }
    """
)


def started(proxy, backend, text: str = CONFIGURATION):
    return proxy(text, ports={"back": backend.port})


def test_reload_lets_what_is_open_come_to_its_end(proxy, raw_backend) -> None:
    go = threading.Event()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
    front = started(proxy, raw_backend([read_head, lambda talk: go.wait(10), answer]))
    with Http2Client(front.port()) as idle, Http2Client(front.port()) as busy:
        assert idle.get("/").text == "first"
        stream = busy.open("/held")
        busy.quiet(0.1)
        front.reload(CONFIGURATION.replace("first", "second"))
        for client in (idle, busy):
            client.until(lambda client=client: client.goaway is not None)
            assert client.goaway is not None and int(client.goaway.error_code) == 0
        idle.until(lambda: idle.eof)
        go.set()
        assert busy.streams[stream].status == 0 and not busy.eof
        assert busy.read(stream).text == "late"
    with Http2Client(front.port()) as client:
        eventually(lambda: client.get("/").text == "second")


def test_websockets_outlive_a_reload(proxy, ws_backend: WebSocketEcho) -> None:
    front = started(proxy, ws_backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/ws")
        front.reload(CONFIGURATION.replace("first", "second"))
        client.until(lambda: client.goaway is not None)
        client.say(stream, b"still here")
        assert client.hear(stream) == (1, b"still here")
        client.send(stream, b"", ended=True)
        client.until(lambda: client.eof)


def test_quit(proxy, ws_backend: WebSocketEcho) -> None:
    front = started(proxy, ws_backend)
    with Http2Client(front.port()) as client:
        client.get("/")
        front.send_signal(signal.SIGQUIT)
        client.until(lambda: client.eof)
        assert client.goaway is not None and int(client.goaway.error_code) == 0


def test_enough_requests(proxy, ws_backend: WebSocketEcho) -> None:
    front = started(proxy, ws_backend)
    with Http2Client(front.port("few")) as client:
        assert [client.get("/").text for _ in range(2)] == ["few", "few"]
        assert client.goaway is None
        last = client.open("/")
        client.until(lambda: client.goaway is not None)
        assert client.goaway is not None and client.goaway.last_stream_id == last
        client.until(lambda: client.eof)
        assert client.streams[last].text == "few"


def test_connect(proxy, raw_backend) -> None:
    backend = raw_backend([b"hello", read_until_end, b"bye"], [read_head, hold])
    front = proxy(
        in_http(
            """
            log_format line "$request_method $host:$request_port $server_protocol $status";
            access_log access.log line;
            server { listen 127.0.0.1:{port:front}; http2 on; tunnel_pass; allow 127.0.0.1; deny all; }
            server { listen 127.0.0.1:{port:none}; http2 on; return 200 none; }
            """
        ),
        ports={},
    )
    ask = [(":method", "CONNECT"), (":authority", f"127.0.0.1:{backend.port}")]
    with Http2Client(front.port()) as client:
        stream = client.open_with(ask, ended=False)
        answered = client.head(stream)
        assert answered.status == 200 and answered.header("content-length") is None
        client.send(stream, b"what", ended=True)
        assert client.read(stream).body == b"hellobye"
        second = client.open_with(ask, ended=False)
        client.head(second)
        client.reset(second)
        eventually(lambda: len(backend.conversations) == 2 and backend.conversations[1].ended.is_set())
        nobody = client.open_with([(":method", "CONNECT"), (":authority", "127.0.0.1:1")], ended=False)
        assert client.read(nobody).status == 502
    assert backend.conversations[0].received == b"what"
    front.logged(rf"CONNECT 127.0.0.1:{backend.port} HTTP/2.0 200")
    with Http2Client(front.port("none")) as client:
        assert client.read(client.open_with(ask)).status == 405


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="there is no nghttp")
def test_nghttp(proxy, ws_backend: WebSocketEcho) -> None:
    front = started(proxy, ws_backend)
    url = f"http://127.0.0.1:{front.port()}/"
    done = subprocess.run(["nghttp", "-v", url], capture_output=True, text=True, timeout=20, check=True)
    assert ":status: 200" in done.stdout and "first" in done.stdout


@pytest.mark.skipif(shutil.which("h2load") is None, reason="there is no h2load")
def test_h2load(proxy, ws_backend: WebSocketEcho) -> None:
    front = started(proxy, ws_backend)
    url = f"http://127.0.0.1:{front.port('many')}/"
    for connections in ("5", "1"):
        command = ["h2load", "-n", "4000", "-c", connections, "-m", "20", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert "4000 succeeded, 0 failed" in done.stdout


BROWSED = in_http(
    """
    log_format browsed "[$request] $status $server_protocol $connection";
    access_log access.log browsed;
    server {
        listen 127.0.0.1:{port:front} ssl;
        http2 on;
        http2_extended_connect {value:how};
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        location / { default_type text/html; return 200 "<title>none</title>{value:script}"; }
        location /ws { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)
SCRIPT = (
    "<script>var s=new WebSocket('wss://'+location.host+'/ws');"
    "s.onopen=function(){s.send('over')};s.onmessage=function(e){document.title=e.data};</script>"
)


@pytest.mark.parametrize("how", ["on", "off"])
def test_a_browser(proxy, ws_backend: WebSocketEcho, authority, how: str) -> None:
    """With RFC 8441 the page's WebSocket is a stream beside it; without, a connection of its own."""
    from harness.browser import Browser, missing

    if reason := missing():
        pytest.skip(reason)
    pair = authority.issue("localhost")
    values = {"how": how, "certificate": str(pair.certificate), "key": str(pair.key), "script": SCRIPT}
    front = proxy(BROWSED, ports={"back": ws_backend.port}, values=values)
    with Browser("--ignore-certificate-errors") as browser:
        page = browser.open(f"https://localhost:{front.port()}/")
        page.wait_until("document.title === 'over'")
    first = front.logged(r"\[GET / HTTP/2.0\] 200 HTTP/2.0 (\d+)")
    if how == "on":
        second = front.logged(r"\[CONNECT /ws HTTP/2.0\] 200 HTTP/2.0 (\d+)")
        assert first[1] == second[1], "on the same connection"
    else:
        front.logged(r"\[GET /ws HTTP/1.1\] 101 HTTP/1.1")
