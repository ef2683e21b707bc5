"""Rules for WebSockets where headers are set nginx's way: no spelling of a handshake gets around them.

The backend switches to WebSocket whenever its Upgrade mentions one, however bad the rest is: what reaches it, counts.
"""

import re

import pytest

from harness.backends import hold, read_head
from harness.crowd_frames import HANDSHAKE_KEY
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wire import WireClient, masked

NGINX = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
RULES = {
    "origins": "websocket_origins https://good.example missing=deny;",
    "protocols": "websocket_protocols good missing=deny;",
    "off": "websocket off;",
    "max_message": "websocket_max_message 1k;",
    "max_frame": "websocket_max_frame 1k from=both;",
    "rate": "websocket_rate 50r/s;",
    "max_lifetime": "websocket_max_lifetime 1h;",
    "reauth": "websocket_reauth 5m /auth;",
}
FINE = {
    "Host": "front.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": HANDSHAKE_KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "good",
    "Origin": "https://good.example",
}
ODD = {
    "HTTP/1.0": ("GET / HTTP/1.0", {}),
    "POST": ("POST / HTTP/1.1", {"Content-Length": "0"}),
    "HEAD": ("HEAD / HTTP/1.1", {}),
    "PUT": ("PUT / HTTP/1.0", {"Content-Length": "0"}),
    "OPTIONS": ("OPTIONS / HTTP/1.1", {}),
    "another token, too": ("GET / HTTP/1.0", {"Upgrade": "websocket, foo"}),
    "with a version": ("GET / HTTP/1.1", {"Upgrade": "WebSocket/13"}),
    "inside of another": ("GET / HTTP/1.1", {"Upgrade": "foo;websocket"}),
    "quoted": ("GET / HTTP/1.1", {"Upgrade": '"websocket"'}),
    "twice": ("GET / HTTP/1.0", {"Upgrade": "foo\r\nUpgrade: websocket"}),
    "no Connection": ("GET / HTTP/1.1", {"Connection": None}),
    "another Connection": ("GET / HTTP/1.1", {"Connection": "close"}),
    "no key": ("GET / HTTP/1.1", {"Sec-WebSocket-Key": None}),
    "a bad key": ("GET / HTTP/1.1", {"Sec-WebSocket-Key": "short"}),
    "two keys": ("GET / HTTP/1.1", {"Sec-WebSocket-Key": f"{HANDSHAKE_KEY}\r\nSec-WebSocket-Key: {HANDSHAKE_KEY}"}),
    "no version": ("GET / HTTP/1.1", {"Sec-WebSocket-Version": None}),
    "an old version": ("GET / HTTP/1.1", {"Sec-WebSocket-Version": "8"}),
    "a body": ("GET / HTTP/1.1", {"Content-Length": "2"}),
}


def said(line: str, changed: dict[str, str | None]) -> str:
    """A handshake with these headers changed, or taken out."""
    headers = {name: value for name, value in (FINE | changed).items() if value is not None}
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers.items()), "", ""])


def switch_gladly(talk) -> None:
    """101 to whatever names a WebSocket in its Upgrade, 200 to everything else."""
    read_head(talk)
    upgrades = [line for line in talk.received.lower().split(b"\r\n") if line.startswith(b"upgrade:")]
    if any(b"websocket" in line for line in upgrades):
        talk.socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        hold(talk)
    else:
        talk.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")


@pytest.fixture
def glad(raw_backend):
    return raw_backend([switch_gladly])


def front_with(proxy, backend, locations: str, more: str = "", http: str = ""):
    server = f"{http} server {{ listen 127.0.0.1:{{port:front}}; http2 on; {more}\n{locations} }}"
    return proxy(in_http(server), ports={"back": backend.port})


def reached(backend) -> list[bytes]:
    """The heads with an Upgrade for WebSockets that a backend has got."""
    heads = [talk.received.partition(b"\r\n\r\n")[0].lower() for talk in backend.conversations]
    return [head for head in heads if re.search(rb"\nupgrade:.*websocket", head)]


def asked(port: int, text: str) -> int:
    method = text.partition(" ")[0]
    with RawClient(port) as client:
        client.send(text + ("xx" if "\r\nContent-Length: 2\r\n" in text else ""))
        return client.response(method).status


