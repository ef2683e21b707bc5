"""What does HTTP/2 cost a worker: requests, and WebSockets inside of it?

    python experiments/http2.py [--profile]

Requests come from h2load (10 connections, 10 streams each), echoes of 64 bytes over RFC 8441 from a client that only
shovels frames made beforehand (4 connections, 25 WebSockets each); what counts is the CPU of the proxy, user and
system, its workers taken together, in rounds that take turns. nginx has no column for WebSockets: it does not speak
RFC 8441. `http2.md` has figures.
"""

from __future__ import annotations

import argparse
import os
import selectors
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REQUESTS = 20000
ECHOES = 20000
ROUNDS = 3
NGINX = """
worker_processes 1; pid {dir}/pid; error_log {dir}/error.log; user root;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 10000000; {http2}
    server {{
        listen 127.0.0.1:{port}{listen};
        location / {{ return 200 "hello world"; }}
        location /file {{ alias {dir}/file; }}
        location /ws {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""
HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend front
    bind 127.0.0.1:{port} proto h2
    http-request return status 200 content-type text/plain string "hello world" if {{ path / }}
    default_backend app
backend app
    server app 127.0.0.1:{backend}
"""


class Running:
    """A proxy, and the CPU that its processes have used."""

    def __init__(self, name: str, backend: int, folder: Path) -> None:
        self.name = name
        self.folder = folder
        folder.mkdir()
        self.port = free_port()
        (folder / "file").write_bytes(os.urandom(10 << 20))
        text = HAPROXY if name == "haproxy" else NGINX
        listen, switch = (" http2", "") if name == "nginx" else ("", "http2 on;")
        path = folder / "conf"
        path.write_text(text.format(dir=folder, port=self.port, backend=backend, listen=listen, http2=switch))
        commands = {
            "penstock": [sys.executable, "-m", "penstock", "-g", "daemon off;", "-c", str(path)],
            "nginx": ["nginx", "-g", "daemon off;", "-c", str(path)],
            "haproxy": ["haproxy", "-f", str(path)],
        }
        self.process = subprocess.Popen(commands[name], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(0.3)

    def cpu(self) -> float:
        """Seconds so far."""
        ticks = 0
        for pid in {self.process.pid, *children(self.process.pid)}:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- the backend: says 101, then gives back what it gets


def echo_server() -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _serve(listener: socket.socket) -> None:
    from penstock.websocket.handshake import accept_key

    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                made, _address = listener.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(made, selectors.EVENT_READ, [False])
                continue
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            data = sock.recv(65536)
            if not data:
                selector.unregister(sock)
                sock.close()
            elif key.data[0]:
                sock.sendall(data)
            else:
                key.data[0] = True
                text = data.decode("latin-1")
                at = text.lower().index("sec-websocket-key:") + 18
                accept = accept_key(text[at : text.index("\r\n", at)].strip())
                answer = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                sock.sendall(f"{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())


# -- the client


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


CONNECT = (
    literal(b":method", b"CONNECT")
    + literal(b":protocol", b"websocket")
    + b"\x86\x44\x03/ws\x41\x09localhost"
    + literal(b"sec-websocket-version", b"13")
)
MESSAGE = b"\x81\xc0" + bytes(4) + b"x" * 64


class Client:
    """One connection with `count` WebSockets; `turn` sends a message on each and waits for all the echoes."""

    def __init__(self, port: int, count: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        big = (1 << 30).to_bytes(4, "big")
        self.rest = b""
        self.heads = self.bytes = 0
        self.sock.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\0\4" + big) + frame(4, 1, 0) + frame(8, 0, 0, big)
        )
        streams = [1 + 2 * number for number in range(count)]
        for stream in streams:
            self.sock.sendall(frame(1, 4, stream, CONNECT))
        while self.heads < count:
            self.read()
        # As much as a window holds comes back in one go: it is opened for as many bytes as are sent.
        self.messages = b"".join(frame(0, 0, stream, MESSAGE) for stream in streams)
        self.wanted = count * len(MESSAGE)

    def turn(self) -> None:
        self.bytes = 0
        self.sock.sendall(self.messages)
        while self.bytes < self.wanted:
            self.read()

    def read(self) -> None:
        data = self.rest + self.sock.recv(1 << 16)
        at = 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at - 9 < size:
                break
            if data[at + 3] == 1:
                self.heads += 1
            elif data[at + 3] == 0:
                self.bytes += size
            at += 9 + size
        self.rest = data[at:]


def requests(proxy: Running, path: str, count: int, clients: int = 10) -> float:
    """CPU microseconds a request."""
    before = proxy.cpu()
    url = f"http://127.0.0.1:{proxy.port}{path}"
    command = ["h2load", "-n", str(count), "-c", str(clients), "-m", "10", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if f"{count} succeeded" not in done.stdout:
        raise SystemExit(done.stdout)
    return (proxy.cpu() - before) / count * 1e6


def echoes(proxy: Running) -> float:
    """CPU microseconds an echo."""
    clients = [Client(proxy.port, 25) for _ in range(4)]
    for client in clients:
        client.turn()
    before = proxy.cpu()
    for _ in range(ECHOES // 100):
        for client in clients:
            client.turn()
    spent = proxy.cpu() - before
    for client in clients:
        client.sock.close()
    return spent / ECHOES * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", action="store_true", help="where Penstock's time goes (needs py-spy)")
    profile = parser.parse_args().profile
    found = [name for name in ("penstock", "nginx", "haproxy") if name == "penstock" or shutil.which(name)]
    backend = echo_server()
    with tempfile.TemporaryDirectory() as folder:
        proxies = [Running(name, backend, Path(folder, name)) for name in (found[:1] if profile else found)]
        try:
            if profile:
                _profile(proxies[0])
                return
            figures: dict[tuple[str, str], list[float]] = {}
            for _ in range(ROUNDS):
                for proxy in proxies:
                    figures.setdefault((proxy.name, "request"), []).append(requests(proxy, "/", REQUESTS))
                    if proxy.name != "haproxy":
                        figures.setdefault((proxy.name, "10 MiB"), []).append(requests(proxy, "/file", 60, 3))
                    if proxy.name != "nginx":
                        figures.setdefault((proxy.name, "echo"), []).append(echoes(proxy))
        finally:
            for proxy in proxies:
                proxy.stop()
    for (name, what), values in sorted(figures.items(), key=lambda item: item[0][1]):
        middle = statistics.median(values)
        print(f"{what:8}  {name:9} {middle:9.1f} us CPU each   {1e6 / middle:9.0f} per CPU-second")


def _profile(proxy: Running) -> None:
    pid = children(proxy.process.pid)[0]
    for what in (lambda: requests(proxy, "/", 3 * REQUESTS), lambda: [echoes(proxy) for _ in range(4)]):
        spy = subprocess.Popen(
            ["py-spy", "record", "-d", "8", "-r", "400", "-f", "raw", "-o", f"{proxy.folder}/spy", "-p", str(pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        what()
        spy.wait(30)
        self_time: dict[str, int] = {}
        within: dict[str, int] = {}
        total = 0
        for line in Path(f"{proxy.folder}/spy").read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            leaf = stack.rpartition(";")[2]
            self_time[leaf] = self_time.get(leaf, 0) + int(count)
            for each in {part.partition(":")[0] for part in stack.split(";")}:
                within[each] = within.get(each, 0) + int(count)
            total += int(count)
        for leaf, count in sorted(self_time.items(), key=lambda item: -item[1])[:12]:
            print(f"{100 * count / total:5.1f} %  {leaf}")
        print()
        for name, count in sorted(within.items(), key=lambda item: -item[1])[:45]:
            print(f"{100 * count / total:5.1f} %  in {name}")
        print()


if __name__ == "__main__":
    main()
