"""A worker takes up a configuration that its master has read: no process is started, and no connection is touched.

    plan      the record of what the master read (config/inputs.py), listening sockets, log files, new shared memory
    adopted   it is in force here
    refused   it is not, and why: the master starts another worker in the place of this one

The plan is made here, of the record and not of the files: it is what the master found to be good, whatever the files
say by now and whatever this process may read. A plan that takes long is made in a thread, while the loop goes on.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, Any

from penstock.config.errors import ConfigFailed
from penstock.config.inputs import Replay, using
from penstock.config.os_errors import os_failure
from penstock.modules.load import load
from penstock.modules.release import release
from penstock.observe.errorlog import ERROR, NOTICE, report, set_fallback
from penstock.process.channel import Channel, Message
from penstock.process.imports.early import Incomplete, complete
from penstock.process.imports.late import Shelf
from penstock.process.startup.listening import Address, needed
from penstock.process.startup.logs import process_log, redirect_stderr
from penstock.process.worker.freeing import keep_apart

if TYPE_CHECKING:
    from penstock.observe.errorlog import ErrorLog
    from penstock.observe.files import LogFiles
    from penstock.plan.plan import Plan
    from penstock.process.startup.launch import Launch
    from penstock.process.worker.worker import Worker

AT_ONCE = 0.005
"""Seconds of loading that the loop may wait for."""

TURN = 0.001
"""Seconds after which the loading thread lets the loop have the interpreter."""


class Refused(Exception):
    """This process can not go by the plan; the text says why."""


class Adopter:
    """A worker's part in a reload."""

    def __init__(self, worker: Worker, launch: Launch, channel: Channel) -> None:
        self.worker = worker
        self.launch = launch
        self.channel = channel
        self._shelf = Shelf()
        channel.handlers["plan"] = self._told
        channel.handlers["logs"] = self._reopened

    def _told(self, message: Message) -> None:
        if self.worker.leaving:
            message.drop()
            return
        offer = PlanOffer(message)
        offer.unpack(self._shelf)
        # A large configuration makes a million objects and no garbage: the collector would only hold everything up.
        gc.disable()
        if offer.fields["took"] <= AT_ONCE:
            offer.load(self.launch, self.worker.plan)
            keep_apart()
            gc.enable()
            self._go_on(offer)
            return
        before = sys.getswitchinterval()

        def run() -> None:
            offer.load(self.launch, self.worker.plan)
            self.worker.loop.call_soon_threadsafe(finish)

        def finish() -> None:
            sys.setswitchinterval(before)
            keep_apart()
            gc.enable()
            self._go_on(offer)

        sys.setswitchinterval(TURN)
        Thread(target=run, name="load", daemon=True).start()

    def _go_on(self, offer: PlanOffer) -> None:
        """Between two events: the one plan until now, the other from now on."""
        generation = offer.fields["generation"]
        intact = True
        try:
            offer.check()
            if self.worker.leaving:
                return
            change_place(offer.fields["folder"])
            intact = False  # if it fails now, half of it may be in force: the master is to replace this process
            self._adopt(offer)
        except Refused as refused:
            report(None, ERROR, f"the new configuration can not be taken up here: {refused}")
            self.channel.send("refused", {"generation": generation, "why": str(refused), "intact": intact})
        except Exception as error:
            from penstock.process.worker.worker import log_crash

            log_crash(type(error), error, error.__traceback__)
            why = "an internal error"
            self.channel.send("refused", {"generation": generation, "why": why, "intact": intact})
        else:
            self.channel.send("adopted", {"generation": generation})
        finally:
            offer.close()

    def _adopt(self, offer: PlanOffer) -> None:
        worker, plan = self.worker, offer.plan
        assert plan is not None and offer.log is not None and offer.files is not None
        change_environment(offer.fields["environment"])
        bound = {
            listen: self._socket(listen.address, offer.sockets)
            for listen in needed(plan.listens)
            if listen.address in offer.sockets
        }
        offer.files.replace(worker.files, offer.logs, worker.older_files)
        set_fallback(offer.log)
        redirect_stderr(plan, offer.log)
        worker.ask_at(offer.fields["control"])
        worker.adopt(plan, bound, offer.files)

    def _socket(self, address: Address, offered: dict[Address, int]) -> socket.socket:
        """The socket for an address: the one that is there, if it is the same."""
        fd = offered[address]
        for listen, sock in self.worker.sockets.items():
            if listen.address == address and os.path.samestat(os.fstat(sock.fileno()), os.fstat(fd)):
                return sock
        del offered[address]
        return socket.socket(fileno=fd)

    def _reopened(self, message: Message) -> None:
        """The master has opened the log files anew, after a rotation."""
        report(None, NOTICE, "reopening logs")
        descriptors = dict(zip(message.fields["paths"], message.descriptors, strict=True))
        for file in self.worker.files:
            fd = descriptors.pop(file.path, -1)
            if fd >= 0:
                file.flush()
                file.fd = fd
        for fd in descriptors.values():
            os.close(fd)
        self.worker.reopen_older()


