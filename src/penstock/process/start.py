"""From a command line to a program that serves."""

from __future__ import annotations

import os
import resource
import sys
from typing import Protocol

from penstock import __version__
from penstock.config.material import Record, using
from penstock.net.twin import NoTwin, describe, make
from penstock.observe.errorlog import ALERT, EMERG, NOTICE, report, set_fallback, use_console
from penstock.process.build import interpreter
from penstock.process.cycle import begin, read
from penstock.process.daemon import daemonise
from penstock.process.inherited import inherit
from penstock.process.launch import PROGRAM, Launch, NotStarted
from penstock.process.logs import boot_log, redirect_stderr
from penstock.process.pidfile import write_pid_file
from penstock.process.signals import hold


class Runs(Protocol):
    """A master, or a worker without one."""

    def run(self) -> None:
        """Until told to stop."""


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
    except NotStarted:
        return None
    _introduce(launch)
    hold()
    # Who takes the place of a daemon is one.
    daemonised = cycle.main.daemon or bool(inherited.predecessor)
    if daemonised and not inherited.predecessor:
        try:
            daemonise()
        except OSError as error:
            report(None, ALERT, f"fork() failed ({error.errno}: {os.strerror(error.errno or 0)})")
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
        from penstock.process.master import Master

        return Master(launch, cycle, inherited, daemonised=daemonised)
    from penstock.process.single import Single

    return Single(launch, cycle)


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
