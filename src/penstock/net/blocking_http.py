"""HTTP for a program that does one thing at a time: a bounded answer, or one that goes on, over TCP, TLS or a unix
socket. For processes beside the workers; what serves has its own (`http/`, `upstream/`)."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from penstock.net.errors import NetError

FAILURES = (OSError, http.client.HTTPException, ValueError)


class HttpFailed(NetError):
    """Raised where there is no good answer; the text says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class HttpPlace:
    """A server: a path of a unix socket, or a host and a port, with `tls` or without."""

    def __init__(self, *, path: str = "", host: str = "", port: int = 0, tls: bool = False) -> None:
        self._path = path
        self._host = host
        self._port = port
        self._tls = tls
        self.name = path or f"{host}:{port}"

    def get(
        self, target: str, *, most: int, timeout: float, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return the body of a 200, `most` bytes at most, and its headers, names in lower case. Raises `HttpFailed`."""
        with self._asked(target, timeout, headers or {}) as response:
            body = response.read(most + 1)
            if len(body) > most:
                raise HttpFailed(f"{self.name} answers with more than {most} bytes")
            return body, {name.lower(): value for name, value in response.getheaders()}

    @contextmanager
    def lines(self, target: str, *, most: int, timeout: float) -> Iterator[Iterator[bytes]]:
        """Give the lines of an answer that goes on, of `most` bytes each; the end of it ends them. Silence of `timeout`
        seconds, and whatever else goes wrong, raises `HttpFailed` or `TimeoutError` in whoever reads them."""
        with self._asked(target, timeout, {}) as response:
            yield self._each(response, most)

    def _each(self, response: http.client.HTTPResponse, most: int) -> Iterator[bytes]:
        while True:
            line = response.readline(most + 1)
            if not line:
                return
            if len(line) > most:
                raise HttpFailed(f"{self.name} answers with a line of more than {most} bytes")
            yield line

    @contextmanager
    def _asked(self, target: str, timeout: float, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection: http.client.HTTPConnection
        if self._path:
            connection = _UnixConnection(self._path, timeout)
        elif self._tls:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request("GET", target, headers={"Accept": "application/json", **headers})
            response = connection.getresponse()
            if response.status != 200:
                raise HttpFailed(f"{self.name} answers {response.status} to {target.partition('?')[0]}")
            yield response
        except TimeoutError:
            raise
        except FAILURES as error:
            raise HttpFailed(f"{self.name}: {error or type(error).__name__}") from None
        finally:
            connection.close()
