"""The master's part in a reload: read, open what is new, tell the workers, wait for what they say.

No worker ends for a reload. Where a living process can not do what the new configuration says (`user`), or does not
take it up in time, another worker begins in its place, and it serves what is open until that has ended.

Only one reload is under way at a time; those that are asked for meanwhile come to one more, after it.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.material import Record, write_all
from penstock.modules.upstream import forget_others
from penstock.observe.errorlog import ERROR, NOTICE, WARN, report
from penstock.process.cycle import Cycle, succeed
from penstock.process.freeing import Growth, keep_apart
from penstock.process.launch import Launch, NotStarted
from penstock.process.privileges import environment_of
from penstock.process.watching import Watch

if TYPE_CHECKING:
    from penstock.process.channel import Message
    from penstock.process.child import Child

PATIENCE = 10.0
"""Seconds that a worker has to take a configuration up, and twenty times what the master took to read it."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Workers:
    """What a reload does to workers; the master's."""

    def __init__(
        self,
        living: Callable[[], Iterable[Child]],
        replace: Callable[[Child], None],
        match_number: Callable[[], None],
        succeed: Callable[[], None],
    ) -> None:
        self.living = living
        """Those that are not leaving."""
        self.replace = replace
        """Start another in the place of one, and send it away."""
        self.match_number = match_number
        """Have as many as the configuration says."""
        self.succeed = succeed
        """Start new ones for all, and send the old ones away."""


class Reload:
    """`generation` counts the configurations that were in force."""

    def __init__(self, launch: Launch, cycle: Cycle, workers: Workers, over: Callable[[], None]) -> None:
        self.launch = launch
        self.cycle = cycle
        self.workers = workers
        self.generation = 1
        self.stopped = False
        """Whether the program is on its way out."""
        self._over = over
        self._began = 0.0
        self._deadline: float | None = None
        self._waiting: dict[int, Child] = {}
        self._wanted: Record | None = None
        self._watch = _watch(cycle)
        self._growth = Growth()

    def let_go(self) -> Cycle:
        """In a worker, which begins with the configuration and shall not keep it: the last use of this."""
        cycle = self.cycle
        del self.cycle
        return cycle

    @property
    def deadline(self) -> float | None:
        """When the master is to look after it, a monotonic moment."""
        if self._deadline is None and self._watch is not None and not self.stopped:
            return self._watch.due
        return self._deadline

    def begin(self, record: Record | None = None) -> None:
        """Go by the configuration as it is now. `record` says what of it is not to be read, but is as it was."""
        record = Record() if record is None else record
        if self._waiting:
            self._wanted = record
            return
        before = self.cycle
        began = monotonic()
        try:
            cycle = succeed(self.launch, before, record)
        except NotStarted:
            report(None, ERROR, "the new configuration was not taken up, the old one stays in force")
            self._over()
            return
        self.generation += 1
        self._began = began
        took = monotonic() - began
        before.files.close()
        self.cycle = cycle
        self._watch = _watch(cycle)
        _say_what_waits(before, cycle)
        if cycle.user != before.user:
            report(None, NOTICE, "the user has changed, which takes new workers: those of before serve what is open")
            self.workers.succeed()
            self._finish()
        else:
            self._tell(record, before, took)
        del before
        keep_apart()  # from workers that are to be forked
        self._growth.look()

    def answered(self, child: Child, message: Message) -> None:
        """A worker has said what became of the plan."""
        message.drop()
        if child.pid not in self._waiting or message.fields.get("generation") != self.generation:
            return
        del self._waiting[child.pid]
        if message.kind == "refused":
            self._give_up(child, str(message.fields.get("why", ""))[:500])
        self._look()

    def gone(self, child: Child) -> None:
        """A worker has ended: its successor goes by the configuration in force."""
        if self._waiting.pop(child.pid, None) is not None:
            self._look()

    def tick(self) -> None:
        """Time has passed."""
        if self._deadline is None:
            self._look_at_files()
            return
        if monotonic() < self._deadline:
            return
        late, self._waiting = self._waiting, {}
        for child in late.values():
            self._give_up(child, "it did not answer in time")
        self._look()

    def _look_at_files(self) -> None:
        if self._watch is None or self.stopped or monotonic() < self._watch.due:
            return
        changed = self._watch.look()
        if changed:
            names = ", ".join(sorted(changed))
            report(None, NOTICE, f"reading anew what has changed: {names}")
            self.begin(Record(self.cycle.record, changed))

    def _tell(self, record: Record, before: Cycle, took: float) -> None:
        cycle = self.cycle
        paths = [file.path for file in cycle.files]
        logs = [file.fd for file in cycle.files]
        bundle = _sealed(record.pack())
        fields = {
            "generation": self.generation,
            "took": took,
            "memories": [name for name, _ in record.memories],
            "logs": paths,
            "folder": _folder(cycle),
            "environment": environment_of(cycle.main.env),
            "control": cycle.control,
        }
        memories = [fd for _, fd in record.memories]
        deaf: list[Child] = []
        unfit: list[Child] = []
        for child in self.workers.living():
            if child.index >= cycle.workers:
                continue
            if not adjust(child.pid, before, cycle):
                unfit.append(child)
                continue
            sockets = cycle.sockets.for_worker(child.index)
            fields["listens"] = [listen.address for listen in sockets]
            numbers = [sock.fileno() for sock in sockets.values()]
            if child.channel.send("plan", fields, [bundle, *memories, *numbers, *logs]):
                self._waiting[child.pid] = child
            else:
                deaf.append(child)
        os.close(bundle)
        for child in unfit:
            report(None, NOTICE, f"worker process {child.pid} is replaced: only a new one can have these limits")
            self.workers.replace(child)
        for child in deaf:
            self._give_up(child, "it takes no messages")
        self.workers.match_number()
        self._deadline = monotonic() + PATIENCE + 20 * took
        self._look()

    def _give_up(self, child: Child, why: str) -> None:
        report(None, ERROR, f"worker process {child.pid} is replaced, as it did not take the configuration up: {why}")
        self.workers.replace(child)

    def _look(self) -> None:
        if not self._waiting and self._deadline is not None:
            self._finish()

    def _finish(self) -> None:
        self._deadline = None
        say_in_force(self.generation, self._began)
        forget_others(self.cycle.plan)
        self._over()
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not self.stopped:
            report(None, NOTICE, "reconfiguring, as was asked for meanwhile")
            self.begin(wanted)


