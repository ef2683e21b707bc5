"""The API of nginx's paid edition: a client library made for it drives it, and what is wrong changes nothing."""

import json
from contextlib import ExitStack

import pytest

from harness.backends import WebSocketEcho
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from penstock.process.asking import NobodyThere, ask_workers

FRONT = "worker_processes 2;\n" + in_http(
    """
    upstream app { zone app 64k; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two} max_conns=9; }
    server {
        listen 127.0.0.1:{port:front};
        server_name proxy.example;
        location / { websocket auto; proxy_pass http://app; add_header X-Peer $upstream_addr always; }
        location /api { api write=on; allow 127.0.0.1; deny all; }
        location /read { api; }
    }
    """
)


@pytest.fixture(scope="module")
def api():
    with ExitStack() as stack:
        backends = {name: stack.enter_context(WebSocketEcho(name)).port for name in ("one", "two", "three")}
        front = stack.enter_context(Proxy(FRONT, ports=backends, expect=['"api" is not protected']))
        eventually(lambda: _answering(front) == 2)
        yield front


def _answering(front) -> int:
    try:
        return len(ask_workers(f"{front.directory}/nginx.control", {"do": "upstreams"}))
    except NobodyThere:
        return 0


def ask(front, path: str, method: str = "GET", body: object = None, headers: dict | None = None):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = front.get(path, method=method, body=data, headers=headers)
    return answer.status, json.loads(answer.text)


