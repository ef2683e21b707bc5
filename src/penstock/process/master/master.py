"""The master: starts workers and looks after them. It never serves.

Signals are kept pending and waited for one at a time, so that nothing here is interrupted by them, and the log can say
who sent one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from signal import (
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGIO,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
    sigtimedwait,
    sigwaitinfo,
)
from time import monotonic
from typing import NoReturn

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, report
from penstock.process.channel import Channel, Message
from penstock.process.children import reap
from penstock.process.handover.orders import AGAIN, TAKE, give_to_sibling, order
from penstock.process.master.apart import set_apart
from penstock.process.master.asked import Asked
from penstock.process.master.child import Child, wait_until_begun
from penstock.process.master.comebacks import Comebacks
from penstock.process.master.helper_process import Helpers
from penstock.process.master.reload import Reload, Workers, note_death
from penstock.process.master.service_manager import Manager
from penstock.process.master.upgrade import Change
from penstock.process.master.works import WORKS
from penstock.process.startup.cycle import Cycle, remove_control
from penstock.process.startup.inherited import Inherited
from penstock.process.startup.launch import Launch
from penstock.process.startup.logs import redirect_stderr
from penstock.process.startup.pidfile import remove_pid_file
from penstock.process.startup.signals import HANDLED, shown
from penstock.process.startup.title import set_title
from penstock.process.worker.serving import FATAL, serve
from penstock.process.worker.take_plan import Adopter
from penstock.process.worker.worker import Worker, log_crash

KILL_AFTER = 1.5
"""Seconds that workers have to obey SIGTERM."""


class Master:
    """Call `run` once everything is bound, with signals held."""

    def __init__(self, launch: Launch, cycle: Cycle, inherited: Inherited, *, daemonised: bool) -> None:
        self.launch = launch
        self.reload = Reload(
            launch,
            cycle,
            Workers(self._staying, self._replace, self._match_number, self._replace_all),
            self._reloaded,
        )
        self.daemonised = daemonised
        self.change = Change(inherited)
        self.manager = Manager()
        self.children: dict[int, Child] = {}
        self.asked = Asked(self._reload_asked, lambda: self.reload.under_way, self.children)
        self._due = Comebacks()
        self._stopping = False
        self._turn = 0
        self._kill_at: float | None = None
        # The master holds the writing end and nobody else does: workers read end of file when it is gone.
        self._life_read, self._life_write = os.pipe()
        self.helpers = Helpers(WORKS, self._life_read, self._let_go)

    @property
    def cycle(self) -> Cycle:
        """Return the configuration in force."""
        return self.reload.cycle

    def run(self) -> None:
        """Run until the last worker is gone after TERM, INT or QUIT."""
        set_title(" ".join(["master process", *sys.argv]))
        # What was made so far stays: nobody in a worker shall touch it, and copy its pages.
        set_apart()
        self._start_workers()
        self.helpers.go_by(self.cycle.plan)
        self.change.introduce(self.cycle.workers)
        self._listen()
        self.manager.started(self.change)
        while not (self._stopping and not self.children):
            timeout = self._timeout()
            info = sigwaitinfo(HANDLED) if timeout is None else sigtimedwait(HANDLED, timeout)
            if info is not None:
                self._on_signal(info.si_signo, info.si_pid)
            self._respawn()
            self._escalate()
            self.reload.tick()
            self.helpers.tick(self.cycle.plan)
            self.manager.tick(len(self.children))
        remove_pid_file(self.change.pid_file(self.cycle))
        remove_control(self.cycle)
        report(None, NOTICE, "exit")
        if not self.change.keeps_socket_files:
            self.cycle.sockets.unlink()
        self.cycle.sockets.close()

    # Signals

    def _on_signal(self, number: int, sender: int) -> None:
        if number == SIGCHLD:
            self._reap()
            return
        if number == SIGIO:
            self._listen()
            for child in list(self.children.values()):
                child.channel.handle()
            return
        actions = {
            SIGTERM: (", exiting", self._terminate),
            SIGINT: (", exiting", self._terminate),
            SIGQUIT: (", shutting down", self._quit),
            SIGHUP: (", reconfiguring", self._reload),
            SIGUSR1: (", reopening logs", self._reopen),
            SIGUSR2: (", changing binary", self._upgrade),
            SIGWINCH: (", stop accepting connections" if self.daemonised else "", self._stop_accepting),
        }
        words, action = actions[number]  # type: ignore[index]
        sent = f" from {sender}" if sender else ""
        report(None, NOTICE, f"signal {shown(number)} received{sent}{words}")
        action()

    def _terminate(self) -> None:
        self._stop()
        self._signal_all(SIGTERM)
        if self._kill_at is None:
            self._kill_at = monotonic() + KILL_AFTER

    def _stop(self) -> None:
        self._stopping = True
        self.helpers.stop()
        self.reload.stop()
        self.manager.stopping(self.change)

    def _quit(self) -> None:
        self._stop()
        self.change.hand_over([child.channel for child in self.children.values()])
        self._signal_all(SIGQUIT)
        if not self.change.keeps_socket_files:
            self.cycle.sockets.unlink()
        self.cycle.sockets.close()

    def _reload(self) -> None:
        if self._stopping:
            return
        if self.change.successor:
            # The way back, as in nginx: workers by the configuration that is in force, for those that went by WINCH.
            self._start_again()
            return
        report(None, NOTICE, "reconfiguring")
        self.manager.reloading()
        self.reload.begin()

    def _reload_asked(self) -> bool:
        if not (refused := self._stopping or bool(self.change.successor)):
            self._reload()
        return not refused

    def _reloaded(self) -> None:
        """Taken up by all workers, or not at all."""
        self.manager.reloaded()
        self.asked.reloaded(succeeded=self.reload.succeeded)
        if not self._stopping:
            self.helpers.go_by(self.cycle.plan)

    def _reopen(self) -> None:
        report(None, NOTICE, "reopening logs")
        user = self.cycle.user
        for error in self.cycle.files.reopen(user.uid if user is not None else None):
            report(None, EMERG, str(error))
        redirect_stderr(self.cycle.plan, self.cycle.log)
        files = list(self.cycle.files)
        paths = {"paths": [file.path for file in files]}
        for child in self.children.values():
            if not child.channel.send("logs", paths, [file.fd for file in files]):
                self._kill(child.pid, SIGUSR1)

    def _stop_accepting(self) -> None:
        # A terminal that changes its size sends SIGWINCH to everybody in the foreground.
        if not self.daemonised:
            return
        self._due.clear()
        for child in self.children.values():
            self._send_away(child)

    def _upgrade(self) -> None:
        if not self._stopping:
            self.change.begin(self.cycle)

    def _listen(self) -> None:
        """The other master of an upgrade has said something: workers of ours shall take its workers' tunnels."""
        for offered in self.change.listen():
            staying = [] if self._stopping else self._staying()
            if staying:
                self._turn += 1
                order(staying[self._turn % len(staying)].channel, TAKE, offered)
            os.close(offered)

    def _give_again(self, child: Child, message: Message) -> None:
        """The worker of the other master that took its tunnels is no more: another one may take the rest."""
        message.drop()
        if self._stopping:
            self.change.hand_over([child.channel])

    # Workers

    def _start_again(self) -> None:
        if not self._stopping and not self._due and all(child.leaving for child in self.children.values()):
            self._start_workers()

    def _start_workers(self) -> None:
        report(None, NOTICE, "start worker processes")
        for index in range(self.cycle.workers):
            self._spawn(index, 0)

    def _staying(self) -> list[Child]:
        return [child for child in self.children.values() if not child.leaving]

    def _match_number(self) -> None:
        """Have as many workers as the configuration says. One that is too many gives its tunnels to another."""
        wanted = range(self.cycle.workers)
        self._due.keep(wanted)
        staying = self._staying()
        there = {child.index for child in staying} | self._due.places
        for index in wanted:
            if index not in there:
                self._spawn(index, 0)
        takers = [child for child in staying if child.index in wanted]
        for at, child in enumerate(child for child in staying if child.index not in wanted):
            if takers:
                give_to_sibling(child.channel, takers[at % len(takers)].channel)
            self._send_away(child)

    def _replace(self, children: Sequence[Child], patience: float) -> list[Child]:
        """Start others in the places of these, which go on with what they have and nothing else. Those in whose place
        nobody serves stay: they are given back."""
        begun = self._begin([child.index for child in children], patience)
        for child in children:
            if child.index in begun:
                self._send_away(child)
        return [child for child in children if child.index not in begun]

    def _replace_all(self, patience: float) -> bool:
        """Start workers for a new configuration and send the old ones away, when those accept, so that no moment is
        without one. Whether any does; if not, all is as before."""
        old = self._staying()
        report(None, NOTICE, "start worker processes")
        begun = self._begin(range(self.cycle.workers), patience)
        if not begun:
            return False
        self._due.only(index for index in range(self.cycle.workers) if index not in begun)
        for child in old:
            self._send_away(child)
        return True

    def _begin(self, places: Iterable[int], patience: float) -> set[int]:
        """Start a worker in each of these places; the places that have one which accepts. Others are given up."""
        begun = os.pipe()
        started = [child for index in places if (child := self._spawn(index, 0, begun)) is not None]
        os.close(begun[1])
        accepting = wait_until_begun(begun[0], len(started), patience)
        os.close(begun[0])
        for child in started:
            if child.pid not in accepting:
                child.leaving = True
                self._kill(child.pid, SIGKILL)
        return {child.index for child in started if child.pid in accepting}

    def _spawn(self, index: int, failures: int, begun: tuple[int, int] | None = None) -> Child | None:
        ours, theirs = Channel.pair()
        ours.signal_to(os.getpid())
        cell = self.manager.cell()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self.manager.reaped(cell)
            report(None, ALERT, os_failure("fork()", error, doing='while spawning "worker process"'))
            if begun is None:
                self._due.later(index, failures)
            return None
        if not pid:
            ours.close()
            self._become_worker(index, begun, theirs, cell)
        theirs.close()
        report(None, NOTICE, f"start worker process {pid}")
        child = self.children[pid] = Child(pid, index, failures, ours, cell)
        for kind in ("adopted", "refused"):
            ours.handlers[kind] = partial(self.reload.answered, child)
        ours.handlers |= {AGAIN: partial(self._give_again, child), **self.asked.handlers(child)}
        return child

    def _become_worker(self, index: int, begun: tuple[int, int] | None, channel: Channel, cell: int) -> NoReturn:
        """The rest of this process's life. Nothing of the master's may run after it, so it does not return."""
        code = 1
        try:
            os.close(self._life_write)
            if begun is not None:
                os.close(begun[0])
            for sibling in self.children.values():
                sibling.channel.close()
            self.children.clear()
            self.change.forget()
            worker = Worker(self._life_read, channel)
            Adopter(worker, self.launch, channel)
            self.manager.in_worker(worker.loop, cell)
            code = serve(self.reload.let_go(), index, worker, begun[1] if begun is not None else -1)
        except BaseException as error:
            log_crash(type(error), error, error.__traceback__)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _let_go(self) -> None:
        """In a process that is no worker: what is the master's alone is none of its business."""
        os.close(self._life_write)
        for child in self.children.values():
            child.channel.close()
        self.change.forget()
        self.cycle.sockets.close()

    def _reap(self) -> None:
        for pid, status in reap():
            if self.helpers.reaped(pid):
                continue
            child = self.children.pop(pid, None)
            if child is not None:
                child.channel.close()
                self.manager.reaped(child.cell)
            upgrading = pid == self.change.successor
            name = f"{'new binary' if upgrading else 'unknown' if child is None else 'worker'} process {pid}"
            if os.WIFSIGNALED(status):
                core = " (core dumped)" if os.WCOREDUMP(status) else ""
                report(None, ALERT, f"{name} exited on signal {os.WTERMSIG(status)}{core}")
            else:
                report(None, NOTICE, f"{name} exited with code {os.WEXITSTATUS(status)}")
            if upgrading:
                self.change.ended(status, self.cycle)
                self._start_again()
            if child is not None and not child.leaving and not self._stopping:
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == FATAL:
                    report(None, ALERT, f"{name} exited with fatal code {FATAL} and cannot be respawned")
                else:
                    self._due.after(child)
                    note_death(self.cycle)
            if child is not None:
                self.reload.gone(child)  # last: it counts those who are to come

    def _respawn(self) -> None:
        if self._stopping or not self._due:
            return
        for index, failures in self._due.take_ready():
            self._spawn(index, failures)

    def _timeout(self) -> float | None:
        moments = [] if self._stopping else self._due.moments
        others = (self._kill_at, self.reload.deadline, *self.helpers.due)
        moments += [when for when in others if when is not None]
        if self.manager.due != inf:
            moments.append(self.manager.due)
        return max(0.0, min(moments) - monotonic()) if moments else None

    def _escalate(self) -> None:
        if self._kill_at is not None and monotonic() >= self._kill_at:
            self._kill_at = None
            self._signal_all(SIGKILL)

    def _send_away(self, child: Child) -> None:
        child.leaving = True
        self._kill(child.pid, SIGQUIT)

    def _signal_all(self, number: int) -> None:
        for pid in self.children:
            self._kill(pid, number)

    def _kill(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except OSError as error:
            report(None, ALERT, os_failure(f"kill({pid}, {number})", error))
