"""One connection of one case, from an address of its own."""

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from differential.cases import Case

_ANSWER_SECONDS = 3.0


class _Left(Exception):
    """The client goes by itself."""


@cache
def client_hello(name: str, *protocols: str) -> bytes:
    """What a client of TLS begins with, the same each time; `-` for no name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    sent = ssl.MemoryBIO()
    made = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=None if name == "-" else name)
    with suppress(ssl.SSLWantReadError):
        made.do_handshake()
    return sent.read()


@dataclass(slots=True)
class Heard:
    """What came back, and whether the connection was "open" or "closed" when nothing more came."""

    data: bytes = b""
    end: str = "open"


async def converse(case: Case, address: str, port: int, patience: float) -> Heard:
    """Do the case's steps, then wait until the other side closes or says nothing for `patience` seconds."""
    loop = asyncio.get_running_loop()
    heard = Heard()
    datagrams = case.port.startswith("udp")
    with socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        if not datagrams:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.bind((address, 0))
        await loop.sock_connect(connection, ("127.0.0.1", port))
        changed = asyncio.Event()
        reading = asyncio.create_task(_read(connection, heard, changed))
        try:
            await _act(case, connection, heard, changed)
            while heard.end == "open":
                changed.clear()
                try:
                    await asyncio.wait_for(changed.wait(), patience)
                except TimeoutError:
                    break
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    return heard


async def _read(connection: socket.socket, heard: Heard, changed: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(connection, 65536):
            heard.data += data
            changed.set()
    except ConnectionError:
        pass
    heard.end = "closed"
    changed.set()


async def _act(case: Case, connection: socket.socket, heard: Heard, changed: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    seen = 0
    for step in case.client:
        if heard.end == "closed":
            return
        try:
            if step.verb == "send":
                seen = len(heard.data)
                await loop.sock_sendall(connection, step.data)
            elif step.verb == "pause":
                await asyncio.sleep(step.seconds)
            elif step.verb == "hello":
                seen = len(heard.data)
                await loop.sock_sendall(connection, client_hello(*step.data.decode("ascii").split()))
            elif step.verb == "half-close":
                connection.shutdown(socket.SHUT_WR)
            elif step.verb in ("close", "reset"):
                if step.verb == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                raise _Left
            elif step.verb == "answer":
                deadline = time.monotonic() + _ANSWER_SECONDS
                while len(heard.data) == seen and heard.end == "open" and time.monotonic() < deadline:
                    changed.clear()
                    try:
                        await asyncio.wait_for(changed.wait(), deadline - time.monotonic())
                    except TimeoutError:
                        return
        except _Left:
            heard.end = "left"
            return
        except OSError:
            # What was answered before may still be on its way to the reader.
            return
