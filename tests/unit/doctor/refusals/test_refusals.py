"""What an answer to a handshake gives away."""

import pytest

from penstock.doctor.refusals.refusals import RefusedHandshake, Said, causes, described

HANDSHAKE = {
    "host": "chat.example",
    "origin": "https://chat.example",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}

OLD = {"sec-websocket-version": "8"}


def without(*names: str, **more: str) -> dict[str, str]:
    return {name: value for name, value in {**HANDSHAKE, **more}.items() if name not in names}


def first(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None = None) -> str:
    return causes(sent, got, client)[0].id


CLIENT = RefusedHandshake("/ws", HANDSHAKE)

CASES = [
    ("upgrade-lost", RefusedHandshake("/ws", without("upgrade", "connection")), Said(400), None),
    ("upgrade-lost", RefusedHandshake("/ws", without("upgrade")), Said(404), CLIENT),
    ("http-1.0", RefusedHandshake("/ws", HANDSHAKE, 10), Said(426), None),
    ("connection-lost", RefusedHandshake("/ws", without("connection", connection="close")), Said(400), None),
    ("header-missing", RefusedHandshake("/ws", without("sec-websocket-key")), Said(400), CLIENT),
    ("origin-removed", RefusedHandshake("/ws", without("origin")), Said(403), CLIENT),
    (
        "cookie-removed",
        RefusedHandshake("/ws", HANDSHAKE),
        Said(401),
        RefusedHandshake("/ws", {**HANDSHAKE, "cookie": "a=b"}),
    ),
    ("path", RefusedHandshake("/ws", without("origin")), Said(404), CLIENT),
    ("origin-host", RefusedHandshake("/ws", without(host="backend:8000")), Said(403), CLIENT),
    (
        "host-changed",
        RefusedHandshake("/ws", without("origin", host="backend")),
        Said(400),
        RefusedHandshake("/ws", without("origin")),
    ),
    ("uri-mapping", RefusedHandshake("/", HANDSHAKE), Said(404), CLIENT),
    ("uri-mapping", RefusedHandshake("/", HANDSHAKE), Said(200, {"content-type": "text/html"}), CLIENT),
    ("path", CLIENT, Said(404), CLIENT),
    ("page", CLIENT, Said(200, {"content-type": "text/html; charset=utf-8"}), CLIENT),
    ("transport", RefusedHandshake("/socket.io/?EIO=4", HANDSHAKE), Said(200), None),
    ("affinity", CLIENT, Said(400, body='{"code":1,"message":"Session ID unknown"}'), CLIENT),
    ("origin", CLIENT, Said(403, body="websocket: request origin not allowed by Upgrader.CheckOrigin"), CLIENT),
    ("scheme", CLIENT, Said(400, body="400 The plain HTTP request was sent to HTTPS port"), None),
    ("host", CLIENT, Said(403, body="Blocked request. This host is not allowed."), None),
    ("slash", CLIENT, Said(301, {"location": "http://chat.example/ws/"}), CLIENT),
    ("https", CLIENT, Said(301, {"location": "https://chat.example/ws"}), CLIENT),
    ("login", CLIENT, Said(302, {"location": "/accounts/login?next=/ws"}), CLIENT),
    ("version", RefusedHandshake("/ws", {**HANDSHAKE, **OLD}), Said(426, {"sec-websocket-version": "13"}), None),
    ("credentials", CLIENT, Said(401), None),
    ("rate", CLIENT, Said(429), None),
    ("further-on", CLIENT, Said(502, {"server": "nginx"}), None),
    ("unknown", CLIENT, Said(418), None),
]


@pytest.mark.parametrize(("name", "sent", "got", "client"), CASES)
def test_the_likeliest_cause(name: str, sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> None:
    assert first(sent, got, client) == name


@pytest.mark.parametrize("status", [*range(200, 600)])
def test_there_is_always_something_to_say(status: int) -> None:
    found = causes(CLIENT, Said(status))
    assert found
    assert all(str(cause) for cause in found)
    assert len({cause.id for cause in found}) == len(found)


def test_same_host_is_no_cause() -> None:
    sent = RefusedHandshake("/ws", without(host="chat.example:443"))
    assert "origin-host" not in [cause.id for cause in causes(sent, Said(403), CLIENT)]


def test_what_was_said_is_bounded_and_without_pages() -> None:
    assert described(Said(403, body="no\n  way")) == "403"
    assert described(Said(403, {"content-type": "text/plain"}, "no way")) == '403 "no way"'
    assert described(Said(404, {"content-type": "text/html"}, "<html>")) == "404"
    assert described(Said(302, {"location": "/login"})) == "302 to /login"
    assert len(described(Said(500, body="x" * 10_000))) < 200
