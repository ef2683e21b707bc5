"""What is open can be seen and closed: penstock tunnels, status, metrics; two workers, real clients."""

import io
import json
import os
import signal
import stat
import subprocess
import time
from contextlib import ExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.binary import installed
from harness.programs import run
from harness.proxy import Proxy, in_http
from harness.raw import RawClient
from harness.waiting import eventually
from penstock.cli.tunnels.watch import TunnelScreen, sparkline, watch

FRONT = "worker_processes 2;\n" + in_http(
    """
    server {
        listen 127.0.0.1:{port:front} reuseport;
        server_name chat.example;
        websocket auto;
        websocket_ping 200ms to=client;
        location /a { proxy_pass http://127.0.0.1:{port:one}; }
        location /b { proxy_pass http://127.0.0.1:{port:two}; }
        location /raw { websocket off; proxy_pass http://127.0.0.1:{port:two}; }
        location /none { return 404; }
        location /status { status; status_tunnels 5; }
        location /metrics { metrics; }
    }
    """
)


@pytest.fixture
def two(ws_backend):
    with WebSocketEcho("two") as second, ExitStack() as stack:
        front = stack.enter_context(Proxy(FRONT, ports={"one": ws_backend.port, "two": second.port}))
        yield front, stack


def opened(front, stack, path: str, count: int) -> list:
    clients = [stack.enter_context(connect(front.url(path, "ws"), proxy=None)) for _ in range(count)]
    for client in clients:
        client.send("hello")
        assert client.recv(20) == "hello"
    return clients


def tunnels(front, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*installed().command, "tunnels", "--socket", f"{front.directory}/nginx.control"]
    return run([*command, *arguments])


def listed(front, *arguments: str) -> dict:
    done = tunnels(front, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def figures(front) -> dict[tuple[str, ...], float]:
    answer = front.get("/metrics")
    assert answer.status == 200 and answer.header("content-type").startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name.removeprefix("penstock_"), *sample.labels.values()] = sample.value
    return found


def test_tunnels_of_two_workers(two) -> None:
    front, stack = two
    folder = front.directory / "nginx.control"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in folder.iterdir())
    opened(front, stack, "/a", 8)
    opened(front, stack, "/b", 4)
    found = listed(front)
    assert set(found["workers"]) == front.children()
    assert (found["open"], found["matched"], len(found["tunnels"])) == (12, 12, 12)
    ages = [each["age"] for each in found["tunnels"]]
    assert ages == sorted(ages, reverse=True)
    one = next(each for each in found["tunnels"] if each["location"] == "/a")
    assert (one["client"], one["server"], one["state"]) == ("127.0.0.1", "chat.example", "open")
    assert one["peer"] == f"127.0.0.1:{front.ports['one']}"
    assert (one["messages_in"], one["messages_out"], one["compressed"]) == (1, 1, True)
    assert (one["stage"], one["flow_in"], one["flow_out"]) == ("open", "flowing", "flowing")
    assert one["bytes_in"] > one["bytes_out"] > 0
    for arguments, count in [
        (("--peer", f"127.0.0.1:{front.ports['two']}"), 4),
        (("--peer", "127.0.0.1"), 12),
        (("--location", "/a", "--client", "127.0.0.0/8"), 8),
        (("--client", "10.0.0.1"), 0),
        (("--server", "other.example"), 0),
        (("--id", one["id"]), 1),
        (("--older", "1h"), 0),
        (("--older", "1ms"), 12),
        (("--idle", "1h"), 0),
        (("--state", "closing"), 0),
    ]:
        assert listed(front, *arguments)["matched"] == count, arguments
    limited = listed(front, "--limit", "3")
    assert (limited["matched"], len(limited["tunnels"])) == (12, 3)
    table = tunnels(front).stdout.splitlines()
    assert table[0].split()[:6] == ["ID", "KIND", "CLIENT", "SERVER", "LOCATION", "PEER"]
    assert len(table) == 14 and table[-1] == "12 open in 2 workers"


def test_close_with_a_code_spread_over_a_while(two) -> None:
    front, stack = two
    leaving = opened(front, stack, "/a", 12)
    staying = opened(front, stack, "/b", 2)
    began = time.monotonic()
    peer = f"127.0.0.1:{front.ports['one']}"
    done = tunnels(front, "close", "--peer", peer, "--code", "1012", "--reason", "müde", "--spread", "1500ms")
    assert (done.returncode, done.stdout) == (0, "12 tunnels are closed with 1012 within 1.5s\n")
    gone = []
    for client in leaving:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "müde")
        gone.append(time.monotonic() - began)
    assert max(gone) > 0.7, "not all at once"
    for client in staying:
        client.send("still")
        assert client.recv(20) == "still"
    assert eventually(lambda: listed(front)["open"] == 2)
    assert tunnels(front, "close", "--peer", peer).returncode == 1
    eventually(lambda: figures(front).get(("tunnels_closed_total", "proxy", "1012")) == 12)
    assert figures(front)["tunnel_ends_total", "killed"] == 12


