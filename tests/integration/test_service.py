"""Being a good service: what a service manager is told and gives, logs that rotate under load, the unit, the image."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from harness.ports import free_port
from harness.proxy import Proxy
from harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SITE = """
    http {
        keepalive_requests 1000000;
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 one; }
            location /ws {
                proxy_pass http://127.0.0.1:{port:api};
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }
        }
    }
    """


class Manager:
    """A service manager's ear."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)
        self.told: list[dict[str, str]] = []

    def hear(self) -> dict[str, str]:
        text = self.socket.recv(4096).decode()
        self.told.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.told[-1]

    def hear_until(self, name: str, value: str = "") -> dict[str, str]:
        """The next message that has the field (of that value)."""
        while True:
            found = self.hear()
            if name in found and re.search(value, found[name]):
                return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(tmp_path / "notify")
    yield found
    found.socket.close()


def test_the_service_manager_hears_what_happens(proxy, manager, ws_backend) -> None:
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"}
    front = proxy("worker_processes 2;" + SITE, ports={"api": ws_backend.port}, env=env)
    assert manager.hear() == {"READY": "1", "MAINPID": str(front.pid)}
    assert manager.hear_until("STATUS")["STATUS"] == "0 tunnels, 2 workers"
    with connect(front.url("/ws", "ws")):
        manager.hear_until("STATUS", "^1 tunnels, 2 workers$")
    assert any(told == {"WATCHDOG": "1"} for told in manager.told)
    before = time.monotonic_ns() // 1000
    front.send_signal(signal.SIGHUP)
    told = manager.hear_until("RELOADING")
    assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    manager.hear_until("READY")
    front.write("nginx.conf", "mistake;")
    front.send_signal(signal.SIGHUP)
    manager.hear_until("RELOADING")
    manager.hear_until("READY")
    front.expect = ("unknown directive",)
    front.send_signal(signal.SIGQUIT)
    manager.hear_until("STOPPING", "1")
    assert front._process.wait(20) == 0


def test_the_successor_is_the_service_from_then_on(proxy, manager) -> None:
    front = proxy(SITE, ports={"api": 1}, env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "600000000"})
    old = front.pid
    manager.hear_until("READY")
    front.send_signal(signal.SIGUSR2)
    new = front.successor(old)
    manager.hear_until("STATUS")
    os.kill(old, signal.SIGQUIT)
    assert manager.hear_until("MAINPID") == {"READY": "1", "MAINPID": str(new)}
    assert front._process.wait(20) == 0
    os.kill(new, signal.SIGTERM)
    manager.hear_until("STOPPING")


def activated(front: Proxy, *sockets: socket.socket, names: str = "") -> None:
    """Start with listening sockets from 3 up, as a service manager does."""
    (front.directory / "logs").mkdir(exist_ok=True)
    script = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
        f"os.environ['LISTEN_FDS'] = '{len(sockets)}';"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    first = 3
    moved = []
    for at, sock in enumerate(sockets):
        high = os.dup2(sock.fileno(), 200 + at)
        moved.append(high)

    def place() -> None:
        for at, high in enumerate(moved):
            os.dup2(high, first + at)
            os.close(high)

    with (front.directory / "output").open("wb") as output:
        front._process = subprocess.Popen(
            [sys.executable, "-c", script, *front.command()],
            cwd=front.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=False,
            preexec_fn=place,
        )
    for high in moved:
        os.close(high)
    eventually(front._ready)


def test_sockets_of_the_service_manager_are_used(tmp_path) -> None:
    text = SITE.replace("server {", "server { listen unix:{dir}/front.sock;", 1)
    front = Proxy(text, ports={"api": 1}, directory=tmp_path / "p")
    path = str(tmp_path / "p" / "front.sock")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket() as spare:
        tcp.bind(("127.0.0.1", front.port()))
        unix.bind(path)
        spare.bind(("127.0.0.1", free_port()))
        for sock in (tcp, unix, spare):
            sock.listen()
        with socket.create_connection(tcp.getsockname()) as early:
            early.sendall(b"GET / HTTP/1.0\r\n\r\n")
            activated(front, tcp, unix, spare)
            assert b"200" in early.recv(100), "a connection from before the start is answered"
        spare_port = spare.getsockname()[1]
    try:
        assert front.get("/").text == "one"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"200" in client.recv(100)
        said = front._said()
        assert f'inherited socket 127.0.0.1:{spare_port} is closed, as no "listen" has its address' in said
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", spare_port))
        front.stop(signal.SIGQUIT)
    finally:
        front.discard()


