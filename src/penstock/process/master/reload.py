"""The master's part in a reload: read, open what is new, tell the workers, wait for what they say.

No worker ends for a reload. Where a living process can not do what the new configuration says (`user`), or does not
take it up in time, another worker begins in its place, and it serves what is open until that has ended. Where nobody
can go by the new configuration, neither those who live nor those who were to take their places, the old one stays in
force: until the first one does, nothing of it has been given up.

Only one reload is under way at a time; those that are asked for meanwhile come to one more, after it.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, NamedTuple

from penstock.config.inputs import Record, write_all
from penstock.modules.upstream.steering import steer
from penstock.modules.upstream.upstream import forget_others
from penstock.observe.errorlog import ERROR, NOTICE, WARN, report
from penstock.process.imports.late import Latecomers
from penstock.process.master.watch_certificates import FileWatch
from penstock.process.startup.cycle import Cycle, commit, next_cycle, roll_back
from penstock.process.startup.launch import Launch, NotStarted
from penstock.process.startup.privileges import environment_of
from penstock.process.worker.freeing import Growth, keep_apart
from penstock.shared.reload_record import RELOADS

if TYPE_CHECKING:
    from penstock.process.channel import Message
    from penstock.process.master.child import Child

PATIENCE = 10.0
"""Seconds that a worker has to take a configuration up, and twenty times what the master took to read it."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Workers:
    """What a reload does to workers; the master's."""

    def __init__(
        self,
        living: Callable[[], Iterable[Child]],
        replace: Callable[[Sequence[Child], float], list[Child]],
        match_number: Callable[[], None],
        replace_all: Callable[[float], bool],
    ) -> None:
        self.living = living
        """Those that are not leaving."""
        self.replace = replace
        """Start others in the places of some, and send those away; gives back those in whose places nobody serves after
        so many seconds."""
        self.match_number = match_number
        """Have as many as the configuration says."""
        self.replace_all = replace_all
        """Start new ones for all, and send the old ones away; whether any of them serves after so many seconds."""


class Failed(NamedTuple):
    """A worker that did not take a configuration up. `intact`: it goes by the one before as if nothing had been."""

    child: Child
    intact: bool


