"""A worker: one process with one loop that serves, until it is told to go or its master is gone."""

from __future__ import annotations

import gc
import sys
import traceback
from collections import deque
from math import inf
from signal import SIG_IGN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, signal
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet

from penstock.modules.main import Main
from penstock.modules.upstream import begin, succeed
from penstock.modules.websocket_drain import drain_rule
from penstock.net.loop import IN, new_loop
from penstock.net.timers import Alarm
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, WARN, report
from penstock.observe.files import CannotOpen, LogFile, LogFiles
from penstock.process.freeing import Freeing
from penstock.process.handover import Hands
from penstock.process.signals import admit
from penstock.process.title import set_title
from penstock.server.service import Service

if TYPE_CHECKING:
    import socket

    from penstock.net.fiber import Fiber
    from penstock.plan.location import Listen
    from penstock.plan.plan import Plan
    from penstock.process.channel import Channel
    from penstock.process.control import Control
    from penstock.server.drain import Drain

Bound: TypeAlias = "dict[Listen, socket.socket]"
GRACE = 0.1
"""Seconds between the end of accepting and the end of idle connections: what was accepted a moment ago has its request
on the way, which a close would lose."""

FREE_AFTER = 0.5
"""Seconds from taking a plan up to freeing those before, while everybody has other things to do."""

_POLL = 0.02
_GC_THRESHOLD = (50_000, 20, 50)
"""Connections leave no cycles behind, so that a collection mostly finds nothing; it shall not look often."""


class Serving(NamedTuple):
    """A plan in use: connections may go on by an older one."""

    service: Service
    files: LogFiles


