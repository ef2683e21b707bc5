"""What a worker's process does with what the master has opened, from its first moment to its end."""

from __future__ import annotations

from penstock.process.master.child import tell_begun
from penstock.process.startup.cycle import Cycle
from penstock.process.startup.listening import Sockets
from penstock.process.startup.privileges import Fatal, confine
from penstock.process.startup.title import set_title
from penstock.process.worker.worker import Worker

FATAL = 2
"""Exit code of a worker that must not be started again, as in nginx."""


def serve(cycle: Cycle, index: int, worker: Worker, begun: int) -> int:
    """Be a worker; its exit code."""
    try:
        confine(cycle.main, cycle.user)
    except Fatal:
        return FATAL
    set_title("worker process")
    worker.ask_at(cycle.control)
    worker.answer_at(cycle.control_address)
    worker.adopt(cycle.plan, cycle.sockets.for_worker(index), cycle.files)
    _keep_only(cycle.sockets, index)
    del cycle
    if begun >= 0:
        tell_begun(begun)
    worker.run()
    return 0


def _keep_only(sockets: Sockets, index: int) -> None:
    """Close the sockets that belong to other workers, so that they close when those do."""
    own = set(sockets.for_worker(index).values())
    for each in sockets.by_address.values():
        for sock in each:
            if sock not in own:
                sock.close()
