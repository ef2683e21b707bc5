"""Each example does what its README says: its commands are typed, on other ports, and somebody talks to the application
through Penstock. `make test-examples`; environments are kept in build/examples."""

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from harness.ports import free_port
from harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
KEPT = ROOT / "build" / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
PORTS = ("8080", "8000", "8001")
SECONDS = 120

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PENSTOCK_EXAMPLES"), reason="takes minutes: make test-examples"),
    pytest.mark.timeout(900),
]


@dataclass(frozen=True, slots=True)
class Example:
    """One that runs: `port` is Penstock's."""

    name: str
    folder: Path
    port: int
    environment: dict[str, str]

    def url(self, path: str = "/", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(self.url(path), timeout=30) as answer:
            return str(answer.read().decode())

    def python(self, code: str) -> str:
        """What a program prints that has the example's libraries."""
        command = [shutil.which("python", path=self.environment["PATH"]) or "", "-c", code, str(self.port)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def commands(folder: Path) -> list[str]:
    found = re.search(r"(?s)```sh\n(.*?)```", (folder / "README.md").read_text("utf-8"))
    assert found is not None
    return found[1].splitlines()


def environment(folder: Path) -> dict[str, str]:
    """One in which the example's libraries are, and Penstock."""
    given = {**os.environ, "PYTHONUNBUFFERED": "1"}
    own = str(Path(sys.executable).parent)
    requirements = folder / "requirements.txt"
    if not requirements.exists():
        return {**given, "PATH": f"{own}:{given['PATH']}"}
    venv = KEPT / f"{folder.name}-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]}"
    if not (venv / "done").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=300)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run(pip, check=True, timeout=800)
        (venv / "done").touch()
    return {**given, "PATH": f"{venv}/bin:{own}:{given['PATH']}", "VIRTUAL_ENV": str(venv)}


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    name: str = request.param
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    numbers = {port: str(free_port()) for port in PORTS}

    def renumbered(text: str) -> str:
        return re.sub(r"\b(8080|8000|8001)\b", lambda found: numbers[found[1]], text)

    for path in folder.iterdir():
        if path.suffix in (".conf", ".yaml"):
            path.write_text(renumbered(path.read_text()))
    given = environment(folder)
    running: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "output").open("wb") as output:
        try:
            for line in commands(folder):
                words = shlex.split(renumbered(line))
                if words[:2] == ["pip", "install"]:
                    continue
                program = shutil.which(words[0], path=given["PATH"])
                if program is None:
                    pytest.skip(f"{words[0]} is not installed")
                if words[:2] == ["npm", "install"]:
                    subprocess.run([program, *words[1:]], cwd=folder, env=given, check=True, timeout=300)
                    continue
                running.append(
                    subprocess.Popen([program, *words[1:]], cwd=folder, env=given, stdout=output, stderr=output)
                )
            made = Example(name, folder, int(numbers["8080"]), given)
            eventually(lambda: _answers(made, numbers, running), SECONDS, every=0.2, why=f"{name} answers")
            yield made
        except BaseException:
            print((tmp_path / "output").read_text("utf-8", "replace")[-4000:])
            raise
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _answers(example: Example, numbers: dict[str, str], running: list[subprocess.Popen[bytes]]) -> bool:
    """Whether all that was started listens."""
    if any(process.poll() is not None for process in running):
        raise AssertionError("a program has ended: see its output")
    wanted = [numbers["8080"], numbers["8000"], *([numbers["8001"]] if len(running) > 2 else [])]
    for port in wanted:
        try:
            socket.create_connection(("127.0.0.1", int(port)), 2).close()
        except OSError:
            return False
    return True


# What is asked of each


def fastapi(example: Example) -> None:
    assert "<h1>Chat</h1>" in example.get()
    with connect(example.url("/ws", "ws")) as one, connect(example.url("/ws", "ws")) as two:
        # A member of the room from its own first message on.
        two.send("here")
        assert two.recv(30) == "here"
        one.send("hello")
        heard = two.recv(30)
        assert heard == "hello"


def websockets(example: Example) -> None:
    with connect(example.url("/", "ws"), max_size=None) as client:
        client.send("x" * 100_000)
        assert client.recv(30) == "x" * 100_000
        client.send(os.urandom(2_000_000))  # sizes are those on the wire: zeroes would be compressed
        with pytest.raises(Exception, match="1009"):
            client.recv(30)


def aiohttp(example: Example) -> None:
    assert example.get() == "hello, 127.0.0.1\n"
    with connect(example.url("/ws", "ws")) as client:
        client.send("loud")
        assert client.recv(30) == "LOUD"


