"""The master: starts workers and looks after them. It never serves.

Signals are kept pending and waited for one at a time, so that nothing here is interrupted by them, and the log can say
who sent one.
"""

from __future__ import annotations

import gc
import os
import sys
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

from penstock.observe.errorlog import ALERT, EMERG, ERROR, NOTICE, report
from penstock.process.adoption import Adopter
from penstock.process.channel import Channel, Message
from penstock.process.child import Child, wait_until_begun
from penstock.process.control import remove_folder as remove_control
from penstock.process.cycle import Cycle
from penstock.process.handover import AGAIN, TAKE, give_to_sibling, order
from penstock.process.inherited import Inherited
from penstock.process.launch import Launch
from penstock.process.logs import redirect_stderr
from penstock.process.manager import Manager
from penstock.process.pidfile import remove_pid_file
from penstock.process.reload import Reload, Workers
from penstock.process.serving import FATAL, serve
from penstock.process.signals import HANDLED, shown
from penstock.process.title import set_title
from penstock.process.upgrade import Change
from penstock.process.worker import Worker, log_crash

KILL_AFTER = 1.5
"""Seconds that workers have to obey SIGTERM."""

PROVEN = 10.0
"""Seconds after which a worker's death is no longer one of a row."""

LONGEST_DELAY = 10.0


class Master:
    """Call `run` once everything is bound, with signals held."""

    def __init__(self, launch: Launch, cycle: Cycle, inherited: Inherited, *, daemonised: bool) -> None:
        self.launch = launch
        self.reload = Reload(
            launch,
            cycle,
            Workers(self._staying, self._replace_living, self._match_number, self._succeed_workers),
            self._reloaded,
        )
        self.daemonised = daemonised
        self.change = Change(inherited)
        self.manager = Manager()
        self.children: dict[int, Child] = {}
        self._due: list[tuple[float, int, int]] = []
        self._stopping = False
        self._turn = 0
        self._kill_at: float | None = None
        # The master holds the writing end and nobody else does: workers read end of file when it is gone.
        self._life_read, self._life_write = os.pipe()

    @property
    def cycle(self) -> Cycle:
        """The configuration in force."""
        return self.reload.cycle

    def run(self) -> None:
        """Until the last worker is gone after TERM, INT or QUIT."""
        set_title(" ".join(["master process", *sys.argv]))
        # What was made so far stays: no collection in a worker shall touch it, and copy its pages.
        gc.freeze()
        self._start_workers()
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
            self.manager.tick(len(self.children))
        remove_pid_file(self.change.pid_file(self.cycle))
        remove_control(self.cycle.control)
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
        self._stopping = self.reload.stopped = True
        self.manager.stopping(self.change)
        self._tell(SIGTERM)
        if self._kill_at is None:
            self._kill_at = monotonic() + KILL_AFTER

    def _quit(self) -> None:
        self._stopping = self.reload.stopped = True
        self.manager.stopping(self.change)
        self.change.hand_over([child.channel for child in self.children.values()])
        self._tell(SIGQUIT)
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

    def _reloaded(self) -> None:
        """Taken up by all workers, or not at all."""
        self.manager.reloaded()

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
        self._due = [entry for entry in self._due if entry[1] in wanted]
        staying = self._staying()
        there = {child.index for child in staying} | {index for _, index, _ in self._due}
        for index in wanted:
            if index not in there:
                self._spawn(index, 0)
        takers = [child for child in staying if child.index in wanted]
        for at, child in enumerate(child for child in staying if child.index not in wanted):
            if takers:
                give_to_sibling(child.channel, takers[at % len(takers)].channel)
            self._send_away(child)

    def _replace_living(self, child: Child) -> None:
        """Start another worker in the place of one that goes on with what it has, and nothing else."""
        self._spawn(child.index, 0)
        self._send_away(child)

    def _succeed_workers(self) -> None:
        """Start workers for a new configuration and send the old ones away, when those accept, so that no moment is
        without one."""
        old = self._staying()
        self._due.clear()
        report(None, NOTICE, "start worker processes")
        begun = os.pipe()
        started = [index for index in range(self.cycle.workers) if self._spawn(index, 0, begun)]
        os.close(begun[1])
        wait_until_begun(begun[0], len(started))
        os.close(begun[0])
        for child in old:
            self._send_away(child)

    def _spawn(self, index: int, failures: int, begun: tuple[int, int] | None = None) -> bool:
        ours, theirs = Channel.pair()
        ours.signal_to(os.getpid())
        cell = self.manager.cell()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self.manager.reaped(cell)
            words = f"({error.errno}: {os.strerror(error.errno or 0)})"
            report(None, ALERT, f'fork() failed while spawning "worker process" {words}')
            self._due.append((monotonic() + LONGEST_DELAY, index, failures))
            return False
        if not pid:
            ours.close()
            self._become_worker(index, begun, theirs, cell)
        theirs.close()
        report(None, NOTICE, f"start worker process {pid}")
        child = self.children[pid] = Child(pid, index, failures, ours, cell)
        for kind in ("adopted", "refused"):
            ours.handlers[kind] = partial(self.reload.answered, child)
        ours.handlers[AGAIN] = partial(self._give_again, child)
        return True

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

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                child.channel.close()
                self.reload.gone(child)
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
            if child is None or child.leaving or self._stopping:
                continue
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == FATAL:
                report(None, ALERT, f"{name} exited with fatal code {FATAL} and cannot be respawned")
                continue
            self._replace(child)

    def _replace(self, child: Child) -> None:
        """At once the first time; a place whose workers die again and again waits longer and longer."""
        failures = 0 if monotonic() - child.started > PROVEN else child.failures
        delay = min(LONGEST_DELAY, 0.1 * 2 ** (failures - 1)) if failures else 0.0
        if failures:
            words = f"{failures + 1} workers in a row have died soon after their start"
            report(None, ERROR, f"{words}: the next one in this place begins in {delay:g}s")
        self._due.append((monotonic() + delay, child.index, failures + 1))

    def _respawn(self) -> None:
        if self._stopping or not self._due:
            return
        now = monotonic()
        ready = [entry for entry in self._due if entry[0] <= now]
        self._due = [entry for entry in self._due if entry[0] > now]
        for _, index, failures in ready:
            self._spawn(index, failures)

    def _timeout(self) -> float | None:
        moments = [] if self._stopping else [when for when, _, _ in self._due]
        moments += [when for when in (self._kill_at, self.reload.deadline) if when is not None]
        if self.manager.due != inf:
            moments.append(self.manager.due)
        return max(0.0, min(moments) - monotonic()) if moments else None

    def _escalate(self) -> None:
        if self._kill_at is not None and monotonic() >= self._kill_at:
            self._kill_at = None
            self._tell(SIGKILL)

    def _send_away(self, child: Child) -> None:
        child.leaving = True
        self._kill(child.pid, SIGQUIT)

    def _tell(self, number: int) -> None:
        for pid in self.children:
            self._kill(pid, number)

    def _kill(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except OSError as error:
            words = f"({error.errno}: {os.strerror(error.errno or 0)})"
            report(None, ALERT, f"kill({pid}, {number}) failed {words}")
