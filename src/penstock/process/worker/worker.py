"""A worker: one process with one loop that serves, until it is told to go or its master is gone."""

from __future__ import annotations

import sys
import traceback
from math import inf
from signal import SIG_IGN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, signal
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet

from penstock.modules.core.main import Main
from penstock.modules.fleet.follow import follow_fleet
from penstock.modules.fleet.membership import FLEET
from penstock.modules.upstream.steering import follow_steering, steer
from penstock.modules.upstream.upstream import begin, carry_over
from penstock.modules.websocket.drain import drain_rule
from penstock.net.loop import IN, new_loop
from penstock.net.timers import Alarm
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, WARN, report
from penstock.observe.files import CannotOpen, LogFile, LogFiles
from penstock.observe.unsent import PATIENCE, UNSENT
from penstock.process import collector
from penstock.process.handover.orders import Hands
from penstock.process.startup.signals import admit
from penstock.process.startup.title import set_title
from penstock.process.worker.ask_master import MasterQuestions
from penstock.process.worker.control_http import ControlAnswer, ControlRequest, control_answer
from penstock.process.worker.freeing import Freeing
from penstock.process.worker.overdue import Overdue, notice_of
from penstock.server.control_questions import answer
from penstock.server.service import Service
from penstock.server.steer import go_by
from penstock.server.tap.session import Taps
from penstock.server.websocket.listed_servers import follow_lists
from penstock.server.websocket.unhealthy import follow_unhealthy

if TYPE_CHECKING:
    import socket

    from penstock.modules.fleet.link import Link
    from penstock.net.fiber import Fiber
    from penstock.net.stream import Stream
    from penstock.observe.selection import ToldTunnels
    from penstock.plan.location import Listen
    from penstock.plan.plan import Plan
    from penstock.process.channel import Channel, Message
    from penstock.process.startup.control_listen import ControlAddress
    from penstock.process.worker.control import ControlListener, ControlSocket
    from penstock.server.fleet_questions import FleetQuestions
    from penstock.server.websocket.drain import Drain, Drained

Bound: TypeAlias = "dict[Listen, socket.socket]"
GRACE = 0.1
"""Seconds between the end of accepting and the end of idle connections: what was accepted a moment ago has its request
on the way, which a close would lose."""

FREE_AFTER = 0.5
"""Seconds from taking a plan up to freeing those before, while everybody has other things to do."""

_POLL = 0.02
_GC_THRESHOLD = (50_000, 20, 50)
"""Connections leave no cycles behind, so that a collection mostly finds nothing; it shall not look often."""