def test_what_makes_no_sense(two) -> None:
    front, _ = two
    for arguments, words in [
        (("close",), "say which tunnels to close"),
        (("close", "--all", "--code", "1006"), "1006 is no close code that a proxy sends"),
        (("--idle", "soon"), '"soon" is no time'),
        (("--client", "nowhere"), "nowhere"),
        (("open",), "invalid choice"),
        (("--watch",), "--watch needs a terminal"),
    ]:
        done = tunnels(front, *arguments)
        assert done.returncode == 2 and words in done.stderr, done
    command = [*installed().command, "tunnels", "-c", f"{front.directory}/nginx.conf", "-p"]
    gone = run([*command, f"{front.directory}/elsewhere/"])
    assert gone.returncode == 3 and "control" in gone.stderr


def test_the_folder_is_found_and_taken_away(proxy, ws_backend) -> None:
    text = "control_socket here/it;\n" + FRONT
    (front,) = [Proxy(text, ports={"one": ws_backend.port, "two": ws_backend.port}, files={"here/x": ""})]
    with front:
        command = [*installed().command, "tunnels", "-c", f"{front.directory}/nginx.conf"]
        # Workers make their sockets when they have begun.
        eventually(lambda: run([*command, "-p", str(front.directory)]).stdout == "0 open in 2 workers\n")
        front.reload(text.replace("here/it", "elsewhere"))
        front.logged("the control sockets go where .* with the next start", name="error.log")
        assert eventually(lambda: len(list((front.directory / "here/it").iterdir())) == 2)
        assert not (front.directory / "elsewhere").exists()
        front.stop()
        assert not (front.directory / "here/it").exists()
    off = proxy("control_socket off;\n" + FRONT, ports={"one": 1, "two": 1})
    assert not (off.directory / "nginx.control").exists()
    assert "control_socket is off" in json.loads(off.get("/status").text)["note"]


def test_a_folder_that_is_somebody_else_s_is_left_alone(proxy, ws_backend, tmp_path) -> None:
    if os.geteuid():
        pytest.skip("only root can give folders away")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "theirs").mkdir(mode=0o755)
    os.chown(tmp_path / "theirs", 4321, 4321)
    for name in ("link", "theirs"):
        text = f"control_socket {tmp_path}/{name};\n{FRONT}"
        front = proxy(text, ports={"one": 1, "two": 1})
        front.logged("no control socket: ", name="error.log")
        assert front.get("/none").status == 404
    assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o755
    assert not list((tmp_path / "theirs").iterdir())


def test_tunnels_stay_visible_over_a_reload(two) -> None:
    front, stack = two
    clients = opened(front, stack, "/a", 4)
    front.reload()
    eventually(lambda: listed(front)["open"] == 4)
    opened(front, stack, "/b", 2)
    assert listed(front)["open"] == 6
    assert eventually(lambda: figures(front)["tunnels_open",] == 6)
    for client in clients:
        client.send("still")
        assert client.recv(20) == "still"


def test_tunnels_of_a_program_that_took_over_another_s_place(two) -> None:
    front, stack = two
    clients = opened(front, stack, "/a", 4)
    old, pid_file = front.pid, front.directory / "nginx.pid"
    front.send_signal(signal.SIGUSR2)
    front.successor(old, 2)
    try:
        assert eventually(lambda: len(listed(front)["workers"]) == 4)
        assert listed(front)["matched"] == 4
        os.kill(old, signal.SIGQUIT)
        assert eventually(lambda: len(listed(front)["workers"]) == 2)
        entry = listed(front, "--location", "/a", "--client", "127.0.0.1", "--server", "chat.example")["tunnels"][0]
        assert (entry["messages_in"], entry["peer"]) == (1, f"127.0.0.1:{front.ports['one']}")
        for client in clients:
            client.send("more")
            assert client.recv(20) == "more"
        assert eventually(lambda: figures(front)["tunnel_messages_total", "in"] == 4), "what flowed here"
        assert tunnels(front, "close", "--location", "/a", "--code", "4000").returncode == 0
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(20)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000
    finally:
        new = front.pid
        if new != old:
            os.kill(new, signal.SIGTERM)
        eventually(lambda: not pid_file.exists())


