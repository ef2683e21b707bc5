"""A program that has imported Penstock, and becomes one script after another by forking.

    server.py FD WHAT FILLER

To import everything costs most of a start's time, and each start of a test would pay it. `forked.py` starts this
program, asks it at the socket FD, and has what it forks in its hands as if it had started that itself:

    -> {"script", "arguments", "environment", "session", "umask", "limits", "numbers"}, with descriptors: one socket for
       all that is to be said of this child, its working directory, and those that it shall have under `numbers`
    <- on that socket: the process id, and at its end how it ended, as `Popen.returncode` says it

A child has nothing of this program but what it has imported: no descriptor, no signal's disposition, no variable, no
random state. It is a zombie until whoever asked has heard how it ended. Whoever started this program ends it by closing
the socket, or by dying; children that run then go on, as other programs do whose parent has died.

WHAT is "" for what a start of the server imports, "all" for what commands import, too. FILLER makes room for the titles
of processes.
"""

import fcntl
import gc
import io
import json
import os
import resource
import select
import signal
import socket
import sys
import types
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

LARGEST = 1 << 20
"""Bytes of a request."""

MOST_DESCRIPTORS = 250


class Child:
    """One that was forked. `told` is the socket of whoever asked for it."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.told = told
        self.watched = os.pidfd_open(pid)

    def say_end(self) -> None:
        """Say how it ended. It is still there, and so is its number."""
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert result is not None
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        with suppress(OSError):  # nobody wants to know
            self.told.send(str(code).encode())

    def forget(self) -> None:
        """Let its number go."""
        os.waitpid(self.pid, 0)
        os.close(self.watched)
        self.told.close()


def import_penstock(*, everything: bool) -> None:
    """Import what a start imports, and read what it reads of itself. The collector shall not see it: a child that
    collects would copy it all."""
    from penstock import cli, doctor
    from penstock.cli import configtest, control, main, paths  # noqa: F401
    from penstock.modules.load import known
    from penstock.process import start  # noqa: F401
    from penstock.process.imports.early import provide

    provide()
    known()
    if everything:
        for package in (cli, doctor):
            for each in walk_packages(package.__path__, f"{package.__name__}."):
                import_module(each.name)
    gc.collect()
    gc.freeze()


def serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork what is asked for. Returns in each child, with what it shall be and its descriptors; exits in the parent
    when there is nobody any more who could ask."""
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    running: dict[int, Child] = {}
    ended: dict[int, Child] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == asked.fileno():
                text, descriptors, _, _ = socket.recv_fds(asked, LARGEST, MOST_DESCRIPTORS)
                if not text:
                    sys.exit()
                told = socket.socket(fileno=descriptors[0])
                pid = os.fork()
                if not pid:
                    return json.loads(text), descriptors[1:]
                for each in descriptors[1:]:
                    os.close(each)
                child = Child(pid, told)
                told.send(str(pid).encode())
                running[child.watched] = child
                poll.register(child.watched, select.POLLIN)
            elif fd in running:
                child = running.pop(fd)
                poll.unregister(fd)
                child.say_end()
                ended[child.told.fileno()] = child
                poll.register(child.told, select.POLLIN)
            else:
                poll.unregister(fd)
                ended.pop(fd).forget()


def become(wanted: dict[str, Any], descriptors: list[int], disposition: Any) -> None:
    """Make this child what it would be, had it been started as `wanted` says."""
    signal.signal(signal.SIGINT, disposition)
    if wanted["session"]:
        os.setsid()
    os.fchdir(descriptors[0])
    take_descriptors(descriptors[1:], wanted["numbers"])
    os.umask(wanted["umask"])
    for number, (soft, hard) in wanted["limits"]:
        if resource.getrlimit(number) != (soft, hard):
            resource.setrlimit(number, (soft, hard))
    os.environ.clear()
    os.environ.update(wanted["environment"])
    renew_streams()
    script = wanted["script"]
    sys.path.insert(0, os.path.dirname(script))
    sys.argv = [script, *wanted["arguments"]]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123
        name.write(os.path.basename(script))  # noqa: PTH119


def take_descriptors(descriptors: list[int], numbers: list[int]) -> None:
    """Have these under these numbers, and no others."""
    above = max(numbers) + 1
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, above) for each in descriptors]
    for fd, number in zip(moved, numbers, strict=True):
        os.dup2(fd, number)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) not in numbers:
            with suppress(OSError):  # the folder itself
                os.close(int(name))


def renew_streams() -> None:
    """Make the standard streams anew: how they write depends on what they write to."""
    for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, name)
        # As Python does it: PYTHONUNBUFFERED is about what is written.
        buffered = not old.write_through
        raw = open(fd, f"{mode}b", -1 if buffered or mode == "r" else 0, closefd=False)  # noqa: SIM115
        text = io.TextIOWrapper(
            raw,
            old.encoding,
            old.errors,
            newline="\n" if mode == "w" else None,
            line_buffering=buffered and (fd == 2 or raw.isatty()),
            write_through=old.write_through,
        )
        for owner, attribute, value in ((text, "mode", mode), (sys, name, text), (sys, f"__{name}__", text)):
            setattr(owner, attribute, value)


def run(script: str) -> None:
    """Be the script, to its end."""
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    with open(script, "rb") as file:  # noqa: PTH123
        code = compile(file.read(), script, "exec")
    exec(code, main.__dict__)


if __name__ == "__main__":
    del sys.path[0]  # this folder; each script has its own there
    # What a terminal interrupts is pytest, which ends this program.
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_penstock(everything=sys.argv[2] == "all")
    become(*serve(socket.socket(fileno=int(sys.argv[1]))), usual)
    run(sys.argv[0])
