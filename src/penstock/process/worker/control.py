"""The control sockets: a folder with one unix socket for each worker, named after its process.

The master makes the folder, while it may, and gives it to the workers' user; each worker makes its own socket there and
takes it away when it goes. So workers of older configurations and of an older program can be asked as long as they
live. One question is one line of JSON, one answer another, and then the connection is closed; or it is HTTP
(`control_http.py`).
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from penstock.config.os_errors import os_reason
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber, spawn
from penstock.net.listener import Acceptor, BindFailed, bind
from penstock.observe.errorlog import NOTICE, WARN, report
from penstock.process.worker.control_http import ControlAnswer, ControlRequest, parse_control, rendered
from penstock.shared.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.net.loop import Loop
    from penstock.net.stream import Name, Stream
    from penstock.observe.selection import ToldTunnels
    from penstock.process.startup.privileges import User

Answering: TypeAlias = "Callable[[dict[str, object]], Awaitable[ToldTunnels]]"
"""Does what is asked. Raises `ValueError` with words for whoever asks."""

Following: TypeAlias = "Callable[[dict[str, object], Stream, tuple[int, int]], Awaitable[None]]"
"""Answers a question with line after line (`penstock tap`); process and user of whoever asks. Raises `ValueError`."""

HttpAnswering: TypeAlias = "Callable[[ControlRequest], Awaitable[ControlAnswer]]"
"""Does what is asked by nginx's control API."""

LONGEST_QUESTION = 65536
LONGEST_PATH = 107
"""Bytes of the name of a unix socket."""
PATIENCE = 5.0
"""Seconds for a question to come, and for an answer to go."""
MOST = 16
"""Questions at a time."""


def make_folder(folder: str, user: User | None) -> bool:
    """Make the folder ready for the workers; whether it is. What is in the way is said, and no reason not to start."""
    path = folder.encode("latin-1")
    try:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102  bytes
        # By its descriptor from here on: what has the name may be changed by whoever can write beside it.
        found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(found).st_uid not in (os.geteuid(), os.geteuid() if user is None else user.uid):
                report(None, WARN, f'no control socket: the folder "{folder}" is somebody else\'s')
                return False
            os.fchmod(found, 0o700)
            if user is not None:
                os.fchown(found, user.uid, user.gid)
        finally:
            os.close(found)
    except OSError as error:
        words = os_reason(error)
        report(None, NOTICE, f'no control socket: "{folder}" can not be made ({words})')
        return False
    sweep(folder)
    return True


def sweep(folder: str) -> None:
    """Take away sockets of processes that are no more."""
    for name in _names(folder):
        if not is_alive(int(name)):
            with suppress(OSError):
                os.unlink(_path(folder, name))  # noqa: PTH108  bytes


def remove_folder(folder: str) -> None:
    """Remove the folder once the last worker has gone. Where another program uses it, it stays."""
    if folder:
        sweep(folder)
        with suppress(OSError):
            os.rmdir(folder.encode("latin-1"))  # noqa: PTH106  bytes


def paths_in(folder: str) -> list[str]:
    """Return the sockets of a folder, those of dead workers among them. Raises `OSError`."""
    return [f"{folder}/{name}" for name in _names(folder, strict=True)]


def _names(folder: str, *, strict: bool = False) -> list[str]:
    try:
        names = os.listdir(folder.encode("latin-1"))  # noqa: PTH208  bytes
    except OSError:
        if strict:
            raise
        return []
    return sorted((name.decode("latin-1") for name in names if name.isdigit()), key=int)


def _path(folder: str, name: str) -> bytes:
    return f"{folder}/{name}".encode("latin-1")


