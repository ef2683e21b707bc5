"""A Penstock of one process that can be asked what it holds, and in which nothing is collected but when it is asked.

    with Counted(SITE, ports={...}) as front:
        before = front.settle()
        ...
        assert front.count() == before
        assert not front.garbage()

Run as a program this file is that Penstock: `penstock` itself, with a thread that answers at a unix socket. The cyclic
collector is off there, so that what waits for it is still there when it is counted. What is there once it serves, half
a million objects, is set aside when it is first counted: looking at all of them each time took three quarters of a
test's time.
"""

import gc
import json
import os
import socket
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from types import FrameType, FunctionType, MethodType
from typing import Any

ASKED_AT = "COUNTING"
"""The environment variable that names the socket."""

STEADY = 3
"""So often in a row nothing has changed, where it is not known what to wait for."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a process holds: `descriptors` of any kind, `deleted` files among them, `fibers` that have not ended,
    `connections` of clients, `tunnels` (-1: it has only begun to start), requests and tunnels `at_peers`."""

    descriptors: int
    deleted: int
    fibers: int
    connections: int
    tunnels: int
    at_peers: int

    def within(self, other: "Counts") -> bool:
        """Whether nothing is more than in `other`. Less may be: a kept connection to a backend has ended by itself."""
        mine, others = astuple(self), astuple(other)
        return all(one <= two for one, two in zip(mine, others, strict=True))


# -- in the process that is asked


_freeze = gc.freeze
_set_aside: list[Any] = []


def _counted_ones() -> list[Any]:
    """The objects that are counted, those set aside among them."""
    from penstock.net.fiber import Fiber
    from penstock.process.worker.worker import Worker
    from penstock.server.service import Service
    from penstock.upstream.peers.peers import Peer

    found = [each for each in gc.get_objects() if isinstance(each, (Worker, Service, Peer, Fiber))]
    if not _set_aside and any(type(each) is Worker for each in found):
        _set_aside.extend(found)
        gc.collect()
        _freeze()
        return found
    return _set_aside + found


def _count() -> Counts:
    from penstock.net.fiber import Fiber
    from penstock.process.worker.worker import Worker
    from penstock.server.service import Service
    from penstock.upstream.peers.peers import Peer

    objects = _counted_ones()
    worker = next((each for each in objects if type(each) is Worker), None)
    opened = []
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):
            opened.append(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
    return Counts(
        descriptors=len(opened),
        deleted=sum(path.endswith(" (deleted)") and not path.startswith("/memfd:") for path in opened),
        fibers=sum(type(each) is Fiber and not each.done for each in objects),
        connections=sum(len(each.connections) for each in objects if type(each) is Service),
        tunnels=len(worker.loop.tunnels) if worker is not None else -1,
        at_peers=sum(each.active for each in objects if isinstance(each, Peer)),
    )


def _garbage() -> dict[str, int]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        kinds: dict[str, Any] = dict(Counter(map(_named, gc.garbage)))
        if kinds:
            kinds["cycle"] = _cycle(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    gc.collect()
    return kinds


def _named(thing: object) -> str:
    if isinstance(thing, FrameType):
        return f"frame of {thing.f_code.co_qualname}"
    if isinstance(thing, (FunctionType, MethodType)):
        return f"{type(thing).__name__} {thing.__qualname__}"
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _cycle(things: list[Any]) -> list[str]:
    """The shortest way from one of them back to itself."""
    known = {id(each) for each in things}
    best: list[Any] = []
    for start in things[:200]:
        before: dict[int, Any] = {}
        queue = [start]
        for each in queue:
            for other in gc.get_referents(each):
                if other is start:
                    way = [each]
                    while way[-1] is not start:
                        way.append(before[id(way[-1])])
                    if not best or len(way) < len(best):
                        best = way
                    queue.clear()
                    break
                if id(other) in known and id(other) not in before:
                    before[id(other)] = each
                    queue.append(other)
            if not queue:
                break
    return [_named(each) for each in reversed(best)]


def _answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as talk:
            for line in talk:
                try:
                    reply: Any = asdict(_count()) if line == "count\n" else _garbage()
                except Exception as error:
                    reply = {"error": repr(error)}
                talk.write(json.dumps(reply) + "\n")
                talk.flush()


def main() -> None:
    """Run Penstock, to be asked."""
    # The master and its workers turn the collector on, and put aside what is there.
    gc.disable()
    gc.enable = gc.freeze = lambda: None
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ[ASKED_AT])
    listener.listen()
    threading.Thread(target=_answer, args=(listener,), daemon=True).start()
    from penstock.cli.main import main as penstock

    sys.argv[0] = "penstock"
    sys.exit(penstock())


# -- in the test




class Counted:
    """Starts and asks it. `proxy` is the `harness.proxy.Proxy`."""

    def __init__(self, configuration: str, **options: Any) -> None:
        from harness.binary import Binary
        from harness.proxy import Proxy

        self.proxy = Proxy(
            f"master_process off;\n{configuration}", Binary((sys.executable, str(Path(__file__)))), **options
        )
        self._path = str(self.proxy.directory / "counting")
        self.proxy._environment[ASKED_AT] = self._path

    def __enter__(self) -> "Counted":
        from harness.waiting import eventually

        self.proxy.__enter__()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(self._path)
        self._talk = self._socket.makefile("rw")
        eventually(lambda: self.count().tunnels == 0, why="it serves")
        return self

    def __exit__(self, *why: Any) -> None:
        self._talk.close()
        self._socket.close()
        self.proxy.__exit__(*why)

    def port(self, name: str | None = None) -> int:
        return self.proxy.port(name)

    def _ask(self, what: str) -> Any:
        self._talk.write(what + "\n")
        self._talk.flush()
        found = json.loads(self._talk.readline())
        assert "error" not in found, found["error"]
        return found

    def count(self) -> Counts:
        """What it holds now, what is garbage included."""
        return Counts(**self._ask("count"))

    def garbage(self) -> dict[str, Any]:
        """How many objects of each type only the cyclic collector has freed, and the shortest cycle of theirs."""
        found: dict[str, Any] = self._ask("garbage")
        return found

    def settle(self, expected: Counts | None = None, timeout: float = 30.0) -> Counts:
        """Wait until it is as `expected`, or until it holds nothing of any client and stays so; what it holds then."""
        from harness.waiting import eventually

        last: list[Counts] = []

        def settled() -> bool:
            last.append(self.count())
            found = last[-1]
            if expected is not None:
                return found.within(expected)
            quiet = not (found.connections or found.tunnels or found.at_peers)
            return quiet and len(last) >= STEADY and last[-STEADY:] == [found] * STEADY

        try:
            eventually(settled, timeout)
        except AssertionError:
            if expected is None:
                raise
        return last[-1]


if __name__ == "__main__":
    main()
