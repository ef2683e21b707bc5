"""`penstock proxy` and `penstock init` as people use them: processes, real clients, nginx beside."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import HttpEcho, WebSocketEcho
from harness.ports import free_port
from harness.programs import start
from harness.proxy_command import PENSTOCK, Running, running, say
from harness.raw import RawClient, Response
from harness.waiting import eventually
from penstock.cli.check import check
from penstock.cli.init import init

# Another Penstock may run here, as on any user's machine, and would be found first.
ON_A_MACHINE_OF_ITS_OWN = """
import sys
from penstock.cli import main, paths
paths.SYSTEM_PREFIXES = ()
sys.exit(main.main())
"""


def get(port: int, target: str = "/", *headers: str, tls: ssl.SSLContext | None = None) -> Response:
    lines = [f"GET {target} HTTP/1.1", f"Host: localhost:{port}", "Connection: close", *headers, "", ""]
    with RawClient(port, tls=tls) as client:
        return client.send("\r\n".join(lines)).response()


def seen(response: Response) -> dict:
    return json.loads(response.body)


# It runs


def test_from_nothing_to_a_websocket_and_back(ws_backend) -> None:
    port = free_port()
    with running("--from", f"localhost:{port}", "--to", f"localhost:{ws_backend.port}") as proxy:
        with connect(f"ws://localhost:{port}/chat?room=1", origin=f"http://localhost:{port}") as client:
            client.send("hello")
            assert client.recv(20) == "hello"
        path, headers = ws_backend.handshakes[0]
        assert path == "/chat?room=1"
        assert headers["Host"] == f"localhost:{port}"
        assert headers["X-Forwarded-Proto"] == "http"
        eventually(lambda: "WebSocket /chat?room=1" in proxy.output, why=proxy.output)
        assert f"http://localhost:{port}/" in proxy.output


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder for temporary files that the workers' user may enter, as /tmp is."""
    with TemporaryDirectory(prefix="penstock-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_its_tunnels_are_found(ws_backend, shared_folder) -> None:
    """Without a word about where it is; of several, one has to be said."""
    ports = [free_port(), free_port()]
    to = ["--to", str(ws_backend.port)]
    place = {"environment": {"TMPDIR": str(shared_folder)}, "cwd": shared_folder}

    def tunnels(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TMPDIR": str(shared_folder)}
        command = [sys.executable, "-c", ON_A_MACHINE_OF_ITS_OWN, "tunnels", *arguments]
        return subprocess.run(command, cwd=shared_folder, env=environment, capture_output=True, text=True, timeout=30)

    assert tunnels().returncode == 3
    with ExitStack() as stack:
        stack.enter_context(running("--from", f"localhost:{ports[0]}", *to, **place))
        with connect(f"ws://localhost:{ports[0]}/chat", proxy=None) as client:
            client.send("hello")
            client.recv(20)
            shown = tunnels("--json")
            assert shown.returncode == 0, shown.stderr
            (entry,) = json.loads(shown.stdout)["tunnels"]
            assert (entry["location"], entry["messages_in"]) == ("/", 1)
            with running("--from", f"localhost:{ports[1]}", *to, **place):
                asked = tunnels("close", "--all")
                assert asked.returncode == 2 and "several proxies run here" in asked.stderr
                choices = [line.split()[1] for line in asked.stderr.splitlines() if "--socket" in line]
                assert len(choices) == 2 and f"penstock proxy --from localhost:{ports[1]}" in asked.stderr
                counts = sorted(tunnels("--socket", each).stdout.splitlines()[-1] for each in choices)
                assert [line.split(" in ")[0] for line in counts] == ["0 open", "1 open"]
            assert tunnels("close", "--all", "--code", "1012").returncode == 0
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(20)
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 1012


def test_ctrl_c_tells_open_tunnels(ws_backend) -> None:
    port = free_port()
    with running("--from", f"localhost:{port}", "--to", str(ws_backend.port)) as proxy:
        with connect(f"ws://localhost:{port}/") as client:
            client.send("hello")
            client.recv(20)
            os.killpg(proxy.process.pid, signal.SIGINT)
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(20)
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1001
        assert proxy.process.wait(10) == 0


def test_a_second_ctrl_c_does_not_wait(raw_backend) -> None:
    """A client that never says goodbye holds up the first one."""
    from harness.backends.scripted import hold, read_head

    server = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", hold])
    port = free_port()
    with running("--from", f"localhost:{port}", "--to", str(server.port)) as proxy, RawClient(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(b"\r\n\r\n")
        os.killpg(proxy.process.pid, signal.SIGINT)
        eventually(lambda: "Ctrl-C again" in proxy.output)
        os.killpg(proxy.process.pid, signal.SIGINT)
        assert proxy.process.wait(10) == 0


def test_it_does_not_outlive_its_parent(http_backend, tmp_path) -> None:
    port = free_port()
    tmp_path.chmod(0o711)
    where = {"TMPDIR": str(tmp_path)}
    proxy = Running("--from", f"localhost:{port}", "--to", str(http_backend.port), environment=where)
    proxy.ready()
    assert get(port).status == 200
    assert len(list(tmp_path.iterdir())) == 1
    proxy.process.kill()
    proxy.process.wait()
    eventually(lambda: not listens(port), why="the port is free again")
    eventually(lambda: not list(tmp_path.iterdir()), why="nothing is left of it")


def listens(port: int) -> bool:
    try:
        RawClient(port, 1).close()
    except OSError:
        return False
    return True


def test_a_port_that_is_taken(http_backend) -> None:
    done = say("proxy", "--from", f"localhost:{http_backend.port}", "--to", "3000")
    assert done.returncode == 1
    # The tests' own process has it, and this user sees its descriptors.
    assert f"port {http_backend.port} is taken by process {os.getpid()} (" in done.stderr


def test_nothing_behind_it_yet() -> None:
    port, behind = free_port(), free_port()
    with running("--from", f"localhost:{port}", "--to", f"localhost:{behind}") as proxy:
        assert f"Nothing listens at localhost:{behind} yet" in proxy.output
        assert get(port).status == 502
        with HttpEcho(port=behind):
            eventually(lambda: get(port).status == 200, 15, every=0.3)


def test_under_a_service_manager(http_backend) -> None:
    """Its standard output is a socket, which cannot be opened by a name."""
    ours, theirs = socket.socketpair()
    port = free_port()
    with ours, theirs:
        ours.settimeout(15)
        command = [*PENSTOCK, "proxy", "--from", f"localhost:{port}", "--to", str(http_backend.port)]
        process = start(command, stdout=theirs.fileno(), stderr=theirs.fileno(), stdin=subprocess.DEVNULL)
        try:
            said = b""
            while b"Ctrl-C" not in said:
                said += ours.recv(65536)
            assert get(port, "/here").status == 200
            while b"200  GET /here" not in said:
                said += ours.recv(65536)
        finally:
            process.terminate()
            assert process.wait(15) == 0


def test_uploads_and_paths(http_backend) -> None:
    port = free_port()
    with (
        HttpEcho() as other,
        running(
            "--from",
            f"localhost:{port}",
            "--to",
            str(http_backend.port),
            "--path",
            f"/api=localhost:{other.port}",
            "--path",
            f"/bare/=localhost:{other.port}/",
        ),
    ):
        body = b"x" * 3_000_000
        with RawClient(port, 20) as client:
            head = f"POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            assert client.send(head.encode() + body).response().status == 200
        assert get(port, "/api/x").status == 200
        assert [request.target for request in other.requests] == ["/api/x"]
        assert get(port, "/bare/y").status == 200
        assert other.requests[-1].target == "/y"
        assert [request.target for request in http_backend.requests] == ["/up"]


def test_several_are_balanced_and_sticky_when_told() -> None:
    port = free_port()
    with ExitStack() as stack:
        backends = [stack.enter_context(HttpEcho()) for _ in range(3)]
        to = [word for backend in backends for word in ("--to", str(backend.port))]
        with running("--from", f"localhost:{port}", *to):
            for _ in range(6):
                get(port)
            assert all(backend.requests for backend in backends)
        for backend in backends:
            backend.requests.clear()
        with running("--from", f"localhost:{port}", *to, "--sticky"):
            cookie = (get(port).header("Set-Cookie") or "").partition(";")[0]
            assert cookie.startswith("penstock_route=")
            for backend in backends:
                backend.requests.clear()
            for _ in range(8):
                assert get(port, "/", f"Cookie: {cookie}").header("Set-Cookie") is None
            assert sorted(len(backend.requests) for backend in backends) == [0, 0, 8]


def test_tls_that_a_client_can_trust(ws_backend, tmp_path: Path) -> None:
    port = free_port()
    with running("--from", f"localhost:{port}", "--to", str(ws_backend.port), "--tls", cache=tmp_path) as proxy:
        authority = tmp_path / "penstock" / "certificates" / "authority.pem"
        assert str(authority) in proxy.output
        assert "update-ca-certificates" in proxy.output
        context = ssl.create_default_context(cafile=str(authority))
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            assert tls.selected_alpn_protocol() == "h2"
        context.set_alpn_protocols(["http/1.1"])
        with connect(f"wss://localhost:{port}/", ssl=context) as client:
            client.send("hello")
            assert client.recv(20) == "hello"
        assert ws_backend.handshakes[0][1]["X-Forwarded-Proto"] == "https"
        moved = get(port, "/page")
        assert (moved.status, moved.header("Location")) == (301, f"https://localhost:{port}/page")
        probed = say("probe", f"wss://127.0.0.1:{port}/", "--cafile", str(authority))
        assert probed.returncode == 0, probed.stdout
        with pytest.raises(ssl.SSLCertVerificationError):
            get(port, tls=ssl.create_default_context())


def test_a_certificate_of_ones_own(http_backend, authority) -> None:
    pair, port = authority.issue("localhost"), free_port()
    own = ("--cert", str(pair.certificate), "--key", str(pair.key))
    with running("--from", f"localhost:{port}", "--to", str(http_backend.port), *own):
        assert get(port, tls=authority.client_context()).status == 200


# It prints

SHAPES = (
    ("--to", "{to}"),
    ("--to", "http://127.0.0.1:{to}", "--path", "/api=localhost:{to}"),
    ("--to", "{to}", "--to", "127.0.0.1:{to}", "--sticky"),
    ("--to", "{to}", "--to", "127.0.0.1:{to}", "--sticky", "ip"),
    ("--to", "{to}", "--path", "/x/=127.0.0.1:{to}/"),
)


@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
def test_what_is_printed_runs_with_both(shape, nginx, proxy, ws_backend, tmp_path: Path, capsys) -> None:
    arguments = [word.format(to=ws_backend.port) for word in shape]
    done = say("proxy", "--from", "127.0.0.1:8080", *arguments, "--print")
    assert done.returncode == 0, done.stderr
    for launch in (nginx, proxy):
        port = free_port()
        text = done.stdout.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("/dev/stdout", "access.log")
        front = launch(text)
        with connect(f"ws://127.0.0.1:{port}/chat") as client:
            client.send("hello")
            assert client.recv(20) == "hello"
        front.logged(r"101  GET /chat -> \S+:\d+")
    (tmp_path / "nginx.conf").write_text(done.stdout)
    assert check.run(["-c", str(tmp_path / "nginx.conf")]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_printed_tls_is_warned_of_by_neither(nginx, proxy, ws_backend, authority, tmp_path: Path) -> None:
    """`listen ... http2` is deprecated, and `http2 on;` unknown to nginx before 1.25.1."""
    pair = authority.issue("localhost")
    own = ("--cert", str(pair.certificate), "--key", str(pair.key))
    done = say("proxy", "--from", "127.0.0.1:8443", "--to", str(ws_backend.port), *own, "--print")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "http2 on;" in line)
    for launch, wanted in ((nginx, {"http/1.1", None}), (proxy, {"http/1.1", None}), (proxy, {"h2"})):
        port = free_port()
        text = done.stdout.replace("127.0.0.1:8443", f"127.0.0.1:{port}").replace("/dev/stdout", "access.log")
        front = launch(text.replace(line, line.replace("# ", "", 1)) if "h2" in wanted else text)
        context = authority.client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            assert tls.selected_alpn_protocol() in wanted
        with connect(f"wss://localhost:{port}/chat", ssl=authority.client_context()) as client:
            client.send("hello")
            assert client.recv(20) == "hello"
        assert "deprecated" not in front.error_log()
    (tmp_path / "nginx.conf").write_text(done.stdout)
    for version in ("penstock", "nginx/1.22", "nginx/1.31"):
        told = say("check", "-c", str(tmp_path / "nginx.conf"), "--for", version).stdout
        assert "nothing found" in told
        assert "http2" not in told


def test_penstocks_own_form(proxy, ws_backend) -> None:
    port = free_port()
    done = say("proxy", "--from", f"127.0.0.1:{port}", "--to", str(ws_backend.port), "--print=penstock")
    assert "websocket auto;" in done.stdout
    front = proxy(done.stdout.replace("/dev/stdout", "access.log"))
    with connect(f"ws://127.0.0.1:{port}/chat") as client:
        client.send("hello")
        assert client.recv(20) == "hello"
    front.logged(r"101  WebSocket /chat -> [^ ]+(, \S+)?  [\d.]+ s, 1 messages in, 1 out")


def test_a_backend_of_another_name_is_called_by_it() -> None:
    text = say("proxy", "--to", "https://api.example.com", "--print").stdout
    assert "proxy_set_header Host api.example.com;" in text
    assert "proxy_ssl_name api.example.com;" in text
    assert "proxy_pass https://app;" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say --to localhost:3000"),
        (("--to", "ftp://x"), "http://"),
        (("--to", "3000", "--cert", "a"), "go together"),
        (("--to", "3000", "--to", "https://x"), "must all be"),
        (("--to", "3000", "--tls", "--name", "example.com"), "local authority"),
        (("--to", "3000", "--path", "ws=1"), "/ws=localhost:9000"),
        (("--to", "3000;}"), "address"),
    ],
)
def test_what_makes_no_sense(arguments, words: str, tmp_path: Path) -> None:
    done = say("proxy", *arguments, cache=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr


# It writes

PROJECTS = {
    "fastapi": {"requirements.txt": "fastapi\nuvicorn\n"},
    "channels": {"manage.py": "", "requirements.txt": "channels\n"},
    "flask-socketio": {"requirements.txt": "flask-socketio\n"},
    "socket.io": {"package.json": '{"dependencies": {"socket.io": "4"}}'},
    "streamlit": {"requirements.txt": "streamlit\n"},
    "jupyter": {"requirements.txt": "jupyterlab\n"},
    "gradio": {"requirements.txt": "gradio\n"},
    "two": {"requirements.txt": "gradio\nfastapi\n"},
}


@pytest.mark.parametrize(("name", "flavour"), [*((name, "nginx") for name in PROJECTS), ("two", "penstock")])
def test_what_init_writes_is_fine(name: str, flavour: str, tmp_path: Path, nginx, capsys) -> None:
    for file, content in PROJECTS[name].items():
        (tmp_path / file).write_text(content)
    assert init.run(["--for", flavour, str(tmp_path)]) == 0
    test = ("-t", "-p", f"{tmp_path}/", "-e", "stderr", "-c", "nginx.conf")
    tested = say(*test)
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr
    assert check.run(["-c", str(tmp_path / "nginx.conf")]) == 0
    assert "nothing found" in capsys.readouterr().out
    if flavour == "nginx":
        theirs = subprocess.run(
            [*nginx.binary.command, *test], cwd=tmp_path, capture_output=True, text=True, timeout=20
        )
        assert theirs.returncode == 0, theirs.stderr


def test_what_init_writes_carries_a_websocket(proxy, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: uvicorn main:app --port 8000\n")
    text = say("init", "--print", cwd=tmp_path).stdout
    port = free_port()
    with WebSocketEcho() as backend:
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{backend.port}").replace("/dev/stdout", "access.log")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("    listen [::]:8080;\n", "")
        text = text.replace("pid penstock.pid;", "pid nginx.pid;").replace("error_log stderr;", "error_log error.log;")
        proxy(text)
        with connect(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            assert client.recv(20) == "hello"
