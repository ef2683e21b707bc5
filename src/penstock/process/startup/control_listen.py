"""The address of nginx's control API: `-l unix:/path`. The master binds it, and all workers answer at it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from penstock.net.listener import BindFailed, bind
from penstock.observe.errorlog import EMERG, report
from penstock.process.startup.launch import NotStarted
from penstock.process.startup.privileges import User


class ControlAddress:
    """A unix socket that is bound, and its place in the file system."""

    __slots__ = ("_inode", "path", "sock")

    def __init__(self, path: str, sock: socket.socket) -> None:
        self.path = path
        self.sock = sock
        self._inode = os.stat(path.encode("latin-1")).st_ino

    def remove(self) -> None:
        """Close it, and take it away; one that another program has put in its place stays."""
        self.sock.close()
        with suppress(OSError):
            if os.stat(self.path.encode("latin-1")).st_ino == self._inode:
                os.unlink(self.path.encode("latin-1"))  # noqa: PTH108  bytes


def bind_control(path: str, user: User | None) -> ControlAddress | None:
    """Bind it, in place of what was left there; None if there is to be none. Raises `NotStarted`."""
    if not path:
        return None
    raw = path.encode("latin-1")
    partly = raw + b".%d" % os.getpid()
    try:
        # By another name first: whoever asks while a program takes another's place finds one of the two.
        sock = bind(os.fsdecode(partly), backlog=16)
        os.chmod(partly, 0o600)  # noqa: PTH101  bytes
        if user is not None:
            os.chown(partly, user.uid, user.gid)
        os.replace(partly, raw)  # noqa: PTH105  bytes
    except BindFailed as error:
        report(None, EMERG, str(error))
        raise NotStarted from None
    except OSError as error:
        report(None, EMERG, f'"{path}" of -l can not be made: {os.strerror(error.errno or 0)}')
        raise NotStarted from None
    return ControlAddress(path, sock)
