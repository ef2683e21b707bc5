"""websocket on | auto | off, websocket_origins, websocket_protocols: real clients, and a browser."""

import hashlib
import re
from base64 import b64encode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness.backends import HttpEcho, WebSocketEcho, hold, pause, read_head
from harness.proxy import in_http
from harness.site import mistakes

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

BOILERPLATE = {
    "nothing": "",
    "old": "proxy_http_version 1.0;",
    "usual": 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
    "map": "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;",
    "lost": 'proxy_set_header Connection "";',
    "wrong": 'proxy_set_header Upgrade ""; proxy_set_header Connection close; proxy_set_header X-A b;',
    "nothing passed": "proxy_pass_request_headers off; proxy_method POST; proxy_set_body nonsense;",
}


def test_auto_works_with_and_without_the_usual_lines(proxy, ws_backend) -> None:
    locations = (
        f"location /{number} {{ proxy_pass http://127.0.0.1:{{port:back}}; {lines} }}"
        for number, lines in enumerate(BOILERPLATE.values())
    )
    front = proxy(
        in_http(
            "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
            f"server {{ listen 127.0.0.1:{{port:front}}; websocket auto; {' '.join(locations)} }}"
        ),
        ports={"back": ws_backend.port},
    )
    for number, name in enumerate(BOILERPLATE):
        with connect(front.url(f"/{number}", "ws"), proxy=None, origin="http://a.example") as client:
            client.send(name)
            assert client.recv(20) == name
        path, headers = ws_backend.handshakes[number]
        assert path == f"/{number}", name
        assert headers["Origin"] == "http://a.example", name
        assert headers.get_all("Connection") == ["Upgrade"], name
        assert headers.get_all("Upgrade") == ["websocket"], name


def test_other_requests_are_plain_and_their_connections_kept(proxy) -> None:
    with HttpEcho() as backend:
        front = proxy(
            in_http(
                """
                upstream back { server 127.0.0.1:{port:back}; keepalive 4; }
                server {
                    listen 127.0.0.1:{port:front};
                    websocket auto;
                    location / {
                        proxy_pass http://back;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection "upgrade";
                    }
                }
                """
            ),
            ports={"back": backend.port},
        )
        seen = [front.get("/", {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"} if n == 1 else {}).text
                for n in range(3)]
        assert all("upgrade" not in text.lower().replace("/upgrade", "") for text in seen)
        assert backend.connections == 1


def raw_front(proxy, backend, wish: str):
    text = f"websocket {wish}; location / {{ proxy_pass http://127.0.0.1:{{port:back}}; proxy_read_timeout 5s; }}"
    return proxy(
        in_http(f"server {{ listen 127.0.0.1:{{port:front}}; {text} }}"),
        ports={"back": backend.port},
    )


ANSWERS = {
    "wrong accept": ("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", "does not answer the key"),
    "no accept": ("", "no Sec-WebSocket-Accept"),
    "unoffered protocol": (f"Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n", "was not offered"),
    "unoffered extension": (f"Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Extensions: x\r\n", "none was offered"),
}


def test_a_101_that_is_no_answer_is_a_502_that_says_so(proxy, raw_backend) -> None:
    scripts = [[read_head, f"{SWITCH}{headers}\r\n".encode(), hold] for headers, _ in ANSWERS.values()]
    front = raw_front(proxy, raw_backend(*scripts), "auto")
    for name, (_, words) in ANSWERS.items():
        assert front.get("/", HANDSHAKE).status == 502, name
        front.logged(f"upstream sent 101 Switching Protocols that can not be passed on: .*{words}", name="error.log")


def test_a_wrong_accept_can_be_let_through(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, f"{SWITCH}\r\n".encode() + b"\x81\5early", pause(0.2)])
    front = raw_front(proxy, backend, "auto accept=any")
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"{k}: {v}\r\n" for k, v in HANDSHAKE.items()) + "\r\n")
        assert client.response().status == 101
        assert client.recv_exactly(7) == b"\x81\5early"


