"""Certbot's plugin for nginx, as it is, with `--nginx-ctl penstock`: Debian's certbot against Debian's pebble."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from websockets.sync.client import connect

from harness import pebble
from harness.machine import penstock_for
from harness.ports import free_port
from harness.waiting import eventually

CERTBOT = "/usr/bin/certbot"
NAME = "chat.example.org"


def missing() -> str | None:
    """Why it can not be tried, or None."""
    if (why := pebble.missing()) is not None:
        return why
    if not Path(CERTBOT).exists() or shutil.which("nginx") is None:
        return "certbot or nginx is not installed (Debian: apt-get install python3-certbot-nginx)"
    tried = subprocess.run(["/usr/bin/python3", "-c", "import certbot_nginx"], capture_output=True, timeout=60)
    return "certbot's plugin for nginx is not installed (python3-certbot-nginx)" if tried.returncode else None


pytestmark = [
    pytest.mark.skipif(not os.environ.get("PENSTOCK_PACKAGES"), reason="takes minutes: make test-packages"),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

CONFIGURATION = """
{user}
pid {folder}/penstock.pid;
error_log {folder}/error.log notice;
events {{ }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        server_name chat.example.org;
        location / {{ return 200 page; }}
        location /chat {{ proxy_pass http://127.0.0.1:{backend}; websocket auto; }}
    }}
}}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="certbot-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_it_installs_a_certificate_and_renews_it_under_an_open_websocket(folder: Path, ws_backend) -> None:
    port, tls = free_port(), free_port()
    etc = folder / "etc"
    etc.mkdir()
    user = "" if os.geteuid() else "user root;"
    configuration = CONFIGURATION.format(user=user, folder=folder, port=port, backend=ws_backend.port)
    (etc / "nginx.conf").write_text(configuration)
    penstock = penstock_for(etc, folder / "bin")
    subprocess.run([penstock, "-e", f"{folder}/error.log"], check=True, timeout=30)
    pid = int(eventually(lambda: _text(folder / "penstock.pid"), 30, why="it serves"))
    try:
        with pebble.Pebble(port, tls) as authority, connect(f"ws://127.0.0.1:{port}/chat") as tunnel:
            environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(authority.authority.certificate)}

            def certbot(*arguments: str) -> str:
                places = [f"--{kind}-dir={folder}/{kind}" for kind in ("config", "work", "logs")]
                done = subprocess.run(
                    [CERTBOT, *arguments, "--non-interactive", *places],
                    env=environment, capture_output=True, text=True, timeout=120,
                )  # fmt: skip
                assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{_text(folder / 'error.log')}"
                return done.stdout

            here = ("--nginx-ctl", str(penstock), "--nginx-server-root", str(etc))
            ports = ("--http-01-port", str(port), "--https-port", str(tls))
            who = ("--server", authority.uri, "--agree-tos", "--register-unsafely-without-email")
            said = certbot("--nginx", *here, "-d", NAME, *ports, *who)
            assert "Successfully deployed certificate" in said
            context = ssl.create_default_context(cadata=authority.root())
            first = eventually(lambda: _serial(tls, context), 30, why="its certificate is shown")
            certbot("renew", "--force-renewal", "--no-random-sleep-on-renew", *ports)
            eventually(lambda: _serial(tls, context) not in (None, first), 30, why="the next one is shown")
            tunnel.send("still here")
            assert tunnel.recv(10) == "still here"
            # Its lines are such as are understood without a remark.
            checked = subprocess.run([penstock, "-t", "-e", "stderr"], capture_output=True, text=True, timeout=30)
            assert checked.returncode == 0 and "[warn]" not in checked.stderr, checked.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not (folder / "penstock.pid").exists(), 30, why="it has ended")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _serial(port: int, context: ssl.SSLContext) -> int | None:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 20) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as tls,
        ):
            return x509.load_der_x509_certificate(tls.getpeercert(True) or b"").serial_number
    except (ssl.SSLCertVerificationError, ConnectionRefusedError):
        return None
