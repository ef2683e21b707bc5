"""The backend of both proxies: takes down what reaches it, and answers as the case says.

Proxies tell it whose request they pass on by the header `Case: $remote_addr`; each case has an address of its own.
"""

import asyncio
import re
import socket
from collections import defaultdict
from collections.abc import Mapping

from differential.cases import Case, Step

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_CASE = re.compile(rb"\r\nCase: ([0-9.]+)\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_HEX = re.compile(rb"[0-9a-fA-F]+")
_MOST = 1 << 22


class Backend:
    """`received[address]` holds every request of a case, as bytes; what nobody owns is under ""."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self.cases = cases
        self.received: dict[str, list[bytes]] = defaultdict(list)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accepted, sock=listener, limit=_MOST)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                if isinstance(error, asyncio.LimitOverrunError) or error.partial:
                    self.received[""].append(getattr(error, "partial", b"too long"))
                return
            found = _CASE.search(head)
            address = found[1].decode() if found else ""
            records = self.received[address]
            records.append(head)
            number = len(records) - 1
            await self._read_body(reader, head, records)
            case = self.cases.get(address)
            script = case.backend[min(number, len(case.backend) - 1)] if case and case.backend else None
            if not script:
                writer.write(ANSWER)
                await writer.drain()
                return
            if not await self._follow(script, reader, writer, records, number):
                return

    async def _read_body(self, reader: asyncio.StreamReader, head: bytes, records: list[bytes]) -> None:
        number = len(records) - 1
        if _CHUNKED.search(head):
            while True:
                line = await reader.readline()
                records[number] += line
                digits = line.partition(b";")[0].strip()
                size = int(digits, 16) if _HEX.fullmatch(digits) else 0
                if size == 0:
                    break
                records[number] += await reader.readexactly(size + 2)
            while line := await reader.readline():
                records[number] += line
                if line == b"\r\n":
                    return
        elif length := _LENGTH.search(head):
            left = int(length[1])
            while left and (data := await reader.read(min(left, 65536))):
                records[number] += data
                left -= len(data)

    async def _follow(
        self,
        script: list[Step],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        records: list[bytes],
        number: int,
    ) -> bool:
        """Do what the script says; False when the connection is to be closed."""
        for step in script:
            if step.verb == "send":
                writer.write(step.data)
                await writer.drain()
            elif step.verb == "pause":
                await asyncio.sleep(step.seconds)
            elif step.verb == "hold":
                return True
            elif step.verb == "tunnel":
                while data := await reader.read(65536):
                    records[number] += data
                    writer.write(data.upper())
                    await writer.drain()
                return False
            elif step.verb == "reset":
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return False
            elif step.verb == "close":
                return False
        return False