def say_in_force(generation: int, began: float) -> None:
    """The line that whoever reloads waits for."""
    took = 1000 * (monotonic() - began)
    report(None, NOTICE, f"configuration {generation} is in force, {took:.0f} ms after the reload began")


def adjust(pid: int, before: Cycle, after: Cycle) -> bool:
    """What the master may do to a worker that it may not do itself; whether it could be done."""
    old, new = before.main, after.main
    if old.rlimit_nofile != new.rlimit_nofile:
        own = resource.getrlimit(resource.RLIMIT_NOFILE)
        limits = own if new.rlimit_nofile is None else (new.rlimit_nofile, new.rlimit_nofile)
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        except (OSError, ValueError):
            return False
    if old.priority != new.priority:
        try:
            os.setpriority(os.PRIO_PROCESS, pid, new.priority)
        except OSError:
            return False
    return True


def _say_what_waits(before: Cycle, after: Cycle) -> None:
    changed: Mapping[str, bool] = {
        "daemon": before.main.daemon != after.main.daemon,
        "master_process": before.main.master_process != after.main.master_process,
    }
    for name, differs in changed.items():
        if differs:
            report(None, WARN, f'a change of "{name}" is taken up when the program is started again')


def _watch(cycle: Cycle) -> Watch | None:
    return None if cycle.record is None else Watch(cycle.watched, cycle.record)


def _folder(cycle: Cycle) -> str:
    """Where workers are to be."""
    own = os.getcwdb().decode("latin-1")  # noqa: PTH109  bytes
    wanted = cycle.main.working_directory or own
    return wanted if wanted.startswith("/") else f"{own}/{wanted}"


def _sealed(data: bytes) -> int:
    """A file that nobody can change: all workers read the same."""
    fd = os.memfd_create("penstock plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd
