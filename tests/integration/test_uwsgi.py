"""uwsgi_pass and scgi_pass to real servers, WebSockets included.

uWSGI with its Python plugin serves a WSGI application and, by its own API, WebSockets. For SCGI, whose servers know
no WebSockets, a small one stands here: it reads the netstring of parameters and then speaks WebSocket on the socket.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.sync.client import ClientConnection, connect

from harness.backends.threads import ThreadedServer
from harness.ports import free_port
from harness.proxy import in_server
from harness.waiting import eventually

APPLICATION = '''
import uwsgi

def application(environ, start_response):
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
        uwsgi.websocket_send(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])
        while True:
            message = uwsgi.websocket_recv()
            (uwsgi.websocket_send_binary if b"\\0" in message else uwsgi.websocket_send)(message)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text = " ".join([environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_X_MINE"]])
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-From", "uwsgi")])
    return [text.encode(), b" ", str(len(body)).encode()]
'''
PARAMETERS = "\n".join(
    f"{{family}}_param {name} {value};"
    for name, value in (
        ("REQUEST_METHOD", "$request_method"),
        ("REQUEST_URI", "$request_uri"),
        ("PATH_INFO", "$document_uri"),
        ("QUERY_STRING", "$query_string"),
        ("SERVER_PROTOCOL", "$server_protocol"),
        ("REMOTE_ADDR", "$remote_addr"),
        ("SERVER_NAME", "$server_name"),
        ("SERVER_PORT", "$server_port"),
    )
)
UWSGI = in_server(
    "location / { uwsgi_pass 127.0.0.1:{port:back}; uwsgi_read_timeout 20s; "
    + PARAMETERS.replace("{family}", "uwsgi")
    + " uwsgi_param CONTENT_LENGTH $content_length; uwsgi_param HTTP_CONNECTION upgrade if_not_empty; }"
)
SCGI = in_server("location / { scgi_pass 127.0.0.1:{port:back}; " + PARAMETERS.replace("{family}", "scgi") + " }")


@pytest.fixture(scope="module")
def uwsgi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a uWSGI with three processes."""
    program = shutil.which("uwsgi_python3") or shutil.which("uwsgi")
    if program is None:
        pytest.skip("no uwsgi (Debian: apt install uwsgi-plugin-python3)")
    folder = tmp_path_factory.mktemp("uwsgi")
    (folder / "application.py").write_text(APPLICATION)
    port = free_port()
    command = [program, "--plugin", "python3", "--socket", f"127.0.0.1:{port}", "--wsgi-file", "application.py"]
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [*command, "--master", "--processes", "3", "--die-on-term"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: server.poll() is not None or listening(port))
        if server.poll() is not None:
            pytest.skip(f"uwsgi does not start, is its python3 plugin there? {said(folder)}")
        eventually(lambda: b"spawned uWSGI worker 3" in (folder / "output").read_bytes())
        yield port
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def said(folder: Path) -> str:
    return (folder / "output").read_text("utf-8", "replace")[-300:]


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def echoes(client: ClientConnection) -> None:
    """Text, binary, more than a frame of 64 KiB; both ways."""
    for message in ("hello", b"\0\xff", "grüße, 世界", "x" * 70_000, b"\0" * 200_000):
        client.send(message)
        assert client.recv(timeout=20) == message


class ScgiWebSocket(ThreadedServer):
    """Speaks SCGI up to the handshake, WebSocket after it; refuses what is no handshake with 403."""

    parameters: dict[str, str]

    def serve(self, connection: socket.socket, number: int) -> None:
        stream = connection.makefile("rb")
        size = 0
        while (digit := stream.read(1)) not in (b":", b""):
            size = size * 10 + int(digit)
        fields = stream.read(size + 1)[:-2].decode("latin-1").split("\0")
        self.parameters = dict(zip(fields[::2], fields[1::2], strict=True))
        if self.parameters.get("HTTP_UPGRADE", "").lower() != "websocket":
            connection.sendall(b"Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nno handshake")
            return
        self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        """Answer the handshake in CGI's form, then echo."""
        answer = ServerProtocol().accept(self.request())
        lines = [f"Status: {answer.status_code} {answer.reason_phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.raw_items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        echo = Protocol(Side.SERVER, state=State.OPEN, max_size=None)
        while not echo.close_expected() and (data := connection.recv(65536)):
            echo.receive_data(data)
            for frame in echo.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode is Opcode.TEXT:
                    echo.send_text(frame.data)
                elif frame.opcode is Opcode.BINARY:
                    echo.send_binary(frame.data)
            connection.sendall(b"".join(echo.data_to_send()))

    def request(self) -> Request:
        """The handshake as it was before it became parameters; Connection is not handed on by gateways' rules."""
        headers = Headers()
        for name, value in self.parameters.items():
            if name.startswith("HTTP_") and name != "HTTP_CONNECTION":
                headers[name.removeprefix("HTTP_").replace("_", "-").title()] = value
        headers["Connection"] = "Upgrade"
        return Request(self.parameters["REQUEST_URI"], headers)


def test_uwsgi_serves_requests(proxy: Any, uwsgi: int) -> None:
    front = proxy(UWSGI, ports={"back": uwsgi})
    got = front.get("/a%20b?c=d", {"X-Mine": "yes"})
    assert (got.status, got.reason, got.header("X-From")) == (201, "Made", "uwsgi")
    assert got.text == "GET /a b c=d yes 0"
    assert front.get("/", {"X-Mine": "up"}, method="POST", body=b"z" * 300_000).text == "POST /  up 300000"


@pytest.mark.parametrize("said", ["", "websocket auto; "])
def test_uwsgi_serves_websockets(proxy: Any, uwsgi: int, said: str) -> None:
    front = proxy(UWSGI.replace("location /", f"{said}location /"), ports={"back": uwsgi})
    with connect(front.url("/chat?room=1", "ws"), max_size=None) as client:
        assert client.recv(timeout=20) == "/chat?room=1"
        with connect(front.url("/other", "ws"), max_size=None) as other:
            assert other.recv(timeout=20) == "/other?"
            echoes(other)
            echoes(client)
        echoes(client)
    front.logged(r'"GET /chat\?room=1 HTTP/1.1" 101 ')


@pytest.mark.parametrize("said", ["", "websocket auto; "])
def test_scgi_serves_websockets(proxy: Any, said: str) -> None:
    with ScgiWebSocket() as backend:
        front = proxy(SCGI.replace("location /", f"{said}location /"), ports={"back": backend.port})
        with connect(front.url("/chat?room=1", "ws"), max_size=None) as client:
            echoes(client)
            client.close(4001, "enough")
            assert client.close_code == 4001
        assert backend.parameters["REQUEST_URI"] == "/chat?room=1"
        assert (backend.parameters["CONTENT_LENGTH"], backend.parameters["SCGI"]) == ("0", "1")
        front.logged(r'"GET /chat\?room=1 HTTP/1.1" 101 ')


def test_scgi_refuses_what_is_no_handshake(proxy: Any) -> None:
    with ScgiWebSocket() as backend:
        front = proxy(SCGI, ports={"back": backend.port})
        got = front.get("/")
        assert (got.status, got.text) == (403, "no handshake")


def test_a_handshake_that_a_gateway_refuses(proxy: Any, raw_backend: Any) -> None:
    answer = b"Status: 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    backend = raw_backend([lambda talk: talk.fill(), answer])
    front = proxy(SCGI, ports={"back": backend.port})
    with pytest.raises(InvalidStatus) as refused:
        connect(front.url("/", "ws")).close()
    assert refused.value.response.status_code == 401