@pytest.mark.parametrize("rule", RULES)
def test_a_handshake_that_is_none(proxy, glad, rule: str) -> None:
    """Each is 400 or 426 by itself, and none reaches the backend."""
    text = f"location / {{ {RULES[rule]} {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; }}"
    front = front_with(proxy, glad, text)
    found = {name: asked(front.port("front"), said(line, changed)) for name, (line, changed) in ODD.items()}
    assert {name: status for name, status in found.items() if status not in (400, 426)} == {}
    assert found["an old version"] == 426 and reached(glad) == []
    fine = asked(front.port("front"), said("GET / HTTP/1.1", {}))
    assert fine == (426 if rule == "off" else 101)
    assert asked(front.port("front"), "GET /page HTTP/1.1\r\nHost: a\r\n\r\n") == 200
    assert asked(front.port("front"), "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n") == 200


def test_without_rules_all_is_as_in_nginx(proxy, glad) -> None:
    front = front_with(proxy, glad, f"location / {{ {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; }}")
    assert asked(front.port("front"), said("GET / HTTP/1.0", {})) == 101


CONFIGURED = {
    "literally": 'proxy_set_header Upgrade websocket; proxy_set_header Connection "Upgrade";',
    "by a map": "proxy_set_header Upgrade $by_map; proxy_set_header Connection upgrade;",
    "by another header": "proxy_set_header upgrade $http_x_upgrade; proxy_set_header connection upgrade;",
    "by a variable": "set $to websocket; proxy_set_header Upgrade $to; proxy_set_header Connection upgrade;",
    "with another method": f"{NGINX} proxy_method GET;",
    "of few headers": NGINX + "proxy_pass_request_headers off; "
    "proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key; proxy_set_header Sec-WebSocket-Version 13;",
    "with a literal key": NGINX + f"proxy_set_header Sec-WebSocket-Key {HANDSHAKE_KEY};",
    "in HTTP/1.0": NGINX.replace("1.1", "1.0"),
}
MAP = "map $http_x_upgrade $by_map { default $http_upgrade; ~. websocket; }"


@pytest.mark.parametrize("rule", ["origins", "off", "max_message"])
@pytest.mark.parametrize("spelling", CONFIGURED)
def test_a_handshake_that_the_configuration_writes(proxy, glad, rule: str, spelling: str) -> None:
    text = f"location / {{ {RULES[rule]} {CONFIGURED[spelling]} proxy_pass http://127.0.0.1:{{port:back}}; }}"
    front = front_with(proxy, glad, text, http=MAP)
    port = front.port("front")
    plain = {"Upgrade": None, "Connection": None, "X-Upgrade": "websocket"}
    for line, changed in (
        ("GET / HTTP/1.0", {"X-Upgrade": "websocket"}),
        ("POST / HTTP/1.1", {"Content-Length": "0", "X-Upgrade": "websocket"}),
        ("GET / HTTP/1.1", {"Upgrade": "foo", "X-Upgrade": "websocket"}),
        ("GET / HTTP/1.1", plain),
    ):
        assert asked(port, said(line, changed)) in (200, 400, 426)
    with Http2Client(port) as client:
        of_http1 = ("Host", "Upgrade", "Connection")
        fields = [(name.lower(), value) for name, value in FINE.items() if name not in of_http1]
        assert client.get("/", *fields, ("x-upgrade", "websocket")).status in (200, 400, 426)
    assert reached(glad) == []


def test_origins_of_what_goes_out(proxy, glad) -> None:
    """A strange page gets 403, with whichever headers."""
    text = f"location / {{ {RULES['origins']} {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; }}"
    front = front_with(proxy, glad, text)
    strange = {"Origin": "https://evil.example"}
    assert asked(front.port("front"), said("GET / HTTP/1.1", strange)) == 403
    assert asked(front.port("front"), said("GET / HTTP/1.1", strange | {"Upgrade": "foo, WebSocket"})) == 403
    assert asked(front.port("front"), said("GET / HTTP/1.0", strange)) == 400
    assert reached(glad) == []


@pytest.mark.parametrize("wish", ["", "websocket auto;"])
def test_subprotocols_of_what_goes_out(proxy, glad, wish: str) -> None:
    """Whoever has written them: what the backend would be offered has to be listed."""
    text = f"location / {{ {wish} websocket_protocols good; {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; "
    front = front_with(proxy, glad, text + "proxy_set_header Sec-WebSocket-Protocol $arg_offered; }")
    assert asked(front.port("front"), said("GET /?offered=evil HTTP/1.1", {})) == 403
    assert asked(front.port("front"), said("GET /?offered=good,evil HTTP/1.1", {})) == 403
    assert reached(glad) == []
    assert asked(front.port("front"), said("GET /?offered=good HTTP/1.1", {})) in (101, 502)
    assert len(reached(glad)) == 1