class PlanInUse(NamedTuple):
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
            channel.handlers["steer"] = self._steered
            set_title("worker process")  # while it may: another user can not begin to
        self._questions = MasterQuestions(self.loop, channel)
        self.leaving = False
        self._draining: Drain | None = None
        self._control: ControlSocket | None = None
        self._shared: ControlListener | None = None
        self._taps = Taps()
        self._patience: float | None = None
        self._serving: list[PlanInUse] = []
        self.sockets: Bound = {}
        self._following: list[Fiber[None]] = []
        self._fleet: Link | None = None
        self._asking_fleet: FleetQuestions | None = None
        self._older: WeakSet[LogFile] = WeakSet()
        self._overdue = Overdue(self.loop.timers, self._dismiss, self._abort)
        self._freeing = Freeing(self.loop.call_soon)
        self._free = Alarm(self.loop.timers, self._freeing.begin)
        self._grace = Alarm(self.loop.timers, self._close_idle)
        self._look = Alarm(self.loop.timers, self._end_if_drained)
        self._unsent_until = inf
        sys.excepthook = log_crash
        self.loop.set_exception_handler(_log_loop_error)

    def adopt(self, plan: Plan, sockets: Bound, files: LogFiles) -> None:
        """Serve by `plan` on `sockets` from now on, in place of what was served before. Requests that are under way go
        on by the plan they began with; tunnels too, unless that had a `worker_shutdown_timeout`."""
        files.keep_time(self.loop.timers)
        version = steer(plan)
        link = follow_fleet(self.loop, plan, self._fleet)
        if link is not None and link is not self._fleet:
            from penstock.server.fleet_questions import FleetQuestions

            self._asking_fleet = FleetQuestions(link, self._answer)
        self._fleet = link
        for fiber in self._following:
            fiber.cancel()
        if not self._serving:
            service = Service(plan, self.loop)
            service.tell_others = self._tell_others
            service.control = "" if self._control is None else self._control.folder
            service.start(sockets)
        else:
            service, older = self._serving[-1]
            self._older.update(older.without(files))
            self._leave_behind(service)
            carry_over(service.plan, plan)
            self._freeing.add(service.plan)
            service.control = "" if self._control is None else self._control.folder
            service.adopt(plan, sockets)
            self._grace.set(GRACE)
            if self._free.deadline == inf:
                self._free.set(FREE_AFTER)
        for sock in set(self.sockets.values()) - set(sockets.values()):
            sock.close()
        self.sockets = sockets
        self._serving = [PlanInUse(service, files)]
        self._patience = plan.main.settings(Main).shutdown_timeout
        follow_steering(plan, version)
        self.loop.call_soon(self._follow, plan)

    @property
    def plan(self) -> Plan:
        """Return what new requests go by."""
        return self._serving[-1].service.plan

    @property
    def files(self) -> LogFiles:
        """Return the log files of that plan."""
        return self._serving[-1].files

    @property
    def older_files(self) -> list[LogFile]:
        """Log files of plans before it to which somebody still has something to write."""
        return list(self._older)

    def _follow(self, plan: Plan) -> None:
        if plan is self.plan:
            service = self._serving[-1].service

            def needed() -> bool:
                return not service.draining

            self._following = [
                *begin(plan, needed),
                *follow_unhealthy(self.loop, plan, needed),
                *follow_lists(self.loop, plan, needed),
            ]

    def _leave_behind(self, service: Service) -> None:
        """nginx's way with old workers: their connections end when idle, and all that is left ends after the timeout
        that their configuration gave them."""
        if self._patience:
            service.retire()
            self._overdue.add(self._patience, self.loop.timers.now)

    def _dismiss(self, moment: float) -> None:
        for each in self._serving:
            each.service.dismiss(moment)

    def _abort(self, moment: float) -> None:
        for each in self._serving:
            each.service.abort_all(moment)

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
            from penstock.process.worker.control import ControlSocket

            self._control = ControlSocket.open(self.loop, folder, self._answer, self._answer_http, self._look_on)

    async def _answer(self, question: dict[str, object]) -> ToldTunnels:
        if not self._serving:
            raise ValueError("this worker serves nothing yet")
        if question.get("do") == "fleet":
            asked = question.get("ask")
            if FLEET not in self.plan.shared or self._asking_fleet is None or not isinstance(asked, dict):
                raise ValueError("there is no fleet in this configuration")
            return await self._asking_fleet.ask(asked)
        return await answer(self._serving[-1].service, question)

    async def _look_on(self, question: dict[str, object], stream: Stream, who: tuple[int, int]) -> None:
        if not self._serving:
            raise ValueError("this worker serves nothing yet")
        await self._taps.follow(self._serving[-1].service, question, stream, who)

    def answer_at(self, address: ControlAddress | None) -> None:
        """Answer at the address of `-l` too, which all workers share."""
        if address is not None:
            from penstock.process.worker.control import ControlListener

            self._shared = ControlListener(
                self.loop, address.sock, self._answer, self._answer_http, self._look_on, shared=True
            )

    async def _answer_http(self, request: ControlRequest) -> ControlAnswer:
        return await control_answer(request, self.plan, self._questions.ask)

    def _tell_others(self) -> bool:
        """Have the master tell all workers that upstreams were changed."""
        return self._channel is not None and self._channel.send("steered")

    def _steered(self, message: Message) -> None:
        message.drop()
        if self._serving:
            go_by(self._serving[-1].service)

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
        collector.collect_after(*_GC_THRESHOLD)
        collector.set_aside()
        try:
            loop.run_forever()
        finally:
            if self._control is not None:
                self._control.close()
            if self._fleet is not None:
                self._fleet.close()
            for each in self._serving:
                each.files.flush()
        report(None, NOTICE, "exit")

    def quit(self) -> None:
        """Accept nothing more, end what is idle, and go when the last connection has ended."""
        if self.leaving:
            return
        self.leaving = True
        if self._shared is not None:
            self._shared.stop()
        report(None, NOTICE, "gracefully shutting down")
        set_title("worker process is shutting down")
        for each in self._serving:
            each.service.stop_accepting()
            each.service.leaving = True
        for sock in self.sockets.values():
            sock.close()
        self._grace.set(GRACE)
        if self._patience:
            self._overdue.add(self._patience, inf)
        if self._channel is not None and self._hands is not None:
            # What can be handed over is not sent away: the master has said so before it sent the signal.
            self._channel.handle()
            self._hands.when_given(self._drain)
        else:
            self._drain()
        self._end_if_drained()

    def _drain(self) -> None:
        """Send the tunnels away, if that is how they are to end (`websocket_drain`)."""
        rule = drain_rule(self._serving[-1].service.plan) if self._serving else None
        if rule is None:
            return
        from penstock.server.websocket.drain import Drain
        from penstock.server.websocket.drain_budget import budget_of

        window = rule.window
        if self._patience:
            window = min(window, self._patience - notice_of(self._patience))

        def all_of_them() -> list[Drained]:
            return [*self.loop.tunnels, *self.loop.event_streams]

        budget = budget_of(self.loop, self.plan)
        self._draining = Drain(
            self.loop, all_of_them(), window, rule.code, what="all", more=all_of_them, budget=budget
        )

    def terminate(self) -> None:
        """End everything and go."""
        self.leaving = True
        for each in self._serving:
            each.service.stop_accepting()
        self._abort(inf)
        self._leave()

    def reopen(self) -> None:
        """Go on in the log files that have the names now."""
        report(None, NOTICE, "reopening logs")
        for each in self._serving:
            for error in each.files.reopen():
                report(None, EMERG, str(error))
        self.reopen_older()

    def reopen_older(self) -> None:
        """Reopen the logs of plans that were replaced, to which tunnels still have something to write. One that this
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

    def _end_if_drained(self) -> None:
        if any(each.service.live for each in self._serving):
            self._look.set(_POLL)
            return
        if UNSENT and self.loop.timers.now < self._unsent_until:
            if self._unsent_until == inf:
                self._unsent_until = self.loop.timers.now + PATIENCE
            for each in list(UNSENT):
                each.hurry()
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
    """Log a mistake of ours that nobody caught: one line, so that it can be found."""
    words = "".join(traceback.format_exception(kind, error, trace))
    report(None, ALERT, "internal error: " + words.rstrip().replace("\n", " | "))


def _log_loop_error(loop: Any, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BaseException):
        log_crash(type(error), error, error.__traceback__)
    else:
        report(None, ALERT, f"internal error: {context.get('message')}")