class ControlListener:
    """A socket that is listened on, at which questions are answered until `stop`."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        answer: Answering,
        answer_http: HttpAnswering,
        follow: Following,
        *,
        shared: bool = False,
    ) -> None:
        self._follow = follow
        self._answer = answer
        self._answer_http = answer_http
        self._asking: set[Fiber[None]] = set()
        self._acceptor = Acceptor(loop, sock, self._accept, shared=shared)

    def stop(self) -> None:
        """Take no more questions; those that are being answered are answered."""
        self._acceptor.close()

    def _accept(self, stream: Stream, peer: Name) -> None:
        process, user = _who_asks(stream)
        if len(self._asking) >= MOST or user not in (0, os.geteuid()):
            stream.close()
            return
        fiber = spawn(self._talk(stream, (process, user)))
        if not fiber.done:
            self._asking.add(fiber)
            fiber.on_done(self._asking.discard)

    async def _talk(self, stream: Stream, who: tuple[int, int]) -> None:
        import json

        try:
            line = await _read_line(stream)
            asked = parse_control(line)
            if asked is not None:
                await _read_head(stream, line)
                said_http = rendered(asked, await self._answer_http(asked))
                await stream.send_all(said_http, timeout=PATIENCE)
                return
            try:
                question = json.loads(line)
                if not isinstance(question, dict):
                    raise ValueError("a question is an object")
                if question.get("do") == "tap":
                    await self._follow(question, stream, who)
                    return
                said: ToldTunnels = await self._answer(question)
            except (ValueError, RecursionError) as error:
                said = {"error": str(error)}
            await stream.send_all(json.dumps(said).encode() + b"\n", timeout=PATIENCE)
        except NetError:
            pass  # whoever asked has gone
        finally:
            stream.close()

class ControlSocket(ControlListener):
    """This worker's socket. It serves until `close`."""

    def __init__(
        self, loop: Loop, folder: str, answer: Answering, answer_http: HttpAnswering, follow: Following
    ) -> None:
        """Raises `BindFailed`, `OSError`."""
        self.folder = folder
        self._path = f"{folder}/{os.getpid()}"
        if len(self._path) > LONGEST_PATH:
            raise OSError(36, f"the path is longer than {LONGEST_PATH} bytes")
        with suppress(FileNotFoundError):
            os.unlink(self._path.encode("latin-1"))  # noqa: PTH108  bytes
        self._sock = bind(os.fsdecode(self._path.encode("latin-1")), backlog=16)
        os.chmod(self._path.encode("latin-1"), 0o600)  # noqa: PTH101  bytes
        super().__init__(loop, self._sock, answer, answer_http, follow)

    @classmethod
    def open(
        cls, loop: Loop, folder: str, answer: Answering, answer_http: HttpAnswering, follow: Following
    ) -> ControlSocket | None:
        """Open one, or return None with a word in the log."""
        try:
            return cls(loop, folder, answer, answer_http, follow)
        except BindFailed as error:
            report(None, WARN, f"no control socket: {error}")
        except OSError as error:
            report(None, WARN, f'no control socket in "{folder}": {error.strerror}')
        return None

    def close(self) -> None:
        """Answer nothing more, and take the socket away."""
        self.stop()
        self._sock.close()
        with suppress(OSError):
            os.unlink(self._path.encode("latin-1"))  # noqa: PTH108  bytes
        for fiber in list(self._asking):
            fiber.cancel()


async def _read_line(stream: Stream) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < LONGEST_QUESTION:
        more = await stream.recv(timeout=PATIENCE)
        if not more:
            break
        data += more
    return data


async def _read_head(stream: Stream, data: bytes) -> None:
    """Read the rest of a head, which says nothing of use. What follows it is not read."""
    while b"\r\n\r\n" not in data and b"\n\n" not in data and len(data) < LONGEST_QUESTION:
        more = await stream.recv(timeout=PATIENCE)
        if not more:
            break
        data += more


def _who_asks(stream: Stream) -> tuple[int, int]:
    """Return the process and the user of whoever asks. Root and our own user may; the folder keeps others out already.
    """
    found = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    process, user, _ = struct.unpack("iII", found)
    return process, user
