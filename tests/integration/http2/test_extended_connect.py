"""Who is told of WebSockets over HTTP/2, and what an extended CONNECT has to be (RFC 8441)."""

import pytest

from harness.backends import WebSocketEcho
from harness.http2 import Http2Client
from harness.proxy import in_http

OFFER = 8
"""SETTINGS_ENABLE_CONNECT_PROTOCOL"""

OFFERS = {
    "a location": ("location / { websocket on; proxy_pass http://127.0.0.1:{port:back}; }", True),
    "a location in a location": (
        "location /a { location /a/b { websocket auto; proxy_pass http://127.0.0.1:{port:back}; } }",
        True,
    ),
    "a condition": (
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        " location / { if ($http_upgrade) { proxy_pass http://127.0.0.1:{port:back}; } }",
        True,
    ),
    "a named location": (
        "location / { try_files /none @app; } location @app { websocket on; proxy_pass http://127.0.0.1:{port:back}; }",
        True,
    ),
    "an upgrade that is passed on": (
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        " location / { proxy_pass http://127.0.0.1:{port:back}; }",
        True,
    ),
    "one that would go nowhere": (
        "proxy_set_header Upgrade $http_upgrade; location / { return 200 here; }",
        False,
    ),
    "an upgrade to a backend of HTTP/1.0": (
        "proxy_http_version 1.0; proxy_set_header Upgrade $http_upgrade;"
        " location / { proxy_pass http://127.0.0.1:{port:back}; }",
        False,
    ),
    "WebSockets switched off": ("location / { websocket off; proxy_pass http://127.0.0.1:{port:back}; }", False),
}


@pytest.mark.parametrize("name", OFFERS)
def test_offered_where_a_location_can_carry_one(proxy, ws_backend: WebSocketEcho, name: str) -> None:
    block, offered = OFFERS[name]
    text = in_http("server { listen 127.0.0.1:{port:front}; http2 on; " + block + " }")
    front = proxy(text, ports={"back": ws_backend.port})
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        assert (OFFER in client.settings) is offered
        if name == "a condition":
            stream = client.websocket("/")
            client.say(stream, b"hello")
            assert client.hear(stream) == (1, b"hello")


@pytest.fixture(scope="module")
def front():
    from harness.binary import penstock
    from harness.proxy import Proxy

    text = in_http(
        """
        http2 on;
        server {
            listen 127.0.0.1:{port:front};
            location / { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
            location /text { return 200 text; }
        }
        """
    )
    with WebSocketEcho() as backend, Proxy(text, penstock(), ports={"back": backend.port}) as made:
        yield made


METHOD, PROTOCOL, SCHEME = (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")
PATH, AUTHORITY, VERSION = (":path", "/"), (":authority", "localhost"), ("sec-websocket-version", "13")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([METHOD, PROTOCOL, PATH, AUTHORITY], id="no scheme"),
        pytest.param([METHOD, PROTOCOL, SCHEME, AUTHORITY], id="no path"),
        pytest.param([METHOD, PROTOCOL, SCHEME, PATH], id="no authority"),
        pytest.param([METHOD, PROTOCOL, PROTOCOL, SCHEME, PATH, AUTHORITY], id="two protocols"),
        pytest.param([METHOD, (":protocol", ""), SCHEME, PATH, AUTHORITY], id="an empty protocol"),
        pytest.param([(":method", "GET"), PROTOCOL, SCHEME, PATH, AUTHORITY], id="another method"),
        pytest.param([METHOD, PROTOCOL, SCHEME, PATH, AUTHORITY, ("upgrade", "websocket")], id="Upgrade"),
        pytest.param([METHOD, PROTOCOL, SCHEME, PATH, AUTHORITY, ("connection", "Upgrade")], id="Connection"),
        pytest.param([METHOD, PROTOCOL, SCHEME, PATH, AUTHORITY, ("host", "other")], id="another host"),
        pytest.param([METHOD, PROTOCOL, SCHEME, (":path", "/ HTTP/1.1\r\nx: y"), AUTHORITY], id="lines in the path"),
    ],
)
def test_what_is_no_extended_connect(front, fields: list[tuple[str, str]]) -> None:
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        assert client.head(client.open_with([*fields, VERSION], ended=False)).status == 400
        assert client.get("/text").text == "text"


def test_a_key_of_the_client_s_is_answered_and_nothing_else_of_http_1(front) -> None:
    """HTTP/2 has none (section 5), but some clients look for the answer: it is to their key, not to the backend's."""
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        stream = client.websocket("/", ("sec-websocket-key", "bm90IGEga2V5IG9mIG91cnM="))
        answered = client.head(stream)
        assert answered.status == 200
        assert answered.header("sec-websocket-accept") == "FG+ci/dcOevnnz/3mOY6zsSsQu8="
        for name in ("upgrade", "connection", "content-length"):
            assert answered.header(name) is None
        client.say(stream, b"hello")
        assert client.hear(stream) == (1, b"hello")


def test_a_stream_that_ends_with_its_head(front) -> None:
    """Half of it is closed from the start: nothing is left behind when the other half is, too."""
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        stream = client.open_with([METHOD, PROTOCOL, SCHEME, PATH, AUTHORITY, VERSION], ended=True)
        client.until(lambda: client.streams[stream].over)
        assert client.get("/text").text == "text"
