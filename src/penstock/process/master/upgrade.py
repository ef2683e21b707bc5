"""Another program in the place of this one, without a moment in which nobody listens (nginx: "Upgrading Executable on
the Fly", https://nginx.org/en/docs/control.html#upgrade).

    USR2   the master renames its pid file to *.oldbin and starts whatever program has its name now, with its listening
           descriptors (`NGINX=6;7;`, as nginx does: either may replace the other). Both serve.
    QUIT   to the old one: it hands its plain tunnels over (`handover.py`) and goes. Or to the new one, which then
           hands them back: the old one renames its pid file again and goes on.

A new program that does not come up leaves everything as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from signal import SIG_SETMASK, pthread_sigmask
from typing import TYPE_CHECKING, NoReturn

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, CRIT, ERROR, NOTICE, report
from penstock.process.channel import Channel
from penstock.process.handover.orders import give_to_other_program
from penstock.process.master.notify import for_successor
from penstock.process.startup.cycle import Cycle
from penstock.process.startup.inherited import VARIABLE, Inherited
from penstock.process.startup.pidfile import is_file, old_pid_file

if TYPE_CHECKING:
    from penstock.process.master.link import MasterLink

LINK = "PENSTOCK_LINK"
"""The variable by which a new program finds its end of the link to the old one."""

MOST_WORKERS = 1024


class Change:
    """A master's part in such a change: as the old one (`successor` is the new one's process id, else 0), or as the
    new one (`inherited` tells of the old one). `link` leads to the other master."""

    __slots__ = ("_came_up", "_takers", "inherited", "link", "successor")

    def __init__(self, inherited: Inherited) -> None:
        self.inherited = inherited
        self.successor = 0
        self._takers = 1
        self._came_up = False
        self.link: MasterLink | None = None
        if inherited.predecessor:
            from penstock.process.master.link import MasterLink

            self.link = MasterLink.inherited(os.environ.pop(LINK, ""))

    @property
    def keeps_socket_files(self) -> bool:
        """Return whether another program listens on our unix sockets, so that their files stay when we go."""
        return bool(self.successor) or self.inherited.predecessor_lives

    def pid_file(self, cycle: Cycle) -> str:
        """Return the file that has our process id."""
        return old_pid_file(cycle.pid_file) if self.successor else cycle.pid_file

    def begin(self, cycle: Cycle) -> None:
        """Start the new program, unless there is one already or we have just taken another's place."""
        if self.successor or self.inherited.predecessor_lives:
            report(
                None,
                CRIT,
                "the changing binary signal is ignored: "
                "you should shutdown or terminate before either old or new binary's process",
            )
            return
        if os.getpid() == 1:
            words = "the end of process 1 would be the end of its container, start another container"
            report(None, CRIT, f"the changing binary signal is ignored: {words}")
            return
        path, arguments = program()
        if not _rename(cycle.pid_file, old_pid_file(cycle.pid_file), f'before executing new binary process "{path}"'):
            return
        from penstock.process.master.link import MasterLink

        self._takers, self._came_up = 1, False
        call = "socketpair"
        try:
            self.link, theirs = MasterLink.pair()
            call = "fork"
            try:
                self.successor = _spawn(path, arguments, cycle, theirs)
            finally:
                os.close(theirs)
        except OSError as error:
            report(None, ALERT, os_failure(f"{call}()", error, doing='while spawning "new binary process"'))
            self._stay(cycle, f'after an attempt to execute new binary process "{path}"')
            return
        report(None, NOTICE, f"start new binary process {self.successor}")

    def ended(self, status: int, cycle: Cycle) -> None:
        """Go on in our own place: the new program has ended."""
        pid, self.successor = self.successor, 0
        self._stay(cycle, f"after the new binary process {pid} exited")
        if status and self._came_up:
            report(None, ERROR, "the new program has failed, the old one goes on")
        elif status:
            report(None, ERROR, "the new program did not come up, and says why above; the old one goes on")

    def introduce(self, workers: int) -> None:
        """Tell the master that this one shall replace how many workers there are to take its tunnels."""
        if self.link is not None:
            self.link.tell({"say": "workers", "count": workers})

    def hand_over(self, lines: Sequence[Channel]) -> None:
        """Let the workers at these lines give their tunnels to the other master's: we are going."""
        if self.link is not None and (self.successor or self.inherited.predecessor_lives):
            give_to_other_program(lines, self.link, self._takers)

    def listen(self) -> list[int]:
        """Open descriptors at which the other master's workers want to give their tunnels. Who gets them closes them.
        """
        offered: list[int] = []
        for message, fd in self.link.hear() if self.link is not None else ():
            count = message.get("count")
            if message.get("say") == "take" and fd >= 0:
                offered.append(fd)
                continue
            if message.get("say") == "workers" and type(count) is int and 0 < count <= MOST_WORKERS:
                self._takers, self._came_up = count, True
            if fd >= 0:
                os.close(fd)
        return offered

    def forget(self) -> None:
        """Close the link to the other master, in a worker, whose business it is not."""
        if self.link is not None:
            self.link.close()
            self.link = None

    def _stay(self, cycle: Cycle, when: str) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None
        _rename(old_pid_file(cycle.pid_file), cycle.pid_file, when, back=" back")


def program() -> tuple[str, list[str]]:
    """Return what started this program, and with which arguments: the file of that name may be a newer one by now."""
    script = sys.argv[0]
    if os.path.isfile(script) and os.access(script, os.X_OK):  # noqa: PTH113  nothing but a question
        return script, list(sys.argv)
    return sys.executable, list(sys.orig_argv)


def environment(cycle: Cycle, link: int) -> Mapping[str, str]:
    """Return our variables, for the interpreter may depend on them, and what `env` sets."""
    found = dict(os.environ)
    found.update({name: value for name, value in cycle.main.env if value is not None})
    found[VARIABLE] = "".join(f"{fd};" for fd in cycle.sockets.descriptors())
    found[LINK] = str(link)
    return found


def _spawn(path: str, arguments: list[str], cycle: Cycle, link: int) -> int:
    pid = os.fork()
    if not pid:
        _become(path, arguments, cycle, link)
    return pid


def _become(path: str, arguments: list[str], cycle: Cycle, link: int) -> NoReturn:
    try:
        for fd in (*cycle.sockets.descriptors(), link):
            os.set_inheritable(fd, True)
        pthread_sigmask(SIG_SETMASK, ())
        os.execve(path, arguments, {**environment(cycle, link), **for_successor(os.getpid())})
    except OSError as error:
        report(None, ALERT, os_failure("execve()", error, doing=f'while executing new binary process "{path}"'))
    finally:
        os._exit(1)


def _rename(old: str, new: str, when: str, back: str = "") -> bool:
    if not is_file(old):
        return True  # pid /dev/null
    try:
        os.rename(old.encode("latin-1"), new.encode("latin-1"))  # noqa: PTH104  bytes
    except OSError as error:
        report(None, ALERT, os_failure(f'rename(){back} "{old}" to "{new}"', error, doing=when))
        return False
    return True
