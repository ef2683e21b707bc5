"""From a command line to a program that serves."""

from __future__ import annotations

import os
import resource
import sys
from typing import Protocol

from penstock import __version__
from penstock.config.inputs import Record, using
from penstock.config.os_errors import os_failure
from penstock.net.relay.compiled import NoTwin, describe, make
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, report, set_fallback, use_console
from penstock.process.imports.early import Incomplete, provide
from penstock.process.imports.stock import lay_in
from penstock.process.startup.build import interpreter
from penstock.process.startup.cycle import begin, read
from penstock.process.startup.daemon import daemonise
from penstock.process.startup.inherited import inherit
from penstock.process.startup.launch import PROGRAM, Launch, NotStarted
from penstock.process.startup.leftovers import drop_leftovers
from penstock.process.startup.logs import boot_log, redirect_stderr
from penstock.process.startup.pidfile import write_pid_file
from penstock.process.startup.signals import hold
from penstock.shared.freed import give_back_freed


class Runs(Protocol):
    """A master, or a worker without one."""

    def run(self) -> None:
        """Run until told to stop."""


def start(launch: Launch) -> int:
    """Bind, then serve until told to stop; the exit code. Mistakes are reported on standard error and in the log."""
    set_fallback(boot_log(launch))
    use_console(PROGRAM)
    try:
        make(-1)
    except NoTwin as error:
        report(None, EMERG, str(error))
        return 1
    server = _bound(launch)
    if server is None:
        return 1
    drop_leftovers()
    server.run()
    return 0


def _bound(launch: Launch) -> Runs | None:
    """What serves, with everything read and bound. Nothing else keeps the first configuration, which a reload
    replaces."""
    inherited = inherit()
    record = Record()
    try:
        with using(record):
            plan = read(launch, console=True)
            cycle = begin(launch, plan, inherited, record)
        provide()
        lay_in()
        give_back_freed()
    except NotStarted:
        return None
    except Incomplete as error:
        report(None, EMERG, str(error))
        return None
    except OSError as error:
        report(None, EMERG, os_failure("reading this program", error))
        return None
    _introduce(launch)
    hold()
    # Who takes the place of a daemon is one.
    daemonised = cycle.main.daemon or bool(inherited.predecessor)
    if daemonised and not inherited.predecessor:
        try:
            daemonise()
        except OSError as error:
            report(None, ALERT, os_failure("fork()", error))
            return None
    try:
        # Only now: whoever sees the file may connect.
        write_pid_file(cycle.pid_file)
    except NotStarted:
        return None
    sys.stderr.flush()
    redirect_stderr(cycle.plan, cycle.log)
    use_console(None)
    if cycle.main.master_process:
        from penstock.process.master.master import Master

        return Master(launch, cycle, inherited, daemonised=daemonised)
    from penstock.process.single import SingleProcess

    return SingleProcess(launch, cycle)


def _introduce(launch: Launch) -> None:
    report(None, NOTICE, 'using the "epoll" event method')
    report(None, NOTICE, f"{PROGRAM}/{__version__}")
    report(None, NOTICE, f"built with {interpreter()}")
    report(None, NOTICE, f"relay: {describe()}")
    system = os.uname()
    report(None, NOTICE, f"OS: {system.sysname} {system.release}")
    report(None, NOTICE, f"configuration file {launch.path}, prefix {launch.prefix}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    report(None, NOTICE, f"getrlimit(RLIMIT_NOFILE): {soft}:{hard}")
