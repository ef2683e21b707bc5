"""An ASGI application, HTTP and WebSocket on one port, served by uvicorn."""

import asyncio
import json
import socket
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn

from harness.waiting import eventually


class AsgiBackend:
    """HTTP answers JSON (`name`, `method`, `path`, `query`, `headers`, `body`); a WebSocket echoes.

    `implementation` is uvicorn's `ws` setting: `websockets-sansio`, `wsproto`, ...
    """

    def __init__(self, name: str = "asgi", implementation: str = "auto") -> None:
        self.name = name
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        configuration = uvicorn.Config(
            self._application,
            interface="asgi3",
            ws=implementation,
            proxy_headers=False,
            lifespan="off",
            log_level="error",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started, why="uvicorn starts")

    def close(self) -> None:
        """Stop listening and end what is open."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _websocket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            if text == "name?":
                await send({"type": "websocket.send", "text": self.name})
            elif text is not None:
                await send({"type": "websocket.send", "text": text})
            else:
                await send({"type": "websocket.send", "bytes": event["bytes"]})

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        seen = {
            "name": self.name,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        answer = json.dumps(seen).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
