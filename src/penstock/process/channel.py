"""Between the master and a worker: a pair of sockets, and messages of a few kinds with descriptors.

    master -> worker    plan      a configuration to take up (`worker/take_plan.py`)
                        logs      log files that were opened anew
                        give, take  tunnels to hand over (`handover/orders.py`)
    worker -> master    adopted, refused    what became of a plan

A message is a kind, plain values, and descriptors, which are the receiver's from then on. Whoever adds a kind registers
what takes it (`handlers`); a kind that nobody takes is dropped, and its descriptors are closed. A datagram carries 253
descriptors at most: more of them go ahead of their message. Values that would not fit go as a file in memory.

Nothing here waits. The master is told of messages by SIGIO, since it waits for signals and for nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penstock.config.inputs import write_all

AHEAD, SHORT, LONG = b"+", b".", b"m"
"""What a datagram is: descriptors of the message to come; a message; one whose values are in its last descriptor."""

_MOST = 200
"""Descriptors in a datagram."""
_FITS = 16 * 1024
"""Bytes of values in a datagram."""
MOST_DESCRIPTORS = 16_384
LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """`fields` are values that JSON has."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()

    def drop(self) -> None:
        """Drop the message: nobody wants it."""
        for fd in self.descriptors:
            os.close(fd)


class Channel:
    """One end. `handlers` take messages by kind; `closed` says that the other side is gone."""

    __slots__ = ("_ahead", "closed", "handlers", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self.handlers: dict[str, Callable[[Message], None]] = {}
        self._ahead: list[int] = []

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Make the master's end and the worker's. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self.sock.fileno()

    def signal_to(self, process: int) -> None:
        """Let SIGIO tell a process that there is something to receive."""
        fcntl.fcntl(self.sock, fcntl.F_SETOWN, process)
        fcntl.fcntl(self.sock, fcntl.F_SETFL, fcntl.fcntl(self.sock, fcntl.F_GETFL) | os.O_ASYNC)

    def send(self, kind: str, fields: Mapping[str, object] | None = None, descriptors: Iterable[int] = ()) -> bool:
        """Send a message with copies of descriptors; whether the other side has room for it. Half a message that did
        not fit is the end of the channel."""
        data = json.dumps([kind, fields or {}]).encode()
        fds = list(descriptors)
        begun = False
        try:
            while len(fds) >= _MOST:
                socket.send_fds(self.sock, [AHEAD], fds[:_MOST])
                begun = True
                del fds[:_MOST]
            if len(data) <= _FITS:
                socket.send_fds(self.sock, [SHORT + data], fds)
                return True
            file = os.memfd_create("message", os.MFD_CLOEXEC)
            try:
                write_all(file, data)
                socket.send_fds(self.sock, [LONG], [*fds, file])
            finally:
                os.close(file)
        except OSError:
            if begun:
                self.close()
            return False
        return True

    def receive(self) -> list[Message]:
        """Return what has come, in order."""
        found: list[Message] = []
        while not self.closed:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, _FITS + 1, _MOST + 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            if not data:
                self.closed = True
                break
            self._ahead += fds
            if len(self._ahead) > MOST_DESCRIPTORS:
                self.close()
                break
            if data[:1] == AHEAD:
                continue
            message = self._made(data)
            if message is not None:
                found.append(message)
        return found

    def handle(self) -> None:
        """Give what has come to those who take it."""
        for message in self.receive():
            handler = self.handlers.get(message.kind)
            if handler is None:
                message.drop()
            else:
                handler(message)

    def close(self) -> None:
        self.closed = True
        for fd in self._ahead:
            os.close(fd)
        self._ahead.clear()
        with suppress(OSError):
            self.sock.close()

    def _made(self, data: bytes) -> Message | None:
        fds, self._ahead = self._ahead, []
        text = data[1:]
        if data[:1] == LONG and fds:
            file = fds.pop()
            size = os.fstat(file).st_size
            text = os.pread(file, size, 0) if size <= LONGEST else b""
            os.close(file)
        try:
            kind, fields = json.loads(text)
        except ValueError:
            kind, fields = None, None
        if type(kind) is not str or type(fields) is not dict:
            for fd in fds:
                os.close(fd)
            return None
        return Message(kind, fields, tuple(fds))