def django_channels(example: Example) -> None:
    assert example.get() == f"Host is 127.0.0.1:{example.port}\n"
    with connect(example.url("/ws/echo/", "ws"), origin=example.url("")) as client:
        client.send("django")
        assert client.recv(30) == "django"
    with pytest.raises(Exception, match="403"), connect(example.url("/ws/echo/", "ws"), origin="http://other.test"):
        pass


def flask_socketio(example: Example) -> None:
    assert example.get() == "Flask\n"
    polled = json.loads(example.get("/socket.io/?EIO=4&transport=polling")[1:])
    assert "websocket" in polled["upgrades"]
    with connect(example.url("/socket.io/?EIO=4&transport=websocket", "ws")) as client:
        assert str(client.recv(30)).startswith("0{")
        client.send("40")
        assert str(client.recv(30)).startswith("40{")
        client.send('42["say","words"]')
        assert client.recv(30) == '42["said","words"]'


def socketio_workers(example: Example) -> None:
    """Ten sessions by polling: without stickiness, half of their requests would reach the wrong process."""
    import http.cookiejar

    seen = set()
    for _ in range(10):
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

        def ask(path: str, body: bytes | None = None, opener: urllib.request.OpenerDirector = opener) -> str:
            with opener.open(example.url("/socket.io/?EIO=4&transport=polling" + path), body, timeout=30) as answer:
                return str(answer.read().decode())

        session = json.loads(ask("")[1:])["sid"]
        assert ask(f"&sid={session}", b"40") == "OK"
        assert ask(f"&sid={session}").startswith("40{")
        assert ask(f"&sid={session}", b'421["say","words"]') == "OK"
        answer = re.match(r'431\["words from (\d+)"\]', ask(f"&sid={session}"))
        assert answer is not None
        seen.add(answer[1])
    assert len(seen) == 2


def streamlit(example: Example) -> None:
    assert "Streamlit" in example.get()
    with connect(
        example.url("/_stcore/stream", "ws"), origin=example.url(""), subprotocols=["streamlit"], max_size=None
    ) as client:
        # A BackMsg with `rerun_script {}`: field 11 of the protocol, empty.
        client.send(b"\x5a\x00")
        heard = b""
        until = time.monotonic() + 60
        while b"Behind Penstock" not in heard and time.monotonic() < until:
            message = client.recv(60)
            heard += message if isinstance(message, bytes) else message.encode()
        assert b"Behind Penstock" in heard