def test_status(two) -> None:
    front, stack = two
    opened(front, stack, "/a", 7)
    answer = front.get("/status")
    assert (answer.header("content-type"), answer.header("cache-control")) == ("application/json", "no-store")
    found = json.loads(answer.text)
    assert set(found["workers"]) == front.children()
    assert (found["tunnels"]["open"], len(found["tunnels"]["listed"])) == (7, 5), "status_tunnels bounds it"
    pages = [json.loads(front.get(f"/status?limit=3&offset={at}").text)["tunnels"]["listed"] for at in (0, 3, 6)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len({entry["id"] for page in pages for entry in page}) == 7
    assert json.loads(front.get("/status?location=/b").text)["tunnels"]["matched"] == 0
    assert front.get("/status?nonsense=1").status == 400
    assert front.get("/status?limit=x").status == 400
    assert front.get("/status", method="POST").status == 405
    page = front.get("/status", {"Accept": "text/html,*/*"})
    assert page.header("content-type") == "text/html" and "7 tunnels open" in page.text


def test_metrics_equal_what_clients_did(two) -> None:
    front, stack = two
    clients = opened(front, stack, "/a", 6) + opened(front, stack, "/b", 3)
    for number, client in enumerate(clients):
        for _ in range(number):
            client.send("x" * 200)
            client.recv(20)
    messages = 9 + sum(range(9))
    eventually(lambda: figures(front)["tunnel_messages_total", "in"] == messages)
    now = figures(front)
    assert now["tunnel_messages_total", "out"] == messages
    assert (now["tunnels_open",], now["tunnels_opened_total",], now["workers",]) == (9, 9, 2)
    assert now["handshake_seconds_count",] == 9
    assert 0 < now["handshake_seconds_sum",] < 20
    entries = listed(front)["tunnels"]
    # Pings go on meanwhile: bytes only grow.
    assert 0 < now["tunnel_bytes_total", "out"] <= sum(entry["bytes_out"] for entry in entries)
    eventually(lambda: figures(front)["ping_seconds_count",] > 0)
    for client in clients[:4]:
        client.close(4001)
    for client in clients[4:6]:
        client.send("close 3999")
        with pytest.raises(ConnectionClosed):
            client.recv(20)
    RawClient(front.port()).send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n").response()
    with pytest.raises(Exception, match="HTTP 404"):
        connect(front.url("/none", "ws"), proxy=None)
    eventually(lambda: figures(front)["tunnels_open",] == 3)
    now = figures(front)
    assert now["tunnels_closed_total", "client", "4xxx"] == 4
    assert now["tunnels_closed_total", "backend", "3xxx"] == 2
    assert now["tunnel_ends_total", "closed"] == 6
    assert now["tunnel_duration_seconds_count",] == 6
    assert now["handshakes_refused_total", "4xx"] == 1
    assert now["http_requests_total", "4xx"] == 2, "tunnels are not among them"
    before = now["tunnel_messages_total", "in"]
    os.kill(min(front.children()), 9)
    front.expect = (*front.expect, "exited on signal 9")
    eventually(lambda: figures(front)["workers",] == 2)
    assert figures(front)["tunnels_opened_total",] == 9, "what a dead worker did is not forgotten"
    assert figures(front)["tunnel_messages_total", "in"] >= before


def test_metrics_that_come_with_a_reload(proxy, ws_backend) -> None:
    ports = {"one": ws_backend.port, "two": ws_backend.port}
    front = proxy(FRONT.replace("{ metrics; }", "{ return 404; }"), ports=ports)
    with ExitStack() as stack:
        opened(front, stack, "/a", 4)
        front.reload(FRONT)
        front.logged("configuration 2 is in force", name="error.log")
        assert eventually(lambda: (figures(front)["tunnels_open",], figures(front)["workers",]) == (4, 2))
        opened(front, stack, "/a", 4)
        assert eventually(lambda: figures(front)["tunnel_messages_total", "in"] == 8)
        front.reload(FRONT + "\n")
        front.logged("configuration 3 is in force", name="error.log")
        opened(front, stack, "/a", 1)
        assert eventually(lambda: figures(front)["tunnels_opened_total",] == 5), "figures go on over a reload"


def test_the_screen(two) -> None:
    front, stack = two
    clients = opened(front, stack, "/a", 3)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160, height=24, legacy_windows=False)
    for client in clients:
        client.send("x" * 5000)
    question = {"do": "tunnels", "select": {}, "limit": 100}
    assert watch(str(front.directory / "nginx.control"), question, 0.1, looks=3, console=console) == 0
    drawn = out.getvalue()
    assert "3 open in 2 workers" in drawn and "chat.example" in drawn and "TRAFFIC" in drawn


def test_sparklines_and_trouble() -> None:
    assert sparkline([0, 0], 5) == "▁▁"
    assert sparkline([1, 4, 8], 2) == "▄█"
    seen = TunnelScreen()
    seen.trouble = "nobody there"
    out = io.StringIO()
    Console(file=out, width=100, height=20).print(seen.screen(20))
    assert "nobody there" in out.getvalue()
