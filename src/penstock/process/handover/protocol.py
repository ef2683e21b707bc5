"""What two workers say to each other while one hands its tunnels to the other: frames on a stream socket.

    kind   descriptors   lengths of text, first and second bytes     text (JSON)   bytes   bytes
    1      1             3 x 4, big-endian

The descriptors of a frame travel with its first byte (SCM_RIGHTS), so that they are there when the frame is whole.

    giver                                       taker
    HELLO  {version, program}            ->
                                         <-     HELLO   {version, program}
    PLACE  {path} + the file             ->
    TUNNEL {id, ...} + client, backend   ->             ... a batch of them, paused by the giver
    ASK                                  ->
                                         <-     READY   {ready: [id], refused: [{id, why}]}
    GO     {ids}                         ->             from here on they are the taker's

A tunnel belongs to the giver until it writes GO, having closed its own descriptors before. If the taker is gone before,
the giver goes on; if the giver is gone, the taker forgets what was not its own yet.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from errno import EAGAIN, EINTR
from typing import NamedTuple

from penstock.shared.json_fields import Fields, Strange

VERSION = 2

_HEAD = struct.Struct("!BBIII")
_LONGEST_TEXT = 1 << 22
_MOST_BYTES = 1 << 22
_READ = 1 << 16
_MOST_DESCRIPTORS = 2
_SPACE = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)


class FrameKind(IntEnum):
    """What a frame says."""

    HELLO = 1
    PLACE = 2
    TUNNEL = 3
    ASK = 4
    READY = 5
    GO = 6


class HandoverFrame(NamedTuple):
    """One of them. Who takes it owns its descriptors."""

    kind: FrameKind
    fields: Fields
    fds: tuple[int, ...] = ()
    one: bytes = b""
    other: bytes = b""


class Gone(Exception):
    """The other side has closed, or can not be understood; the text says which."""


class PeerClosed(Gone):
    """The other side has closed, or its process has ended: another one may do better."""


class HandoverLink:
    """One end of the connection: frames out of a non-blocking socket, and into it."""

    __slots__ = ("_buffer", "_fds", "_out", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._buffer = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[memoryview, Sequence[int]]] = deque()

    def queue(
        self, kind: FrameKind, text: Mapping[str, object], fds: Sequence[int] = (), one: bytes = b"", other: bytes = b""
    ) -> None:
        """Queue a frame; `flush` sends it. Its descriptors must stay open until then."""
        words = json.dumps(text, separators=(",", ":"), allow_nan=False).encode()
        head = _HEAD.pack(kind, len(fds), len(words), len(one), len(other))
        self._out.append((memoryview(b"".join((head, words, one, other))), fds))

    def flush(self) -> bool:
        """Send what is queued; whether all has gone. Raises `Gone`."""
        while self._out:
            data, fds = self._out[0]
            try:
                sent = socket.send_fds(self.sock, [data], list(fds)) if fds else self.sock.send(data)
            except OSError as error:
                if error.errno in (EAGAIN, EINTR):
                    return False
                raise PeerClosed(os.strerror(error.errno or 0)) from None
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = data[sent:], ()
        return True

    def hear(self) -> Iterator[HandoverFrame]:
        """Return the frames that have come whole. Raises `Gone` at the end, and for what can not be understood."""
        self._receive()
        while (frame := self._next()) is not None:
            yield frame

    def close(self) -> None:
        """End the link: nothing more is said or heard; descriptors that came for nothing are closed."""
        self.sock.close()
        self._out.clear()
        while self._fds:
            os.close(self._fds.popleft())

    def _receive(self) -> None:
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(_READ, _SPACE, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            if error.errno in (EAGAIN, EINTR):
                return
            raise PeerClosed(os.strerror(error.errno or 0)) from None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = len(content) - len(content) % 4
                self._fds.extend(struct.unpack(f"{whole // 4}i", content[:whole]))
        if flags & socket.MSG_CTRUNC:
            # Nobody could tell any more which descriptor belongs to which frame.
            raise Gone("too many open files to take descriptors")
        if not data:
            raise PeerClosed("the other side has closed")
        self._buffer += data

    def _next(self) -> HandoverFrame | None:
        buffer = self._buffer
        if len(buffer) < _HEAD.size:
            return None
        kind, count, text, one, other = _HEAD.unpack_from(buffer)
        if text > _LONGEST_TEXT or one > _MOST_BYTES or other > _MOST_BYTES or count > _MOST_DESCRIPTORS:
            raise Gone("a frame is longer than any may be")
        whole = _HEAD.size + text + one + other
        if len(buffer) < whole:
            return None
        at = _HEAD.size + text
        words = bytes(buffer[_HEAD.size : at])
        first, second = bytes(buffer[at : at + one]), bytes(buffer[at + one : whole])
        del buffer[:whole]
        try:
            fields = Fields(json.loads(words), "a frame")
            named = FrameKind(kind)
        except (ValueError, RecursionError) as error:
            raise Gone(f"a frame can not be read: {error}") from None
        if count > len(self._fds):
            raise Gone("a frame lacks its descriptors")
        return HandoverFrame(named, fields, tuple(self._fds.popleft() for _ in range(count)), first, second)


def greeting(program: str) -> dict[str, object]:
    """Return what HELLO says."""
    return {"version": VERSION, "program": program}


def check_greeting(fields: Fields) -> str:
    """Check the other side's program, and return it. Raises `Gone` for one that speaks otherwise."""
    try:
        version, program = fields.whole("version"), fields.text("program")
    except Strange as error:
        raise Gone(str(error)) from None
    if version != VERSION:
        raise Gone(f"{program[:80]} hands tunnels over in version {version}, this program in version {VERSION}")
    return program
