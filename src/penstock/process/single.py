"""`master_process off`: one process that binds and serves. For debugging, as in nginx."""

from __future__ import annotations

import os
from signal import SIGHUP, SIGUSR2, SIGWINCH
from time import monotonic

from penstock.config.inputs import Record
from penstock.observe.errorlog import ERROR, NOTICE, report
from penstock.process.master.reload import note_end, note_start, say_in_force
from penstock.process.master.works import tell_missed
from penstock.process.startup.cycle import Cycle, commit, next_cycle, remove_control
from penstock.process.startup.launch import Launch, NotStarted
from penstock.process.startup.pidfile import remove_pid_file
from penstock.process.worker.worker import Worker


class SingleProcess:
    """A worker without a master."""

    def __init__(self, launch: Launch, cycle: Cycle) -> None:
        self.launch = launch
        self.cycle = cycle
        self.generation = 1
        self.worker = Worker()
        note_start(cycle)

    def run(self) -> None:
        """Run until TERM, INT, or QUIT and the end of the last connection."""
        loop = self.worker.loop
        loop.add_signal_handler(SIGHUP, self._reload)
        for number in (SIGUSR2, SIGWINCH):
            loop.add_signal_handler(number, self._ignore)
        self.worker.ask_at(self.cycle.control)
        self.worker.answer_at(self.cycle.control_address)
        self.worker.adopt(self.cycle.plan, self.cycle.sockets.for_worker(0), self.cycle.files)
        tell_missed(self.cycle.plan)
        self.worker.run()
        remove_control(self.cycle)
        remove_pid_file(self.cycle.pid_file)
        self.cycle.sockets.unlink()

    def _reload(self) -> None:
        report(None, NOTICE, "reconfiguring")
        began = monotonic()
        try:
            cycle = next_cycle(self.launch, self.cycle, Record())
        except NotStarted:
            report(None, ERROR, "the new configuration was not taken up, the old one stays in force")
            note_end(self.cycle, self.generation, began, succeeded=False)
            return
        commit(self.cycle, cycle)
        self.cycle = cycle
        descriptors = {file.path: os.dup(file.fd) for file in cycle.files}
        cycle.files.replace(self.worker.files, descriptors, self.worker.older_files)
        self.worker.adopt(self.cycle.plan, self.cycle.sockets.for_worker(0), self.cycle.files)
        tell_missed(self.cycle.plan)
        self.generation += 1
        say_in_force(self.generation, began)
        note_end(self.cycle, self.generation, began, succeeded=True)

    def _ignore(self) -> None:
        """Without a master there is nobody to start another, nor workers to stop."""