def gradio(example: Example) -> None:
    body = json.dumps({"data": ["Penstock"]}).encode()
    asked = urllib.request.Request(
        example.url("/gradio_api/call/greet"), body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    assert "Hello, Penstock" in example.get(f"/gradio_api/call/greet/{event}")


def jupyter(example: Example) -> None:
    asked = urllib.request.Request(
        example.url("/api/kernels"), b"{}", {"Authorization": "token secret", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        kernel = json.load(answer)["id"]
    header = {"msg_id": "1", "username": "", "session": "s", "version": "5.3", "date": ""}
    header["msg_type"] = "execute_request"
    content = {"code": "print(6 * 7)", "silent": False, "store_history": False, "user_expressions": {}}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    uri = example.url(f"/api/kernels/{kernel}/channels?token=secret", "ws")
    with connect(uri, max_size=None, open_timeout=60) as client:
        client.send(json.dumps(message))
        until = time.monotonic() + 60
        while time.monotonic() < until:
            heard = client.recv(60)
            if isinstance(heard, str) and json.loads(heard).get("content", {}).get("text") == "42\n":
                return
    pytest.fail("the kernel did not print 42")


def node_ws(example: Example) -> None:
    with connect(example.url("/", "ws")) as client:
        client.send("node")
        assert client.recv(30) == "node"
        client.send(b"\x00\xff")
        assert client.recv(30) == b"\x00\xff"


def sse(example: Example) -> None:
    asked = urllib.request.Request(example.url("/events"), headers={"Last-Event-ID": "41"})
    with urllib.request.urlopen(asked, timeout=30) as stream:
        began = time.monotonic()
        assert stream.readline() == b"id: 42\n"
        assert stream.readline() == b"data: tick 42\n"
        assert time.monotonic() - began < 20, "an event is not held back"


def json_rpc(example: Example) -> None:
    """The process that serves a client ends, and its subscription goes on from the other one."""
    with connect(example.url("/", "ws")) as client:
        client.send('{"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": ["clock"]}')

        def tick() -> int:
            while True:
                message = json.loads(client.recv(30))
                if message.get("method") == "tick":
                    return int(message["params"]["from"])

        first = tick()
        client.send('{"jsonrpc": "2.0", "id": 2, "method": "stop"}')
        until = time.monotonic() + 60
        while (now := tick()) == first:
            assert time.monotonic() < until
        client.send('{"jsonrpc": "2.0", "id": 3, "method": "subscribe", "params": []}')
        while (message := json.loads(client.recv(30))).get("id") != 3:
            pass
        assert message["result"] == ["clock"]
        assert now != first


def graphql_ws(example: Example) -> None:
    """The process that serves a client ends, and its subscription goes on from the other one: nothing is said for that,
    and nothing is acknowledged again."""
    with connect(example.url("/", "ws"), subprotocols=[Subprotocol("graphql-transport-ws")]) as client:
        client.send('{"type": "connection_init"}')
        assert json.loads(client.recv(30)) == {"type": "connection_ack"}
        client.send('{"id": "1", "type": "subscribe", "payload": {"query": "subscription { clock }"}}')

        def tick() -> int:
            message = json.loads(client.recv(30))
            assert (message["type"], message["id"]) == ("next", "1")
            return int(message["payload"]["data"]["clock"])

        first = tick()
        client.send('{"id": "2", "type": "subscribe", "payload": {"query": "{ stop }"}}')
        until = time.monotonic() + 60
        while (now := tick()) == first:
            assert time.monotonic() < until
        assert tick() == now
        client.send('{"id": "1", "type": "complete"}')
        client.send('{"type": "ping"}')
        while (message := json.loads(client.recv(30)))["type"] != "pong":
            assert message["type"] == "next" and time.monotonic() < until


def socketio_recovery(example: Example) -> None:
    """A client that was closed comes back to its session, and no tick is missing."""
    known: list[tuple[int, str]] = []

    def hear(client: ClientConnection, count: int) -> dict[str, str]:
        """Hear a session's beginning and so many ticks more; those that were missed come before it."""
        session: dict[str, str] = {}
        last = len(known) + count
        while not session or len(known) < last:
            message = str(client.recv(30))
            if message.startswith("42"):
                _, number, offset = json.loads(message[2:])
                known.append((number, offset))
            elif message.startswith("40"):
                session = json.loads(message[2:])
        return session

    url = example.url("/socket.io/?EIO=4&transport=websocket", "ws")
    with connect(url) as client:
        client.send("40")
        session = hear(client, 3)
        command = [sys.executable, "-m", "penstock", "tunnels", "close", "--all", "--code", "1012"]
        subprocess.run([*command, "--socket", str(example.folder / "penstock.control")], check=True, timeout=SECONDS)
        with pytest.raises(ConnectionClosed) as closed:
            hear(client, 1_000_000)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    time.sleep(1)  # ticks are missed
    with connect(url) as client:
        client.send("40" + json.dumps({"pid": session["pid"], "offset": known[-1][1]}))
        assert hear(client, 10) == session
    numbers = [number for number, _ in known]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def mqtt(example: Example) -> None:
    assert (
        example.python(
            """
import sys, threading
import paho.mqtt.client as mqtt
heard = threading.Event()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets")
client.ws_set_options(path="/mqtt")
client.on_connect = lambda client, *_: client.subscribe("a")
client.on_subscribe = lambda client, *_: client.publish("a", "words")
client.on_message = lambda *_: heard.set()
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
print(heard.wait(30))
client.disconnect()
"""
        )
        == "True"
    )


CHECKS: dict[str, Callable[[Example], None]] = {
    "fastapi": fastapi,
    "websockets": websockets,
    "aiohttp": aiohttp,
    "django-channels": django_channels,
    "flask-socketio": flask_socketio,
    "socketio-workers": socketio_workers,
    "streamlit": streamlit,
    "gradio": gradio,
    "jupyter": jupyter,
    "node-ws": node_ws,
    "sse": sse,
    "json-rpc": json_rpc,
    "graphql-ws": graphql_ws,
    "socketio-recovery": socketio_recovery,
    "mqtt": mqtt,
}


def test_every_example_is_tried() -> None:
    assert sorted(CHECKS) == NAMES


@pytest.mark.parametrize("example", NAMES, indirect=True)
def test_an_example_does_what_it_says(example: Example) -> None:
    CHECKS[example.name](example)


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_nothing_in_it(name: str) -> None:
    command = [str(Path(sys.executable).with_name("penstock")), "check", "-c", str(EXAMPLES / name / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
