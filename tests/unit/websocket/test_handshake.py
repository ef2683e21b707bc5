"""The opening handshake, with wsproto and websockets as oracles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key as their_accept_key
from websockets.utils import generate_key
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request
from wsproto.utilities import RemoteProtocolError

from penstock.http.errors import BadRequest
from penstock.http.head import parse_request, parse_response
from penstock.websocket.handshake import accept_key, check_request, check_response, is_handshake

GOOD = {
    "Host": "a",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
ACCEPTED = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}


def request(line: str = "GET / HTTP/1.1", **changes: str | None) -> bytes:
    """A handshake; `sec_websocket_key="x"` changes a header, None takes it out."""
    headers = dict(GOOD)
    for name, value in changes.items():
        name = next((known for known in headers if known.lower() == name.replace("_", "-")), name.replace("_", "-"))
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    return (f"{line}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()


def response(status: str = "101 Switching Protocols", **changes: str | None) -> bytes:
    headers: dict[str, str | None] = {name.lower(): value for name, value in ACCEPTED.items()}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()


def test_accept_key() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for _ in range(20):
        key = generate_key()
        assert accept_key(key) == their_accept_key(key)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (request(), True),
        (request(upgrade="WebSocket", connection="keep-alive, upgrade"), True),
        (request(upgrade="h2c, websocket"), True),
        (request(sec_websocket_key=None), True),
        (request(upgrade="h2c"), False),
        (request(upgrade="websockets"), False),
        (request(connection="keep-alive"), False),
        (request(connection="xupgrade"), False),
        (request(upgrade=None), False),
        (request(connection=None), False),
        (request("POST / HTTP/1.1"), False),
        (request("GET / HTTP/1.0"), False),
    ],
)
def test_is_handshake(data: bytes, answer: bool) -> None:
    assert is_handshake(parse_request(data)) is answer


def test_headers_in_several_lines() -> None:
    data = request().replace(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: Upgrade")
    assert is_handshake(parse_request(data))
    assert check_request(parse_request(data)) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (request("POST / HTTP/1.1"), "the method is POST, not GET"),
        (request("GET / HTTP/1.0"), "the version is not HTTP/1.1"),
        (request("GET / HTTP/1.0", host=None), "there is no Host header"),
        (request(upgrade="h2c"), 'the Upgrade header does not name "websocket"'),
        (request(upgrade=None), 'the Upgrade header does not name "websocket"'),
        (request(connection="close"), 'the Connection header does not name "upgrade"'),
        (request(sec_websocket_key=None), "there is no Sec-WebSocket-Key header"),
        (request(sec_websocket_key="dGhlIHNhbXBsZQ=="), "Sec-WebSocket-Key is not 16 bytes in base64"),
        (request(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ"), "Sec-WebSocket-Key is not 16 bytes in base64"),
        (request(sec_websocket_key="!!!!IHNhbXBsZSBub25jZQ=="), "Sec-WebSocket-Key is not 16 bytes in base64"),
        (request(sec_websocket_key="a, b"), "there is more than one Sec-WebSocket-Key header"),
        (request(sec_websocket_version=None), "there is no Sec-WebSocket-Version header"),
        (request(sec_websocket_version="8"), "Sec-WebSocket-Version is '8', not 13"),
        (request(sec_websocket_protocol="a b"), "Sec-WebSocket-Protocol is not a list of names"),
        (request(sec_websocket_protocol=""), "Sec-WebSocket-Protocol is not a list of names"),
        (request(sec_websocket_protocol="a, a"), "Sec-WebSocket-Protocol names a protocol twice"),
    ],
)
def test_problems_of_a_request(data: bytes, problem: str) -> None:
    assert problem in check_request(parse_request(data))


def test_a_good_request() -> None:
    assert check_request(parse_request(request())) == []
    assert check_request(parse_request(request(sec_websocket_protocol="chat, superchat"))) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (response("200 OK"), "the status is 200, not 101"),
        (response(upgrade=None), 'the Upgrade header is not "websocket"'),
        (response(upgrade="h2c"), 'the Upgrade header is not "websocket"'),
        (response(connection="close"), 'the Connection header does not name "upgrade"'),
        (response(sec_websocket_accept=None), "there is no Sec-WebSocket-Accept header"),
        (response(sec_websocket_accept="x"), "Sec-WebSocket-Accept does not answer the key"),
        (response(sec_websocket_protocol="b"), "the protocol chosen was not offered"),
        (response(sec_websocket_extensions="permessage-deflate"), "an extension is chosen, and none was offered"),
    ],
)
def test_problems_of_a_response(data: bytes, problem: str) -> None:
    sent = parse_request(request(sec_websocket_protocol="a"))
    assert check_response(parse_response(data), sent) == [problem]


def test_a_good_response() -> None:
    sent = parse_request(request(sec_websocket_protocol="a, b", sec_websocket_extensions="permessage-deflate"))
    answer = response(sec_websocket_protocol="b", sec_websocket_extensions="permessage-deflate")
    assert check_response(parse_response(answer), sent) == []


VALUES = {
    "upgrade": ["websocket", "WebSocket", "h2c", "h2c, websocket", "", None],
    "connection": ["Upgrade", "keep-alive, Upgrade", "close", "", None],
    "sec_websocket_key": [GOOD["Sec-WebSocket-Key"], "short", "", None],
    "sec_websocket_version": ["13", "8", "", None],
    "sec_websocket_protocol": ["chat", "a, b"],
}


@settings(max_examples=200)
@given(
    st.fixed_dictionaries({name: st.sampled_from(values[:1] * 4 + values[1:]) for name, values in VALUES.items()}),
    st.sampled_from(["GET / HTTP/1.1"] * 5 + ["POST / HTTP/1.1"]),
)
def test_against_wsproto(changes: dict[str, str | None], line: str) -> None:
    data = request(line, **changes)
    connection = WSConnection(ConnectionType.SERVER)
    try:
        connection.receive_data(data)
        taken = any(isinstance(event, Request) for event in connection.events())
    except RemoteProtocolError:
        taken = False
    problems = check_request(parse_request(data))
    if not problems:
        # wsproto knows no list of protocols to upgrade to (RFC 9110 section 7.8).
        assert taken or "," in (changes["upgrade"] or "")
    if taken:
        # wsproto does not look at what a key holds, nor at names of protocols.
        known = ("Sec-WebSocket-Key is not", "Sec-WebSocket-Protocol")
        assert all(problem.startswith(known) for problem in problems), problems


@settings(max_examples=200)
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40))
def test_anything(text: str) -> None:
    for name in (*GOOD, "Sec-WebSocket-Protocol"):
        data = request(**{name.lower().replace("-", "_"): text}) if name != "Host" else request(host=text)
        try:
            head = parse_request(data)
        except (BadRequest, UnicodeEncodeError):
            continue
        is_handshake(head)
        check_request(head)
