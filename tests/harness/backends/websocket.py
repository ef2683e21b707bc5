"""A WebSocket echo server on the `websockets` library."""

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve, unix_serve
from websockets.typing import Subprotocol


class WebSocketEcho:
    """Sends every message back as it came; `name?` is answered with `name`, `close N` closes with code N.

    `handshakes` keeps (path, headers) of each opening; `closed` the (code, reason) of each end. `greet` makes
    it say its name first. `ping_interval` in seconds (None: it never speaks unasked). `handler` replaces the
    conversation.
    """

    def __init__(
        self,
        name: str = "ws",
        *,
        greet: bool = False,
        ping_interval: float | None = None,
        subprotocols: Sequence[str] = (),
        handler: Callable[[ServerConnection], None] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        path: Path | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.greet = greet
        self.handshakes: list[tuple[str, Headers]] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self._talk = handler or self._echo
        options.update(
            ssl=tls,
            ping_interval=ping_interval,
            subprotocols=[Subprotocol(each) for each in subprotocols] or None,
            process_response=self._note,
        )
        if path is not None:
            self._server = unix_serve(self._serve, str(path), **options)
            self.port = 0
        else:
            self._server = serve(self._serve, "127.0.0.1", port, **options)
            self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many handshakes succeeded."""
        return len(self.handshakes)

    def close(self) -> None:
        """Stop listening; connections that are open end with the test process."""
        self._server.shutdown()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Keep the opening before the response is on its way: who has read the 101 finds it in the list."""
        if response.status_code == 101:
            self.handshakes.append((request.path, request.headers))

    def _serve(self, connection: ServerConnection) -> None:
        try:
            self._talk(connection)
        except ConnectionClosed:
            pass
        finally:
            connection.close()
            self.closed.append((connection.close_code, connection.close_reason))

    def _echo(self, connection: ServerConnection) -> None:
        if self.greet:
            connection.send(self.name)
        for message in connection:
            if message == "name?":
                connection.send(self.name)
            elif isinstance(message, str) and message.startswith("close "):
                connection.close(int(message.removeprefix("close ")), "asked for")
            else:
                connection.send(message)
