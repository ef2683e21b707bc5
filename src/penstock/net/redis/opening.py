"""Opening a connection to Redis: names, TLS, passwords and Sentinel are the business of the library `redis`.

The library waits, so it works in a thread of its own, which ends with the opening. What it gives is a socket that has
been let in, and that the loop has from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.config.addresses import address_text
from penstock.net.stream import Stream
from penstock.net.tls.tls import TlsStream

if TYPE_CHECKING:
    import socket

    from penstock.net.loop import Loop

PATIENCE = 2.0
"""Seconds for each step of opening: connecting, TLS, and each answer."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and how it lets us in. `sentinels` know where the one called `master` is, and let us in in a way
    of their own; `trusted` vouches for them, too. In a `cluster` one of the nodes has the keys of `tag`."""

    host: str
    port: int
    database: int = 0
    socket_path: str = ""
    tls: bool = False
    trusted: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    master: str = ""
    sentinels: tuple[tuple[str, int], ...] = ()
    cluster: bool = False
    tag: str = "penstock"
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    sentinel_tls: bool = False

    @property
    def shown(self) -> str:
        """Return how the address is written in logs: without what lets one in."""
        if self.socket_path:
            return address_text(self.socket_path)
        scheme = "rediss" if self.tls else "redis"
        if self.sentinels:
            return f"{scheme}://{self.master} (sentinel)"
        return f"{scheme}://{address_text((self.host, self.port))}/{self.database}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that has been let in. `run` names the run of the server: another one may have forgotten all."""

    stream: Stream
    run: str
    version: str


Told = Callable[["Opened | None", str], None]


class Opening:
    """One attempt. `done` is called on the loop, once, with what was opened or with what was in the way."""

    def __init__(self, loop: Loop, address: RedisAddress, done: Told) -> None:
        self._loop = loop
        self._address = address
        self._done: Told | None = done
        # Not the loop's pool of threads, which lookups of names share, and which the end of the process waits for.
        threading.Thread(target=self._work, name="redis", daemon=True).start()

    def abandon(self) -> None:
        """Close what comes of it: nobody waits for it any more."""
        self._done = None

    def _work(self) -> None:
        found: tuple[socket.socket, str, str] | None = None
        trouble = ""
        try:
            found = _open(self._address)
        except Exception as error:  # whatever the library raises is a reason to try again, and nothing else
            trouble = _words(error, self._address)
        try:
            self._loop.call_soon_threadsafe(self._tell, found, trouble)
        except RuntimeError:  # the loop is closed: the process is on its way out
            if found is not None:
                found[0].close()

    def _tell(self, found: tuple[socket.socket, str, str] | None, trouble: str) -> None:
        done, self._done = self._done, None
        if found is None:
            if done is not None:
                done(None, trouble)
            return
        sock, run, version = found
        if done is None:
            sock.close()
            return
        sock.setblocking(False)
        stream = Stream(sock, self._loop)
        inner = getattr(sock, "_sslobj", None)
        if inner is not None:
            stream = TlsStream(stream, stream.fd, inner, 0, None)
            stream._sock = sock  # which `inner` refers to weakly
        done(Opened(stream, run, version), "")


def _open(address: RedisAddress) -> tuple[socket.socket, str, str]:
    # Any: the library has few types. The master has imported it already, with the configuration that wants it.
    redis: Any = import_module("redis")
    place = _place(address)
    known: dict[str, Any] = {
        "db": address.database,
        "username": address.user,
        "password": address.password,
        "protocol": 3,
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
    }
    if address.socket_path:
        made = redis.UnixDomainSocketConnection(path=address.socket_path, **known)
    elif address.tls:
        made = redis.SSLConnection(host=place[0], port=place[1], **_verified(address), **known)
    else:
        made = redis.Connection(host=place[0], port=place[1], **known)
    made.connect()
    made.send_command("INFO", "server")
    told = made.read_response()
    text = told.decode("latin-1") if isinstance(told, bytes) else str(told)
    about = dict(line.partition(":")[::2] for line in text.splitlines())
    # The socket is ours from here on: the library closes what its object still has when that goes.
    sock: socket.socket = made._sock
    made._sock = None
    return sock, about.get("run_id", ""), about.get("redis_version", "")


def _verified(address: RedisAddress) -> dict[str, object]:
    """What the server's certificate has to be. Older versions of the library ask for no name unless they are told."""
    return {"ssl_ca_data": address.trusted, "ssl_cert_reqs": "required", "ssl_check_hostname": True}


def _place(address: RedisAddress) -> tuple[str, int]:
    """Return host and port of who has the keys now."""
    if address.sentinels:
        sentinel: Any = import_module("redis.sentinel")
        known: dict[str, object] = {
            "username": address.sentinel_user,
            "password": address.sentinel_password,
            "ssl": address.sentinel_tls,
            **(_verified(address) if address.sentinel_tls else {}),
            "socket_timeout": PATIENCE,
            "socket_connect_timeout": PATIENCE,
        }
        asked = sentinel.Sentinel(list(address.sentinels), sentinel_kwargs=known)
        try:
            host, port = asked.discover_master(address.master)
            return str(host), int(port)
        finally:
            for each in asked.sentinels:
                each.close()
    if address.cluster:
        library: Any = import_module("redis.cluster")
        cluster = library.RedisCluster(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            ssl=address.tls,
            **(_verified(address) if address.tls else {}),
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
        )
        try:
            node = cluster.get_node_from_key("{" + address.tag + "}")
            return str(node.host), int(node.port)
        finally:
            cluster.close()
    return address.host, address.port


def _words(error: Exception, address: RedisAddress) -> str:
    """What the library said, on one line; should it ever quote a password, that is left out."""
    words = " ".join(str(error).split()) or type(error).__name__
    for secret in (address.password, address.sentinel_password):
        if secret:
            words = words.replace(secret, "***")
    return words[:200]
