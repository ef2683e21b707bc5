"""A fast and long transfer does not have the worker to itself."""

import socket
import subprocess
import sys
import time

import pytest
from websockets.sync.client import connect

from harness.proxy import in_http

pytestmark = pytest.mark.alone

MIB = 600

BULK = f"""
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: {MIB << 20}\\r\\nConnection: close\\r\\n\\r\\n")
portion = b"b" * (100 << 20)
for _ in range({MIB} // 100):
    connection.sendall(portion)
connection.recv(1)
"""

READER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    sock.sendall(b"GET /bulk HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
    print("asked", flush=True)
    total = 0
    room = bytearray(1 << 20)
    while count := sock.recv_into(room):
        total += count
print(total)
"""

CONFIGURATION = in_http(
    """
    server {
        listen 127.0.0.1:{port:front};
        location /bulk { proxy_pass http://127.0.0.1:{port:bulk}; }
        location / {
            proxy_pass http://127.0.0.1:{port:back};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
    """
)


def test_a_tunnel_is_served_while_a_download_runs(proxy, ws_backend) -> None:
    with subprocess.Popen([sys.executable, "-c", BULK], stdout=subprocess.PIPE, text=True) as bulk:
        assert bulk.stdout is not None
        front = proxy(CONFIGURATION, ports={"back": ws_backend.port, "bulk": int(bulk.stdout.readline())})
        with connect(f"ws://127.0.0.1:{front.port()}/") as tunnel:
            tunnel.send("before")
            assert tunnel.recv(timeout=20) == "before"
            tunnel.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            command = [sys.executable, "-c", READER, str(front.port())]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
                assert reader.stdout is not None
                assert reader.stdout.readline() == "asked\n"
                echoes = 0
                slowest = 0.0
                while reader.poll() is None:
                    began = time.monotonic()
                    tunnel.send("meanwhile")
                    assert tunnel.recv(timeout=20) == "meanwhile"
                    slowest = max(slowest, time.monotonic() - began)
                    echoes += 1
                    assert echoes < 200_000
                total = int(reader.stdout.read())
        bulk.kill()
    assert total > MIB << 20
    assert echoes > 20, f"{echoes} echoes during the download, the slowest after {slowest:.3f} s"