def test_a_101_to_another_protocol_is_none(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", hold])
    front = raw_front(proxy, backend, "auto")
    assert front.get("/", {"Upgrade": "h2c", "Connection": "Upgrade"}).status == 502
    assert b"pgrade" not in backend.conversations[0].received


BAD = [
    ({"Sec-WebSocket-Key": "short"}, 400, "is not 16 bytes in base64"),
    ({"Sec-WebSocket-Key": None}, 400, "there is no Sec-WebSocket-Key"),
    ({"Sec-WebSocket-Version": "8"}, 426, "Sec-WebSocket-Version is '8', not 13"),
    ({"Sec-WebSocket-Version": None}, 400, "there is no Sec-WebSocket-Version"),
    ({"Connection": "close"}, 400, "the Connection header does not name"),
    ({"Content-Length": "5"}, 400, "it has a body"),
]


def test_bad_handshakes_are_answered_in_words(proxy, ws_backend) -> None:
    front = raw_front(proxy, ws_backend, "auto")
    for change, status, words in BAD:
        headers = {name: value for name, value in {**HANDSHAKE, **change}.items() if value is not None}
        answer = front.get("/", headers, body=b"12345" if "Content-Length" in headers else b"")
        assert answer.status == status, words
        assert words in answer.text
        assert answer.header("sec-websocket-version") == ("13" if status == 426 else None)
    assert ws_backend.handshakes == []


def test_on_and_off(proxy, ws_backend) -> None:
    front = proxy(
        in_http(
            """
            server {
                listen 127.0.0.1:{port:front};
                location /on { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
                location /off { websocket off; return 200 "plain"; }
                location /off/here { websocket off; alias {dir}/; }
                location /never { websocket off 403; alias {dir}/; }
                location /page { websocket off 403; error_page 403 /sorry; alias {dir}/; }
                location = /sorry { return 200 "sorry"; }
            }
            """
        ),
        ports={"back": ws_backend.port},
        files={"there": "file"},
    )
    refused = front.get("/on")
    assert (refused.status, refused.header("upgrade")) == (426, "websocket")
    with connect(front.url("/on", "ws"), proxy=None) as client:
        client.send("hello")
        assert client.recv(20) == "hello"
    assert front.get("/off/herethere").text == "file"
    assert front.get("/off/herethere", HANDSHAKE).status == 426
    assert front.get("/never", HANDSHAKE).status == 403
    assert front.get("/page", HANDSHAKE).text == "sorry"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("websocket yes;", 'invalid value "yes" in "websocket" directive'),
        ("websocket off 200;", 'invalid parameter "200"'),
        ("websocket auto accept=some;", 'invalid parameter "accept=some"'),
        ("websocket_origins https://a.example/path;", 'invalid origin "https://a.example/path"'),
        ("websocket_origins missing=deny;", '"websocket_origins" lists no origin'),
        ("websocket_protocols a,b;", 'invalid subprotocol "a,b"'),
        ("websocket_protocols missing=deny;", '"websocket_protocols" lists no subprotocol'),
    ],
)
def test_mistakes(tmp_path, text, words) -> None:
    assert words in mistakes(f"server {{ listen 80; {text} }}", tmp_path)


ORIGINS = """
server {
    listen 127.0.0.1:{port:front};
    websocket auto;
    proxy_pass_header Server;
    location /own { websocket_origins same-host; proxy_pass http://127.0.0.1:{port:back}; }
    location /listed {
        websocket_origins https://good.example *.sub.example localhost:* ~https://r\\d\\.example missing=deny;
        proxy_pass http://127.0.0.1:{port:back};
    }
    location /proto { websocket_protocols chat v1.* missing=deny; proxy_pass http://127.0.0.1:{port:back}; }
    location /page { default_type text/html; return 200 "<title>a page</title>"; }
}
"""