class Reload:
    """`generation` counts the configurations that were read without a mistake."""

    def __init__(self, launch: Launch, cycle: Cycle, workers: Workers, over: Callable[[], None]) -> None:
        self.launch = launch
        self.cycle = cycle
        self.workers = workers
        self.generation = 1
        self._in_force = 1
        self.succeeded = True
        """Whether the last reload was taken up."""
        note_start(cycle)
        self.stopped = False
        """Whether the program is on its way out."""
        self._over = over
        self._began = 0.0
        self._patience = PATIENCE
        self._before: Cycle | None = None
        """What was in force, as long as it may be again."""
        self._deadline: float | None = None
        self._waiting: dict[int, Child] = {}
        self._failed: list[Failed] = []
        self._died = False
        self._wanted: Record | None = None
        self._watch = _watch(cycle)
        self._growth = Growth()
        self._latecomers = Latecomers()

    def let_go(self) -> Cycle:
        """Take the configuration out, in a worker that begins with it, so that nothing here keeps it: the last use of
        this."""
        cycle, before = self.cycle, self._before
        if before is not None:
            before.sockets.close_unless(cycle.sockets)
            before.files.close()
        del self.cycle, self._before
        return cycle

    def stop(self) -> None:
        """Stop for good: the program is on its way out, nothing begins any more, and there is no way back."""
        self.stopped = True
        self._commit()

    @property
    def under_way(self) -> bool:
        """Return whether workers are being asked to take a configuration up."""
        return self._deadline is not None

    @property
    def deadline(self) -> float | None:
        """Return when the master is to look after it, a monotonic moment."""
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
            cycle = next_cycle(self.launch, before, record)
        except NotStarted:
            report(None, ERROR, "the new configuration was not taken up, the old one stays in force")
            self.succeeded = False
            note_end(before, self._in_force, began, succeeded=False)
            self._over()
            return
        self.generation += 1
        self._began = began
        took = monotonic() - began
        self._patience = PATIENCE + 20 * took
        self.cycle, self._before = cycle, before
        self._watch = _watch(cycle)
        _say_what_waits(before, cycle)
        if cycle.user != before.user:
            report(None, NOTICE, "the user has changed, which takes new workers: those of before serve what is open")
            if self.workers.replace_all(self._patience):
                self._commit()
                self._finish()
            else:
                self._roll_back([])
        else:
            self._offer_plan(record, before, took)
        del before
        keep_apart()  # from workers that are to be forked
        self._growth.collect_if_grown()

    def answered(self, child: Child, message: Message) -> None:
        """Note what a worker has said about the plan."""
        message.drop()
        if child.pid not in self._waiting or message.fields.get("generation") != self.generation:
            return
        del self._waiting[child.pid]
        if message.kind == "refused":
            intact = message.fields.get("intact") is True
            self._fails(child, str(message.fields.get("why", ""))[:500], intact=intact)
        else:
            self._commit()
        self._decide()

    def gone(self, child: Child) -> None:
        """Note that a worker has ended: its successor goes by the configuration in force."""
        if self._waiting.pop(child.pid, None) is not None:
            self._died = True
            self._decide()

    def tick(self) -> None:
        """Time has passed."""
        if self._deadline is None:
            self._look_at_files()
            return
        if monotonic() < self._deadline:
            return
        late, self._waiting = self._waiting, {}
        for child in late.values():
            self._fails(child, "it did not answer in time")
        self._decide()

    def _look_at_files(self) -> None:
        if self._watch is None or self.stopped or monotonic() < self._watch.due:
            return
        changed = self._watch.changed()
        if changed:
            names = ", ".join(sorted(changed))
            report(None, NOTICE, f"reading anew what has changed: {names}")
            self.begin(Record(self.cycle.record, changed))

    def _offer_plan(self, record: Record, before: Cycle, took: float) -> None:
        cycle = self.cycle
        paths = [file.path for file in cycle.files]
        logs = [file.fd for file in cycle.files]
        bundle = [_sealed(record.pack())]
        latecomers = self._latecomers.pack()
        if latecomers:
            bundle.append(_sealed(latecomers))
        fields = {
            "generation": self.generation,
            "took": took,
            "latecomers": bool(latecomers),
            "memories": [name for name, _ in record.memories],
            "logs": paths,
            "folder": _folder(cycle),
            "environment": environment_of(cycle.main.env),
            "control": cycle.control,
        }
        memories = [fd for _, fd in record.memories]
        for child in self.workers.living():
            if child.index >= cycle.workers:
                continue
            if not adjust(child.pid, before, cycle):
                words = f"worker process {child.pid} is replaced: only a new one can have these limits"
                report(None, NOTICE, words)
                self._failed.append(Failed(child, intact=True))
                continue
            sockets = cycle.sockets.for_worker(child.index)
            fields["listens"] = [listen.address for listen in sockets]
            numbers = [sock.fileno() for sock in sockets.values()]
            if child.channel.send("plan", fields, [*bundle, *memories, *numbers, *logs]):
                self._waiting[child.pid] = child
            else:
                self._fails(child, "it takes no messages")
        for fd in bundle:
            os.close(fd)
        self._deadline = monotonic() + self._patience
        self._decide()

    def _fails(self, child: Child, why: str, *, intact: bool = False) -> None:
        report(None, ERROR, f"worker process {child.pid} did not take the configuration up: {why}")
        self._failed.append(Failed(child, intact))

    def _decide(self) -> None:
        """Whether it is decided."""
        if self._waiting or self._deadline is None:
            return
        failed, self._failed = self._failed, []
        died, self._died = self._died, False
        if self.stopped:
            # Who has gone was told to: one that began now would not be.
            self._end()
            return
        if failed:
            left = self.workers.replace([each.child for each in failed], self._patience)
            if len(left) < len(failed):
                self._commit()
            if self._before is None:
                for child in left:
                    words = f"worker process {child.pid} goes on as it is: no other one could begin in its place"
                    report(None, ERROR, words)
        elif not died:
            self._commit()  # there was nobody to ask
        if self._before is not None:
            self._roll_back([each.child for each in failed if not each.intact])
            return
        self.workers.match_number()
        self._finish()

    def _commit(self) -> None:
        """Somebody goes by the new configuration: it is the one in force."""
        if self._before is not None:
            before, self._before = self._before, None
            before.files.close()
            commit(before, self.cycle)

    def _roll_back(self, broken: Sequence[Child]) -> None:
        """Go on by the configuration of before: nobody goes by the new one. Who may go by half of it is replaced."""
        assert self._before is not None
        cycle, self.cycle = self.cycle, self._before
        self._before = None
        self._watch = _watch(self.cycle)
        roll_back(self.cycle, cycle)
        for child in self.workers.living():
            adjust(child.pid, cycle, self.cycle)
        report(None, ERROR, "no worker could go by the new configuration, the old one stays in force")
        self.succeeded = False
        note_end(self.cycle, self._in_force, self._began, succeeded=False)
        self.workers.replace(broken, self._patience)
        self._end()

    def _finish(self) -> None:
        say_in_force(self.generation, self._began)
        self._in_force = self.generation
        self.succeeded = True
        note_end(self.cycle, self.generation, self._began, succeeded=True)
        self._end()

    def _end(self) -> None:
        self._deadline = None
        steer(self.cycle.plan)
        forget_others(self.cycle.plan)
        self._over()
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not self.stopped:
            report(None, NOTICE, "reconfiguring, as was asked for meanwhile")
            self.begin(wanted)


def say_in_force(generation: int, began: float) -> None:
    """Log the line that whoever reloads waits for."""
    took = 1000 * (monotonic() - began)
    report(None, NOTICE, f"configuration {generation} is in force, {took:.0f} ms after the reload began")


def note_start(cycle: Cycle) -> None:
    """Note when the program began, for who shows it."""
    memory = cycle.plan.shared.get(RELOADS)
    if memory is not None:
        memory.begin(time())


def note_end(cycle: Cycle, generation: int, began: float, *, succeeded: bool) -> None:
    """Note what became of a reload, for who shows it; `cycle` is in force now, with this generation."""
    memory = cycle.plan.shared.get(RELOADS)
    if memory is not None:
        memory.ended(generation, time(), monotonic() - began, succeeded=succeeded)


def note_death(cycle: Cycle) -> None:
    """Note that a worker has died, for who shows it."""
    memory = cycle.plan.shared.get(RELOADS)
    if memory is not None:
        memory.died()


def adjust(pid: int, before: Cycle, after: Cycle) -> bool:
    """Do to a worker what it may not do itself, and return whether it could be done."""
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


def _watch(cycle: Cycle) -> FileWatch | None:
    return None if cycle.record is None else FileWatch(cycle.watched, cycle.record)


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