def test_variables_for_another_process_are_none_of_ours(proxy) -> None:
    front = proxy(SITE, ports={"api": 1}, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert front.get("/").text == "one"
    assert "inherited" not in front._said()


def test_no_line_is_lost_when_logs_rotate_under_load(proxy) -> None:
    front = proxy("worker_processes 2;" + SITE, ports={"api": 1})
    asked = [0] * 4
    stop = threading.Event()

    def ask(index: int) -> None:
        with front.client() as client:
            while not stop.is_set():
                target = f"/{index}/{asked[index]}"
                client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                assert client.response("GET").status == 200
                asked[index] += 1

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(5):
        time.sleep(0.15)
        (front.directory / "access.log").rename(front.directory / f"access.log.{turn}")
        front.send_signal(signal.SIGUSR1)
        eventually((front.directory / "access.log").exists)
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    wanted = {f"/{index}/{number}" for index in range(4) for number in range(asked[index])}

    def written() -> list[str]:
        text = "".join(file.read_text() for file in front.directory.glob("access.log*"))
        return re.findall(r'"GET (\S+) HTTP/1.1"', text)

    eventually(lambda: len(written()) >= len(wanted) > 100)
    assert sorted(written()) == sorted(wanted)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives privileges up")
def test_keys_are_read_before_privileges_are_given_up(proxy, authority) -> None:
    pair = authority.issue("localhost")
    text = SITE.replace("server {", "server { listen 127.0.0.1:{port:tls} ssl;", 1)
    text = text.replace("http {", f"http {{ ssl_certificate {pair.certificate}; ssl_certificate_key {{dir}}/key;", 1)
    front = proxy("user nobody nogroup;" + text, ports={"api": 1}, files={"key": pair.key.read_bytes()})
    (front.directory / "key").chmod(0o600)
    trust = ssl.create_default_context(cafile=str(authority.certificate))

    def serves() -> bool:
        raw = socket.create_connection(("127.0.0.1", front.port("tls")), 5)
        with trust.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")

    def unprivileged() -> bool:
        workers = front.children()
        status = [Path(f"/proc/{pid}/status").read_text() for pid in workers]
        return bool(workers) and all(re.search(r"\nUid:\t65534\t65534\t65534\t65534\n", text) for text in status)

    assert serves() and unprivileged()
    front.reload()
    eventually(lambda: serves() and unprivileged())
    old = front.pid
    front.send_signal(signal.SIGUSR2)
    new = front.successor(old)
    os.kill(old, signal.SIGQUIT)
    assert front._process.wait(20) == 0
    assert serves() and unprivileged()
    os.kill(new, signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{new}").exists())


def test_who_has_a_busy_port_is_named(proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refusal = proxy.refuses(SITE, ports={"front": port, "api": 1})
    name = Path("/proc/self/comm").read_text().strip()
    assert refusal.code == 1
    assert f"penstock: [error] port {port} is taken by process {os.getpid()} ({name})" in refusal.output


def test_processes_say_what_they_are(proxy) -> None:
    text = ("user nobody nogroup;" if os.geteuid() == 0 else "") + SITE
    front = proxy(text, ports={"api": 1}, fresh=True)  # a title has the room of the arguments
    worker = next(iter(eventually(front.children)))

    def title(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()

    eventually(lambda: title(worker) == "penstock: worker process")
    assert title(front.pid).startswith("penstock: master process")
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\n")
        time.sleep(0.2)
        front.send_signal(signal.SIGQUIT)
        eventually(lambda: title(worker) == "penstock: worker process is shutting down")
        client.send("Host: a\r\n\r\n")
        assert client.response("GET").status == 200
    front._process.wait(20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_ordered_end_is_a_success(proxy, number) -> None:
    front = proxy(SITE, ports={"api": 1})
    front.stop(number)


def test_a_configuration_that_is_wrong_is_exit_code_1(proxy) -> None:
    assert proxy.refuses("mistake;").code == 1
    assert proxy.check("mistake;").code == 1
