"""A worker: one process with one loop that serves, until it is told to go or its master is gone."""

from __future__ import annotations

import gc
import socket
import sys
import traceback
from signal import SIG_IGN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, signal
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.modules.main import Main
from penstock.modules.upstream import begin
from penstock.modules.websocket_drain import drain_rule
from penstock.net.loop import IN, new_loop
from penstock.net.timers import Alarm
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, report
from penstock.observe.files import LogFiles
from penstock.process.handover import Hands
from penstock.process.signals import admit
from penstock.process.title import set_title
from penstock.server.service import Service

if TYPE_CHECKING:
    from penstock.plan.location import Listen
    from penstock.plan.plan import Plan
    from penstock.server.drain import Drain
    from penstock.process.control import Control

Bound = dict["Listen", socket.socket]
GRACE = 0.1
"""Seconds between the end of accepting and the end of idle connections: what was accepted a moment ago has its request
on the way, which a close would lose."""

_POLL = 0.02
_GC_THRESHOLD = (50_000, 20, 50)
"""Connections leave no cycles behind, so that a collection mostly finds nothing; it shall not look often."""


class Serving(NamedTuple):
    """A plan in use: connections may go on by an older one."""

    service: Service
    files: LogFiles


class Worker:
    """Serves a plan on sockets that are bound. `lifeline` is a descriptor that reads end of file once the master is
    gone, -1 where there is no master; `orders` the line by which the master has tunnels handed over."""

    def __init__(self, lifeline: int = -1, orders: socket.socket | None = None) -> None:
        self.loop = new_loop()
        self.lifeline = lifeline
        self._hands = Hands(self.loop, orders, self._current) if orders is not None else None
        self.leaving = False
        self._draining: Drain | None = None
        self._control: Control | None = None
        self._patience: float | None = None
        self._serving: list[Serving] = []
        self._sockets: list[socket.socket] = []
        self._timeout = Alarm(self.loop.timers, self._abort_all)
        self._grace = Alarm(self.loop.timers, self._close_idle)
        self._look = Alarm(self.loop.timers, self._look_whether_drained)
        sys.excepthook = log_crash
        self.loop.set_exception_handler(_log_loop_error)

    def adopt(self, plan: Plan, sockets: Bound, files: LogFiles) -> None:
        """Serve new connections by `plan` on `sockets`. Those that are open stay as they are, until they end."""
        for older in self._serving:
            older.service.stop_accepting()
            self._grace.set(GRACE)
        self._forget_what_has_ended()
        self._patience = plan.main.settings(Main).shutdown_timeout
        self._sockets = list(sockets.values())
        files.keep_time(self.loop.timers)
        service = Service(plan, self.loop)
        service.control = "" if self._control is None else self._control.folder
        self._serving.append(Serving(service, files))
        service.start(sockets)
        self.loop.call_soon(begin, plan, lambda: not service.draining)

    def _current(self) -> tuple[Service, LogFiles] | None:
        """What serves new connections; None where nothing does any more."""
        return None if self.leaving or not self._serving else self._serving[-1]

    def ask_at(self, folder: str) -> None:
        """Let this worker be asked what it does, at a socket in `folder` (none where that is "")."""
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
        for sock in self._sockets:
            sock.close()
        self._grace.set(GRACE)
        if self._patience:
            self._timeout.set(self._patience)
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

    def _forget_what_has_ended(self) -> None:
        for each in self._serving:
            if not each.service.live:
                each.files.close()
        self._serving = [each for each in self._serving if each.service.live]

    def _close_idle(self) -> None:
        for each in self._serving:
            if each.service.draining:
                each.service.close_idle()

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