def test_what_there_is(api) -> None:
    """Every object has the fields that version 9 documents, of the documented types, and none of another meaning."""
    assert ask(api, "/api/") == (200, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert ask(api, "/api/9/")[1] == ["nginx", "processes", "connections", "http", "stream"]
    assert ask(api, "/api/9/http")[1] == ["requests", "upstreams", "keyvals"]
    assert ask(api, "/api/9/processes") == (200, {"respawned": 0})
    nginx = ask(api, "/api/9/nginx")[1]
    assert (nginx["address"], nginx["generation"], nginx["pid"] in api.children()) == ("127.0.0.1", 1, True)
    assert nginx["load_timestamp"].endswith("Z")
    connections = ask(api, "/api/9/connections")[1]
    assert set(connections) == {"accepted", "dropped", "active", "idle"} and connections["active"] >= 1
    assert set(ask(api, "/api/9/http/requests")[1]) == {"total", "current"}
    app = ask(api, "/api/9/http/upstreams/")[1]["app"]
    assert app == ask(api, "/api/9/http/upstreams/app")[1] | {"peers": app["peers"]}
    assert (app["zone"], app["zombies"]) == ("app", 0)
    one, two = app["peers"]
    kinds = {
        "id": int, "server": str, "name": str, "backup": bool, "weight": int, "state": str, "active": int,
        "requests": int, "fails": int, "unavail": int,
    }  # fmt: skip
    assert {name: type(one[name]) for name in kinds} == kinds
    assert (one["server"], one["state"], two["max_conns"]) == (f"127.0.0.1:{api.ports['one']}", "up", 9)
    assert ask(api, "/api/9/http/upstreams?fields=")[1] == ["app"]
    assert ask(api, "/api/9/http/upstreams?fields=zone")[1] == {"app": {"zone": "app"}}
    assert ask(api, "/read/9/http/upstreams/app/servers/1")[1] == {
        "id": 1, "server": f"127.0.0.1:{api.ports['two']}", "weight": 1, "max_conns": 9, "max_fails": 1,
        "fail_timeout": "10s", "slow_start": "0s", "route": "", "backup": False, "down": False,
    }  # fmt: skip


def test_a_client_library_that_was_made_for_it(api) -> None:
    """nginxPlusAPI, by F5's architects, adds a server, drains it, puts it down and up, and removes it."""
    library = pytest.importorskip("nginxPlusAPI")
    upstreams = library.Client(f"http://127.0.0.1:{api.port()}").HTTPUpstreams
    three = f"127.0.0.1:{api.ports['three']}"
    added = upstreams.addServer("app", three, weight=5, max_fails=0)
    assert (added.id, added.server, added.weight) == (2, three, 5)
    assert [server.server for server in upstreams.getUpstreamServers("app")][-1] == three
    assert {peer.server: peer.state for peer in upstreams.getUpstream("app").peers}[three] == "up"
    assert three in {api.get("/").header("x-peer") for _ in range(10)}
    assert upstreams.setServerDrain("app", added.id).drain is True
    assert three not in {api.get("/").header("x-peer") for _ in range(10)}
    assert upstreams.getUpstream("app").peers[2].state == "draining"
    assert upstreams.setServerDown("app", added.id).down is True
    assert upstreams.setServerUp("app", added.id).down is False
    assert [server.server for server in upstreams.deleteServer("app", added.id)] == [
        f"127.0.0.1:{api.ports[name]}" for name in ("one", "two")
    ]
    assert upstreams.getUpstreamServer("app", added.id).error.code == "UpstreamServerNotFound"
    assert list(vars(upstreams.getAllUpstreams())) == ["app"]


def test_what_is_wrong_changes_nothing_and_says_why(api) -> None:
    before = ask(api, "/api/9/http/upstreams/app/servers")[1]
    servers = "/api/9/http/upstreams/app/servers"
    taken = before[0]["server"]
    for method, path, body, status, code in [
        ("GET", "/api/10/nginx", None, 404, "UnknownVersion"),
        ("GET", "/api/x", None, 404, "UnknownVersion"),
        ("GET", "/api/9/mail", None, 404, "PathNotFound"),
        ("GET", "/api/9/http/upstreams/none", None, 404, "UpstreamNotFound"),
        ("GET", f"{servers}/9", None, 404, "UpstreamServerNotFound"),
        ("GET", f"{servers}/x", None, 400, "UpstreamBadServerId"),
        ("PUT", servers, {}, 405, "MethodDisabled"),
        ("DELETE", "/api/9/connections", None, 405, "MethodDisabled"),
        ("POST", "/read/9/http/upstreams/app/servers", {"server": "10.0.0.1"}, 405, "MethodDisabled"),
        ("POST", servers, b"{", 415, "JsonError"),
        ("POST", servers, b"[" * 60000, 415, "JsonError"),
        ("POST", servers, [1], 415, "JsonError"),
        ("POST", servers, b"{" + b" " * 70000 + b"}", 413, "BodyReadError"),
        ("POST", servers, {}, 400, "UpstreamConfFormatError"),
        ("POST", servers, {"server": "10.0.0.1", "weight": {}}, 400, "UpstreamConfFormatError"),
        ("POST", servers, {"server": "10.0.0.1", "colour": 1}, 400, "UpstreamConfFormatError"),
        ("POST", servers, {"server": "10.0.0.1:99999"}, 400, "UpstreamBadAddress"),
        ("POST", servers, {"server": "app.example"}, 400, "UpstreamConfNoResolver"),
        ("POST", servers, {"server": "10.0.0.1", "weight": 0}, 400, "UpstreamBadWeight"),
        ("POST", servers, {"server": "10.0.0.1", "max_conns": -1}, 400, "UpstreamBadMaxConns"),
        ("POST", servers, {"server": "10.0.0.1", "max_fails": True}, 400, "UpstreamBadMaxFails"),
        ("POST", servers, {"server": "10.0.0.1", "fail_timeout": "soon"}, 400, "UpstreamBadFailTimeout"),
        ("POST", servers, {"server": "10.0.0.1", "route": "x" * 33}, 400, "UpstreamBadRoute"),
        ("POST", servers, {"server": "10.0.0.1", "route": "a;b"}, 400, "UpstreamBadRoute"),
        ("POST", servers, {"server": "10.0.0.1", "backup": True}, 400, "UpstreamNoBackup"),
        ("POST", servers, {"server": taken}, 409, "EntryExists"),
        ("PATCH", f"{servers}/0", {"server": "10.0.0.9:1"}, 400, "UpstreamServerImmutable"),
        ("PATCH", f"{servers}/0", {"backup": True}, 400, "UpstreamConfFormatError"),
        ("PATCH", f"{servers}/9", {"down": True}, 404, "UpstreamServerNotFound"),
        ("DELETE", f"{servers}/9", None, 404, "UpstreamServerNotFound"),
    ]:
        found = ask(api, path, method, body)
        assert (found[0], found[1]["error"]["code"]) == (status, code), (method, path, body, found)
        assert found[1]["error"]["status"] == status and found[1]["error"]["text"]
        assert len(found[1]["request_id"]) == 32 and found[1]["href"].startswith("https://nginx.org/")
    assert ask(api, servers)[1] == before


def test_another_site_s_page_gets_nothing(api) -> None:
    front = api.port()
    change = "/api/9/http/upstreams/app/servers/0"
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{front + 1}"},
        {"Origin": "http://evil.example", "Host": "evil.example"},  # a name of its own that leads here
        {"Sec-Fetch-Site": "same-origin", "Host": "evil.example"},
    ):
        for method, body in (("PATCH", {"down": True}), ("GET", None)):
            status, found = ask(api, change, method, body, headers)
            assert (status, found["error"]["code"]) == (403, "Forbidden"), headers
    for headers in (
        {"Origin": f"http://127.0.0.1:{front}", "Sec-Fetch-Site": "same-origin", "Host": f"127.0.0.1:{front}"},
        {"Origin": "http://proxy.example", "Host": "proxy.example"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert ask(api, change, "GET", None, headers)[0] == 200, headers
    assert not ask(api, change)[1]["down"]


def test_the_start_says_that_it_is_not_protected(api) -> None:
    log = api.error_log()
    assert log.count('"api" is not protected') == 1 and "may see what goes on here" in log