class PlanOffer:
    """What came with a `plan` message, and the plan once it is made. Descriptors that are left are closed at last."""

    def __init__(self, message: Message) -> None:
        self.fields: Mapping[str, Any] = message.fields
        given = iter(message.descriptors)
        self._record = next(given)
        self._latecomers = next(given) if self.fields["latecomers"] else -1
        self._memories = [(name, next(given)) for name in self.fields["memories"]]
        self.sockets: dict[Address, int] = {_address(each): next(given) for each in self.fields["listens"]}
        self.logs: dict[str, int] = {path: next(given) for path in self.fields["logs"]}
        self.plan: Plan | None = None
        self.log: ErrorLog | None = None
        self.files: LogFiles | None = None
        self._error: Exception | None = None

    def unpack(self, shelf: Shelf) -> None:
        """Put the modules that came with it where they are found."""
        if self._latecomers >= 0:
            shelf.fill(os.pread(self._latecomers, os.fstat(self._latecomers).st_size, 0))
            os.close(self._latecomers)
            self._latecomers = -1

    def load(self, launch: Launch, previous: Plan) -> None:
        """Make the plan; in a thread or not, `check` tells what came of it."""
        try:
            data = os.pread(self._record, os.fstat(self._record).st_size, 0)
            with using(Replay(data, self._memories)):
                self.plan = load(
                    launch.path, prefix=launch.prefix, globals_text=launch.globals_text, previous=previous
                )
                complete()
                release(self.plan)
                self.log, self.files = process_log(launch, self.plan)
        except Exception as error:
            self._error = error

    def check(self) -> None:
        """Check the plan. Raises `Refused`, or what should not have happened."""
        error = self._error
        if isinstance(error, (ConfigFailed, Incomplete)):
            raise Refused(str(error)) from None
        if error is not None:
            raise error
        assert self.files is not None
        missing = [file.path for file in self.files if file.path not in self.logs]
        if missing:
            raise Refused(f'the log file "{missing[0]}" did not come with it')

    def close(self) -> None:
        for fd in (self._record, *(fd for _, fd in self._memories), *self.sockets.values(), *self.logs.values()):
            os.close(fd)
        self._memories.clear()
        self.sockets.clear()
        self.logs.clear()


def change_place(folder: str) -> None:
    """Be in the working directory of the new configuration. Raises `Refused`."""
    try:
        if os.getcwdb() != folder.encode("latin-1"):  # noqa: PTH109  bytes
            os.chdir(folder.encode("latin-1"))
    except OSError as error:
        raise Refused(os_failure(f'chdir("{folder}")', error)) from None


def change_environment(wanted: Mapping[str, str]) -> None:
    """Have these variables and no others."""
    if dict(os.environ) != wanted:
        os.environ.clear()
        os.environ.update(wanted)


def _address(value: Any) -> Address:
    return value if isinstance(value, str) else tuple(value)
