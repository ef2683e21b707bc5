"""Servers are set, drained, added and removed while the proxy runs: in all workers at once, and over reloads."""

import io
import json
import os
import signal
from contextlib import ExitStack, redirect_stderr, redirect_stdout

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from penstock.cli.main import main
from penstock.process.asking import NobodyThere, ask_workers

FRONT = "worker_processes {value:workers};\n" + in_http(
    """
    upstream app {
        {value:zone}
        server 127.0.0.1:{port:one};
        server 127.0.0.1:{port:two};
    }
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://app; add_header X-Peer $upstream_addr always; }
    }
    """
)


@pytest.fixture(params=[(1, ""), (4, ""), (4, "zone app 64k;")], ids=["one", "four", "four-zone"])
def front(request):
    workers, zone = request.param
    with ExitStack() as stack:
        backends = {name: stack.enter_context(WebSocketEcho(name)).port for name in ("one", "two", "three")}
        values = {"workers": workers, "zone": zone}
        expected = ["exited on signal 9"]
        made = stack.enter_context(Proxy(FRONT, ports=backends, values=values, expect=expected))
        eventually(lambda: answering(made) == workers)
        yield made


def penstock(front, *arguments: str, code: int = 0) -> str:
    """What a command of the command line says."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        ended = main([arguments[0], "--socket", f"{front.directory}/nginx.control", *arguments[1:]])
    assert ended == code, said.getvalue()
    return said.getvalue()


def peers(front) -> dict[str, dict]:
    (app,) = json.loads(penstock(front, "upstreams", "--json"))
    return {peer["name"].rpartition(":")[2]: peer for peer in app["peers"]}


def answering(front) -> int:
    """How many workers answer by their sockets."""
    try:
        return len(ask_workers(f"{front.directory}/nginx.control", {"do": "upstreams"}))
    except NobodyThere:
        return 0


def used(front, count: int = 24) -> set[str]:
    """The ports that so many tunnels, on connections of their own, are opened to."""
    found = set()
    for _ in range(count):
        with connect(front.url("/", "ws"), proxy=None) as client:
            found.add(client.response.headers["X-Peer"].rpartition(":")[2])
    return found


def test_drain_and_back(front) -> None:
    one, two = (str(front.ports[name]) for name in ("one", "two"))
    with ExitStack() as stack:
        held = [stack.enter_context(connect(front.url("/", "ws"), proxy=None)) for _ in range(6)]
        assert used(front) == {one, two}
        words = penstock(front, "drain", f"127.0.0.1:{one}")
        assert words == f"app/127.0.0.1:{one} gets nothing new\n"
        assert used(front) == {two}, "from the moment on at which the command has ended"
        state = peers(front)[one]
        assert (state["state"], state["drain"], state["set"]) == ("draining", True, True)
        assert state["since"] < 30
        for client in held:
            client.send("still")
            assert client.recv(20) == "still"
        assert state["tunnels"] + peers(front)[two]["tunnels"] == 6
        penstock(front, "drain", f"app/127.0.0.1:{one}", "--undo")
        assert used(front) == {one, two}
        assert not peers(front)[one]["set"]


def test_a_drain_with_spread_sends_its_tunnels_away(front) -> None:
    one = str(front.ports["one"])
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(front.url("/", "ws"), proxy=None)) for _ in range(8)]
        drained(front, one, clients)


def drained(front, one: str, clients: list) -> None:
    mine = [client for client in clients if client.response.headers["X-Peer"].endswith(one)]
    others = [client for client in clients if client not in mine]
    assert mine and others
    words = penstock(front, "drain", f"app/127.0.0.1:{one}", "--spread", "300ms")
    assert f"{len(mine)} tunnel" in words and "closed with 1012 within 0.3s" in words
    for client in mine:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    for client in others:
        client.send("still")
        assert client.recv(20) == "still"


def test_set_add_remove_and_a_reload(front) -> None:
    one, two, three = (str(front.ports[name]) for name in ("one", "two", "three"))
    penstock(front, "upstreams", "add", "app", f"127.0.0.1:{three}", "weight=2")
    assert used(front) == {one, two, three}
    penstock(front, "upstreams", "set", f"app/127.0.0.1:{one}", "down")
    penstock(front, "upstreams", "remove", f"127.0.0.1:{two}")
    assert used(front) == {three}
    before = peers(front)
    front.reload()
    assert used(front) == {three}, "what was set survives a reload"
    after = peers(front)
    assert after.keys() == before.keys() == {one, three}
    assert [after[port]["id"] for port in (one, three)] == [before[port]["id"] for port in (one, three)] == [0, 2]
    assert (after[one]["state"], after[three]["weight"], after[three]["added"]) == ("down", 2, True)
    victim = next(iter(front.children()))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in front.children() and answering(front) == len(front.children()) > 0)
    assert used(front) == {three}, "also for a worker that begins later"
    penstock(front, "upstreams", "add", "app", f"127.0.0.1:{two}")
    penstock(front, "upstreams", "set", f"app/127.0.0.1:{one}", "up")
    assert used(front) == {one, two, three}
    penstock(front, "upstreams", "reset", "app")
    assert used(front) == {one, two}


@pytest.mark.parametrize("front", [(2, "")], indirect=True, ids=["two"])
def test_what_is_refused_changes_nothing(front) -> None:
    one = f"127.0.0.1:{front.ports['one']}"
    before = {port: peer["weight"] for port, peer in peers(front).items()}
    for arguments, code, words in [
        (("upstreams", "set", one, "weight=0"), 1, 'invalid "weight"'),
        (("upstreams", "set", one, "colour=red"), 1, 'unknown parameter "colour"'),
        (("upstreams", "set", one, "sideways"), 2, "is no parameter"),
        (("upstreams", "set", one), 2, "takes a server and parameters"),
        (("upstreams", "set", "10.9.9.9", "down"), 2, "there is no server 10.9.9.9; there are: app/127.0.0.1"),
        (("upstreams", "add", "app", one), 1, "entry exists"),
        (("upstreams", "add", "app", "host.example"), 1, "give an address"),
        (("upstreams", "add", "app", "127.0.0.1:http"), 1, "invalid port"),
        (("upstreams", "add", "nobody", "127.0.0.1"), 1, "upstream not found"),
        (("upstreams", "add", "app", "127.0.0.1", "backup"), 1, "has no backup"),
        (("drain", "10.9.9.9"), 2, "there is no server"),
        (("drain", one, "--undo", "--spread", "1s"), 2, "--undo closes nothing"),
        (("drain", one, "--spread", "soon"), 2, "is no time"),
    ]:
        assert words in penstock(front, *arguments, code=code), arguments
    assert {port: peer["weight"] for port, peer in peers(front).items()} == before
    table = penstock(front, "upstreams")
    assert table.splitlines()[0].startswith("app: 2 servers, 0 tunnels")
    assert one in table


KEPT = in_http(
    """
    upstream app { zone app 64k; state app.servers; }
    server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://app; add_header X-Peer $upstream_addr; } }
    """
)


def test_servers_in_a_file_are_there_after_a_restart(http_backend) -> None:
    back = f"127.0.0.1:{http_backend.port}"
    with Proxy(KEPT, expect=["no live upstreams"]) as front:
        eventually(lambda: answering(front) == 1)
        assert front.get("/").status == 502
        penstock(front, "upstreams", "add", "app", back, "weight=3")
        penstock(front, "upstreams", "add", "app", "127.0.0.1:1", "down")
        assert front.get("/").header("x-peer") == back
        file = front.directory / "app.servers"
        assert file.read_text() == f"server {back} weight=3;\nserver 127.0.0.1:1 down;\n"
        front.reload()
        assert {peer["name"]: peer["state"] for peer in peers(front).values()} == {back: "up", "127.0.0.1:1": "down"}
        penstock(front, "upstreams", "remove", "app/127.0.0.1:1")
        assert file.read_text() == f"server {back} weight=3;\n"
        front.stop()
        front.start()
        eventually(lambda: answering(front) == 1)
        assert front.get("/").header("x-peer") == back
        assert [(peer["name"], peer["weight"]) for peer in peers(front).values()] == [(back, 3)]
        folder = front.directory / "app.servers"
        folder.unlink()
        folder.mkdir()  # now it can not be written
        assert "open()" in penstock(front, "upstreams", "set", back, "weight=9", code=1)
        assert [peer["weight"] for peer in peers(front).values()] == [3], "nothing has changed"
        folder.rmdir()
