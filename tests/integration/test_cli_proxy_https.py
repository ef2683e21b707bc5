"""`penstock proxy --from NAME`: a site with a certificate that is ordered by itself, from Debian's pebble."""

import os
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from harness import browser, pebble
from harness.backends.websocket import WebSocketEcho
from harness.ports import free_port
from harness.proxy_command import running, say
from harness.raw import RawClient
from harness.waiting import eventually

pytestmark = pytest.mark.skipif(pebble.missing() is not None, reason=pebble.missing() or "")
NAME = "chat.example.org"
HAS_COME = "a certificate for chat.example.org has come"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose state is here."""
    yield {"XDG_STATE_HOME": str(tmp_path / "state")}


def told(authority: pebble.Pebble, tls: int, plain: str) -> tuple[str, ...]:
    """The command line for a site with this authority."""
    issuer = ("--issuer", authority.uri, "--issuer-cafile", str(authority.authority.certificate))
    return ("--from", f"{NAME}:{tls}", "--http-port", plain, "--email", "admin@example.org", *issuer)


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_one_command_has_https_http2_and_websockets(challenge: str, ws_backend, state, tmp_path: Path) -> None:
    tls, plain = free_port(), free_port()
    with pebble.Pebble(plain, tls) as authority:
        arguments = told(authority, tls, str(plain) if challenge == "http-01" else "off")
        with running(*arguments, "--to", str(ws_backend.port), environment=state) as proxy:
            assert f"https://{NAME}:{tls}/" in proxy.output and "terms of service you accept" in proxy.output
            eventually(lambda: HAS_COME in proxy.output, 60, why="the certificate has come")
            context = ssl.create_default_context(cadata=authority.root())
            context.set_alpn_protocols(["h2", "http/1.1"])
            eventually(lambda: trusted(tls, context) == "h2", 30, why="it is shown, and HTTP/2 is offered")
            context.set_alpn_protocols(["http/1.1"])
            with socket.create_connection(("127.0.0.1", tls)) as plain_socket:
                uri = f"wss://{NAME}:{tls}/chat"
                with connect(uri, sock=plain_socket, ssl=context, server_hostname=NAME) as client:
                    client.send("hello")
                    assert client.recv(10) == "hello"
            if challenge == "http-01":
                with RawClient(plain) as client:
                    head = f"GET /page?x=1 HTTP/1.1\r\nHost: {NAME}:{plain}\r\nConnection: close\r\n\r\n"
                    moved = client.send(head).response()
                assert (moved.status, moved.header("Location")) == (301, f"https://{NAME}:{tls}/page?x=1")
        # Another start has it at once, and orders nothing.
        with running(*arguments, "--to", str(ws_backend.port), environment=state) as proxy:
            assert trusted(tls, context) == "http/1.1"
            assert "ordering a certificate" not in proxy.output
    (folder,) = (tmp_path / "state" / "penstock").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def trusted(port: int, context: ssl.SSLContext) -> str | None:
    """The protocol that was agreed on with who has a certificate for the name; None for one that nobody trusts."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 20) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as tls,
        ):
            return tls.selected_alpn_protocol()
    except ssl.SSLCertVerificationError:
        return None


@pytest.mark.skipif(
    browser.missing() is not None or shutil.which("certutil") is None,
    reason=browser.missing() or "certutil is not installed (Debian: apt-get install libnss3-tools)",
)
def test_a_browser_that_trusts_the_authority_shows_the_page_and_opens_a_websocket(state, tmp_path: Path) -> None:
    tls, plain = free_port(), free_port()
    with pebble.Pebble(plain, tls) as authority, WebSocketEcho() as backend:
        root = tmp_path / "root.pem"
        with running(*told(authority, tls, str(plain)), "--to", str(backend.port), environment=state) as proxy:
            eventually(lambda: HAS_COME in proxy.output, 60, why="the certificate has come")
            root.write_text(authority.root())
            with browser.Browser(f"--host-resolver-rules=MAP {NAME} 127.0.0.1", trusts=root) as chromium:
                context = ssl.create_default_context(cafile=str(root))
                context.set_alpn_protocols(["h2"])
                eventually(lambda: trusted(tls, context) == "h2", 30, why="it is shown")
                page = chromium.open(f"http://{NAME}:{plain}/")
                assert page.script("return location.href") == f"https://{NAME}:{tls}/"
                assert page.script("return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
                page.script(
                    "window.said = ''; const socket = new WebSocket(`wss://${location.host}/chat`);"
                    "socket.onopen = () => socket.send('hello');"
                    "socket.onmessage = event => { window.said = event.data; };"
                )
                page.wait_until("window.said === 'hello'")


def test_what_does_not_go_together_is_told(state) -> None:
    for arguments, code, words in (
        (("--from", "chat.example.org", "--from", ":8080"), 2, "can not be mixed"),
        (("--from", "*.example.org"), 2, "dns-01"),
        (("--from", "chat.test", "--email", "a@example.org"), 2, "--from chat.example.org"),
        (("--from", "chat.example.org", "--issuer", "http://ca.test/"), 2, "https://"),
        (("--from", "chat.example.org", "--http-port", "many"), 2, "a number, or off"),
        (("--from", "chat.example.org", "--email", "nobody"), 2, "admin@example.org"),
        (("--from", "chat.example.org:99999"), 2, "no such port"),
    ):
        done = say("proxy", "--to", "3000", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    (taken := socket.create_server(("127.0.0.1", 0))).settimeout(1)
    with taken:
        port = taken.getsockname()[1]
        arguments = ("--from", f"{NAME}:{free_port()}", "--http-port", str(port), "--to", "3000")
        done = say("proxy", *arguments, environment=state)
    assert done.returncode == 1 and f"port {port} is taken" in done.stderr and "--http-port 8080" in done.stderr


@pytest.mark.skipif(not os.geteuid(), reason="root writes everywhere")
def test_a_folder_that_can_not_be_written_is_named() -> None:
    done = say("proxy", "--from", NAME, "--to", "3000", environment={"XDG_STATE_HOME": "/proc"})
    assert done.returncode == 1 and "XDG_STATE_HOME" in done.stderr