WAYS = {
    "try_files": "location / { try_files /nothing @ruled; }",
    "try_files to a path": "location / { try_files /nothing /ruled/; }",
    "error_page": "location / { return 404; error_page 404 = @ruled; }",
    "error_page to a path": "location / { return 404; error_page 404 = /ruled/; }",
    "rewrite": "location / { rewrite ^ /ruled/ last; }",
    "index": "location / { root {dir}; index /ruled/; }",
    "if": "location / { if ($request_uri) { RULES proxy_pass http://127.0.0.1:{port:back}; } }",
    "limit_except": "location / { limit_except PUT { proxy_pass http://127.0.0.1:{port:back}; } }",
    "X-Accel-Redirect": "location / { proxy_pass http://127.0.0.1:{port:front}/accel; proxy_pass_request_headers off; "
    "proxy_set_header Upgrade ''; } location /accel { add_header X-Accel-Redirect /ruled/; return 200; }",
}


@pytest.mark.parametrize("rule", ["origins", "off"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_into_a_location(proxy, glad, way: str, rule: str) -> None:
    inside = f"{NGINX} proxy_pass http://127.0.0.1:{{port:back}};"
    locations = WAYS[way].replace("RULES ", "")
    ruled = f"location @ruled {{ {RULES[rule]} {inside} }} location /ruled/ {{ {RULES[rule]} {inside} }}"
    more = f"{RULES[rule]} {NGINX}" if way in ("if", "limit_except") else ""
    front = front_with(proxy, glad, f"{locations}\n{ruled}", more)
    for line in ("GET / HTTP/1.0", "POST / HTTP/1.1", "GET / HTTP/1.1"):
        changed = {"Origin": "https://evil.example", "Content-Length": "0" if "POST" in line else None}
        assert asked(front.port("front"), said(line, changed)) in (400, 403, 426)
    assert reached(glad) == []


@pytest.mark.parametrize("sorry", ["location @sorry {", f"location @sorry {{ {RULES['origins']}"])
@pytest.mark.parametrize("spelling", [NGINX, CONFIGURED["literally"]])
@pytest.mark.parametrize("wish", ["", "websocket auto;"])
def test_what_was_refused_stays_refused(proxy, glad, sorry: str, spelling: str, wish: str) -> None:
    """The page that says so is fetched as any page: the backend gets no handshake on the way there."""
    back = "proxy_pass http://127.0.0.1:{port:back};"
    ruled = f"location / {{ {RULES['origins']} error_page 400 403 = @sorry; {spelling} {back} }}"
    front = front_with(proxy, glad, f"{ruled} {sorry} {wish} {spelling} {back} }}")
    for line in ("GET / HTTP/1.0", "GET / HTTP/1.1"):
        assert asked(front.port("front"), said(line, {"Origin": "https://evil.example"})) in (200, 400)
    assert reached(glad) == []


def test_subrequests_ask_for_no_websocket(proxy, glad) -> None:
    """auth_request and mirror of a handshake go to a location with rules as ordinary requests."""
    back = "proxy_pass http://127.0.0.1:{port:back};"
    asking = "location / { auth_request /ask; mirror /copy; alias /; }"
    front = front_with(
        proxy, glad, f"{asking} location /ask {{ {back} }} location /copy {{ {back} }}", f"{RULES['origins']} {NGINX}"
    )
    asked(front.port("front"), said("GET / HTTP/1.0", {"Origin": "https://evil.example"}))
    eventually(lambda: glad.conversations)
    assert reached(glad) == []


def test_what_else_a_backend_switches_to(proxy, raw_backend) -> None:
    """A 101 to anything but a good handshake is a 502, whatever the backend believes."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
    backend = raw_backend([read_head, switched])
    back = "proxy_pass http://127.0.0.1:{port:back};"
    for rule in ("origins", "off", "max_frame"):
        front = front_with(proxy, backend, f"location / {{ {RULES[rule]} {NGINX} {back} }}")
        text = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
        assert asked(front.port("front"), text) == 502
        front.logged("101 Switching Protocols, but not to a good WebSocket handshake", name="error.log")


def test_a_good_one_is_carried_and_its_frames_are_judged(proxy, glad) -> None:
    text = f"location / {{ {RULES['max_message']} {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; }}"
    front = front_with(proxy, glad, text)
    with WireClient(front.port("front")) as client:
        client.send(masked(b"x" * 1025))
        assert client.answer_close() == 1009


def test_pings_go_by_what_was_answered(proxy, glad) -> None:
    """A ping forbids nothing, so nothing is refused for it; but who became a WebSocket is asked."""
    text = f"location / {{ websocket_ping 100ms; {NGINX} proxy_pass http://127.0.0.1:{{port:back}}; }}"
    front = front_with(proxy, glad, text)
    with RawClient(front.port("front")) as client:
        client.send(said("GET / HTTP/1.0", {}))
        assert client.response().status == 101
        assert client.recv_exactly(2) == b"\x89\x08"


SCGI = "scgi_pass 127.0.0.1:{port:back}; scgi_param REQUEST_METHOD GET;"


@pytest.mark.parametrize("family", ["scgi", "uwsgi"])
@pytest.mark.parametrize("rule", [*RULES, "auto"])
def test_gateways(proxy, raw_backend, family: str, rule: str) -> None:
    """What goes out as parameters is judged in the same way."""
    backend = raw_backend([lambda talk: talk.fill(), b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    pass_on = SCGI.replace("scgi", family) + f"{family}_param HTTP_CONNECTION upgrade;"
    front = front_with(proxy, backend, f"location / {{ {RULES.get(rule, 'websocket auto;')} {pass_on} }}")
    port = front.port("front")
    statuses = {name: asked(port, said(line, changed)) for name, (line, changed) in ODD.items()}
    if rule == "auto":
        assert statuses["HTTP/1.0"] == 200 and statuses["no key"] == 400
    else:
        assert {name: status for name, status in statuses.items() if status not in (400, 426)} == {}
    assert all(b"HTTP_UPGRADE" not in talk.received for talk in backend.conversations)
    if rule != "off":
        assert asked(port, said("GET / HTTP/1.1", {})) == 200
        assert b"HTTP_UPGRADE" in backend.conversations[-1].received


@pytest.mark.parametrize("wish", ["", "websocket auto;"])
def test_over_http2(proxy, ws_backend, wish: str) -> None:
    """An extended CONNECT (RFC 8441) is a handshake like others, and an ordinary request of HTTP/2 never is one."""
    back = f"{NGINX} proxy_pass http://127.0.0.1:{{port:back}};"
    wishes = {name: "" if name == "off" else wish for name in RULES}
    locations = "\n".join(f"location /{name} {{ {wishes[name]} {rule} {back} }}" for name, rule in RULES.items())
    front = front_with(proxy, ws_backend, locations, "http2_extended_connect on; location /auth { return 204; }")
    good, strange = ("origin", "https://good.example"), ("origin", "https://evil.example")
    offered, other = ("sec-websocket-protocol", "good"), ("sec-websocket-protocol", "evil")
    with Http2Client(front.port("front")) as client:

        def status(name: str, *more: tuple[str, str]) -> int:
            return client.head(client.websocket(f"/{name}", *more)).status

        assert status("off", good, offered) == 426
        assert status("origins", strange, offered) == 403 and status("origins", offered) == 403
        assert status("protocols", good, other) == 403 and status("protocols", good) == 403
        for name in RULES.keys() - {"off", "protocols"}:
            assert status(name, good) == 200, name
            without = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
            stream = client.open_with([*without, (":authority", "a"), (":path", f"/{name}"), good], ended=False)
            assert client.head(stream).status == 400, "there is no version"


def test_to_a_backend_of_http2(proxy, raw_backend) -> None:
    """Only a client's own handshake becomes an extended CONNECT; a bad one does not even reach the backend."""
    back = "proxy_http_version 2; proxy_pass http://127.0.0.1:{port:back};"
    backend = raw_backend([hold])
    for rule in ("origins", "off"):
        for spelling in (NGINX, CONFIGURED["literally"]):
            headers = spelling.replace("proxy_http_version 1.1;", "")
            text = f"location / {{ {RULES[rule]} {headers} {back} proxy_read_timeout 300ms; }}"
            front = front_with(proxy, backend, text)
            strange = {"Origin": "https://evil.example"}
            assert asked(front.port("front"), said("GET / HTTP/1.1", strange)) in (403, 426)
            assert asked(front.port("front"), said("GET / HTTP/1.0", strange)) in (502, 504), "an ordinary request"
    sent = b"".join(talk.received for talk in backend.conversations)
    assert b":protocol" not in sent and b"websocket" not in sent.replace(b"sec-websocket", b"")