@pytest.mark.parametrize(
    ("path", "origin", "let_in"),
    [
        ("/own", "http://127.0.0.1:{port}", True),
        ("/own", "http://127.0.0.1", False),
        ("/own", "http://127.0.0.1.evil.example:{port}", False),
        ("/own", "null", False),
        ("/own", None, True),
        ("/listed", None, False),
        ("/listed", "https://good.example", True),
        ("/listed", "HTTPS://GOOD.example:443", True),
        ("/listed", "http://good.example", False),
        ("/listed", "https://good.example:8443", False),
        ("/listed", "https://good.example.evil.example", False),
        ("/listed", "http://a.b.sub.example", True),
        ("/listed", "http://sub.example", False),
        ("/listed", "http://evilsub.example", False),
        ("/listed", "http://localhost:5173", True),
        ("/listed", "https://r1.example", True),
        ("/listed", "https://r1.example.evil", False),
        ("/listed", "https://good.example, https://evil.example", False),
    ],
)
def test_origins(origins_front, path, origin, let_in) -> None:
    front = origins_front
    own = origin and origin.replace("{port}", str(front.port()))
    if let_in:
        with connect(front.url(path, "ws"), proxy=None, origin=own) as client:
            client.send("x")
            assert client.recv(20) == "x"
        return
    with pytest.raises(InvalidStatus) as refused:
        connect(front.url(path, "ws"), proxy=None, origin=own)
    assert refused.value.response.status_code == 403
    sent = "it sent no Origin" if own is None else f"it came from {re.escape(own)}"
    front.logged(f"WebSocket handshake refused: {sent}.*websocket_origins allows: ", name="error.log")


@pytest.fixture(scope="module")
def origins_front():
    from harness.proxy import Proxy

    with (
        WebSocketEcho(select_subprotocol=lambda _, offered: next(iter(offered), None)) as backend,
        Proxy(in_http(ORIGINS), ports={"back": backend.port}) as front,
    ):
        yield front


def test_subprotocols(origins_front) -> None:
    front = origins_front
    url = front.url("/proto", "ws")
    with connect(url, proxy=None, subprotocols=["other", "v1.a"]) as client:
        assert client.subprotocol == "v1.a", "the backend never saw the other one"
    for offered in (["other"], None):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, proxy=None, subprotocols=offered)
        assert refused.value.response.status_code == 403
    front.logged("offers other, and websocket_protocols allows: chat v1", name="error.log")


def test_a_page_of_another_origin_in_a_browser(origins_front, browser) -> None:
    front = origins_front
    port = front.port()
    script = f"""
        return new Promise(done => {{
            const socket = new WebSocket("ws://127.0.0.1:{port}/own");
            socket.onopen = () => socket.send("hello");
            socket.onmessage = event => done(event.data);
            socket.onclose = event => done("closed " + event.code);
        }})
    """
    assert browser.open(f"http://127.0.0.1:{port}/page").script(script) == "hello"
    assert browser.open(f"http://localhost:{port}/page").script(script) == "closed 1006"
    front.logged(f"it came from http://localhost:{port}, for Host 127.0.0.1:{port}", name="error.log")


def test_a_stranger_that_a_backend_takes_is_named_once(proxy, ws_backend) -> None:
    front = raw_front(proxy, ws_backend, "auto")
    for origin in (front.url("").rstrip("/"), "https://elsewhere.example", "https://elsewhere.example"):
        with connect(front.url("/", "ws"), proxy=None, origin=origin) as client:
            client.send("x")
            client.recv(20)
    front.logged("a page of https://elsewhere.example opened.*websocket_origins same-host", name="error.log")
    assert front.error_log().count("opened a WebSocket for Host") == 1


def test_unset_is_nginx(proxy, ws_backend) -> None:
    front = proxy(
        in_http("server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://127.0.0.1:{port:back}; } }"),
        ports={"back": ws_backend.port},
    )
    assert front.get("/", {**HANDSHAKE, "Connection": "Upgrade, close"}).status != 101
    front.logged("passed on without its Upgrade header", name="error.log")