class Worker:
    """Serves a plan on sockets that are bound. `lifeline` is a descriptor that reads end of file once the master is
    gone, -1 where there is no master; `channel` is where the master says what else it wants."""

    def __init__(self, lifeline: int = -1, channel: Channel | None = None) -> None:
        self.loop = new_loop()
        self.lifeline = lifeline
        self._channel = channel
        self._hands: Hands | None = None
        if channel is not None:
            self._hands = Hands(self.loop, channel, self._current)
            set_title("worker process")  # while it may: another user can not begin to
        self.leaving = False
        self._draining: Drain | None = None
        self._control: Control | None = None
        self._patience: float | None = None
        self._serving: list[Serving] = []
        self.sockets: Bound = {}
        self._following: list[Fiber[None]] = []
        self._older: WeakSet[LogFile] = WeakSet()
        self._left_behind: deque[tuple[float, float]] = deque()
        self._overdue = Alarm(self.loop.timers, self._abort_left_behind)
        self._freeing = Freeing(self.loop.call_soon)
        self._free = Alarm(self.loop.timers, self._freeing.begin)
        self._timeout = Alarm(self.loop.timers, self._abort_all)
        self._grace = Alarm(self.loop.timers, self._close_idle)
        self._look = Alarm(self.loop.timers, self._look_whether_drained)
        sys.excepthook = log_crash
        self.loop.set_exception_handler(_log_loop_error)

    def adopt(self, plan: Plan, sockets: Bound, files: LogFiles) -> None:
        """Serve by `plan` on `sockets` from now on, in place of what was served before. Requests that are under way go
        on by the plan they began with; tunnels too, unless that had a `worker_shutdown_timeout`."""
        files.keep_time(self.loop.timers)
        for fiber in self._following:
            fiber.cancel()
        if not self._serving:
            service = Service(plan, self.loop)
            service.control = "" if self._control is None else self._control.folder
            service.start(sockets)
        else:
            service, older = self._serving[-1]
            self._older.update(older.without(files))
            self._leave_behind(service)
            succeed(service.plan, plan)
            self._freeing.add(service.plan)
            service.control = "" if self._control is None else self._control.folder
            service.adopt(plan, sockets)
            self._grace.set(GRACE)
            if self._free.deadline == inf:
                self._free.set(FREE_AFTER)
        for sock in set(self.sockets.values()) - set(sockets.values()):
            sock.close()
        self.sockets = sockets
        self._serving = [Serving(service, files)]
        self._patience = plan.main.settings(Main).shutdown_timeout
        self.loop.call_soon(self._follow, plan)

    @property
    def plan(self) -> Plan:
        """What new requests go by."""
        return self._serving[-1].service.plan

    @property
    def files(self) -> LogFiles:
        """The log files of that plan."""
        return self._serving[-1].files

    @property
    def older_files(self) -> list[LogFile]:
        """Log files of plans before it to which somebody still has something to write."""
        return list(self._older)

    def _follow(self, plan: Plan) -> None:
        if plan is self.plan:
            service = self._serving[-1].service
            self._following = begin(plan, lambda: not service.draining)

    def _leave_behind(self, service: Service) -> None:
        """nginx's way with old workers: their connections end when idle, and all that is left ends after the timeout
        that their configuration gave them."""
        if self._patience:
            service.retire()
            now = self.loop.timers.now
            self._left_behind.append((now + self._patience, now))
            self._overdue.at(self._left_behind[0][0])

    def _abort_left_behind(self) -> None:
        now = self.loop.timers.now
        left = self._left_behind
        moment = -inf
        while left and left[0][0] <= now:
            moment = max(moment, left.popleft()[1])
        for each in self._serving:
            each.service.abort_all(moment)
        if left:
            self._overdue.at(left[0][0])

    def _current(self) -> tuple[Service, LogFiles] | None:
        """What serves new connections; None where nothing does any more."""
        return None if self.leaving or not self._serving else self._serving[-1]

    def ask_at(self, folder: str) -> None:
        """Let this worker be asked what it does, at a socket in `folder` (none where that is "")."""
        if self._control is not None:
            if self._control.folder == folder:
                return
            self._control.close()
            self._control = None
        if folder:
            from penstock.process.control import Control

            self._control = Control.open(self.loop, folder)

    def run(self) -> None:
        """Serve until it is over. Connections that are open then have been ended, and logs are written out."""
        loop = self.loop
        for number in (SIGTERM, SIGINT):
            loop.add_signal_handler(number, self.terminate)
        loop.add_signal_handler(SIGQUIT, self.quit)
        loop.add_signal_handler(SIGUSR1, self.reopen)
        if self.lifeline >= 0:
            for number in (SIGHUP, SIGUSR2, SIGWINCH):
                signal(number, SIG_IGN)
            loop.hot.watch(self.lifeline, IN, self._orphaned)
        if self._channel is not None:
            loop.hot.watch(self._channel.fileno(), IN, self._told)
        admit()
        gc.set_threshold(*_GC_THRESHOLD)
        gc.freeze()
        try:
            loop.run_forever()
        finally:
            if self._control is not None:
                self._control.close()
            for each in self._serving:
                each.files.flush()
        report(None, NOTICE, "exit")

    def quit(self) -> None:
        """Accept nothing more, end what is idle, and go when the last connection has ended."""
        if self.leaving:
            return
        self.leaving = True
        report(None, NOTICE, "gracefully shutting down")
        set_title("worker process is shutting down")
        for each in self._serving:
            each.service.stop_accepting()
            each.service.leaving = True
        for sock in self.sockets.values():
            sock.close()
        self._grace.set(GRACE)
        if self._patience:
            self._timeout.set(self._patience)
        if self._channel is not None and self._hands is not None:
            # What can be handed over is not sent away: the master has said so before it sent the signal.
            self._channel.handle()
            self._hands.when_given(self._drain)
        else:
            self._drain()
        self._look_whether_drained()

    def _drain(self) -> None:
        """Send the tunnels away, if that is how they are to end (`websocket_drain`)."""
        rule = drain_rule(self._serving[-1].service.plan) if self._serving else None
        if rule is None:
            return
        from penstock.server.drain import Drain

        window = min(rule.window, self._patience or rule.window)
        tunnels = self.loop.tunnels
        self._draining = Drain(self.loop, tunnels, window, rule.code, what="all", more=lambda: list(tunnels))

    def terminate(self) -> None:
        """End everything and go."""
        self.leaving = True
        for each in self._serving:
            each.service.stop_accepting()
        self._abort_all()
        for each in self._serving:
            each.service.cut()
        self._leave()

    def reopen(self) -> None:
        """Go on in the log files that have the names now."""
        report(None, NOTICE, "reopening logs")
        for each in self._serving:
            for error in each.files.reopen():
                report(None, EMERG, str(error))
        self.reopen_older()

    def reopen_older(self) -> None:
        """As for logs of plans that were replaced, to which tunnels still have something to write. One that this
        process may not open goes on where it is."""
        for file in self.older_files:
            try:
                file.reopen(None)
            except CannotOpen as error:
                report(None, WARN, str(error))

    def _close_idle(self) -> None:
        for each in self._serving:
            each.service.close_idle()

    def _told(self, mask: int) -> None:
        """The master has said something, or is gone, which the lifeline tells too."""
        assert self._channel is not None
        self._channel.handle()
        if self._channel.closed:
            self.loop.hot.forget(self._channel.fileno())

    def _abort_all(self) -> None:
        for each in self._serving:
            each.service.abort_all()

    def _look_whether_drained(self) -> None:
        if any(each.service.live for each in self._serving):
            self._look.set(_POLL)
            return
        if self._draining is not None:
            self._draining.finish()
        self._leave()

    def _leave(self) -> None:
        report(None, NOTICE, "exiting")
        self.loop.stop()

    def _orphaned(self, mask: int) -> None:
        self.loop.hot.forget(self.lifeline)
        report(None, ALERT, "the master process is gone")
        self.quit()


def log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A mistake of ours that nobody caught: one line, so that it can be found."""
    words = "".join(traceback.format_exception(kind, error, trace))
    report(None, ALERT, "internal error: " + words.rstrip().replace("\n", " | "))


def _log_loop_error(loop: Any, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BaseException):
        log_crash(type(error), error, error.__traceback__)
    else:
        report(None, ALERT, f"internal error: {context.get('message')}")
