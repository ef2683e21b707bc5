"""A configuration put to use: read, its logs opened, its addresses bound."""

from __future__ import annotations

import gc
import os
import resource
from dataclasses import dataclass, field

from penstock.config.errors import ConfigError, ConfigFailed
from penstock.config.inputs import Record, using
from penstock.config.os_errors import os_failure
from penstock.modules.core.main import Events, Main
from penstock.modules.load import load
from penstock.modules.release import release
from penstock.modules.tls.ssl import watched_files
from penstock.observe.errorlog import EMERG, NOTICE, WARN, ErrorLog, fallback, report, set_fallback
from penstock.observe.files import CannotOpen, LogFiles
from penstock.plan.plan import Plan
from penstock.process.imports.early import Incomplete, complete
from penstock.process.startup.control_listen import ControlAddress, bind_control
from penstock.process.startup.folders import prepare_folders
from penstock.process.startup.inherited import Inherited
from penstock.process.startup.launch import Launch, NotStarted
from penstock.process.startup.listening import Sockets, bind_all, probe_all
from penstock.process.startup.logs import advise, announce, process_log, redirect_stderr
from penstock.process.startup.pidfile import probe_pid_file, remove_pid_file, write_pid_file
from penstock.process.startup.privileges import User, check_place, worker_user
from penstock.process.startup.readable import warn_unreadable


@dataclass(slots=True)
class Cycle:
    """One configuration in force."""

    plan: Plan
    main: Main
    user: User | None
    pid_file: str
    log: ErrorLog
    files: LogFiles
    sockets: Sockets
    control: str = ""
    """The folder of the control sockets, for as long as the master lives; "" for none."""
    control_wanted: str = ""
    control_address: ControlAddress | None = None
    """Where nginx's control API is, for as long as the program lives."""
    record: Record | None = None
    """What was read, where some of it may be read anew without the rest."""
    watched: list[str] = field(default_factory=list)
    """Files of which that is so."""

    def keep(self, record: Record) -> None:
        """Keep the record, if it will be needed."""
        self.watched = watched_files(self.plan)
        self.record = record if self.watched else None

    @property
    def workers(self) -> int:
        """Return how many workers serve."""
        if not self.main.master_process:
            return 1
        return self.main.worker_processes or len(os.sched_getaffinity(0))


def read(launch: Launch, *, console: bool, previous: Plan | None = None) -> Plan:
    """Read the plan, with everything wrong with it reported; `previous` is the one in force. Raises `NotStarted`."""
    # A large configuration makes a million objects and no garbage: the collector would only walk them.
    gc.disable()
    try:
        plan = load(launch.path, prefix=launch.prefix, globals_text=launch.globals_text, previous=previous)
    except ConfigFailed as failed:
        announce(failed.problems, console=console, dropped=failed.problems.dropped)
        raise NotStarted from None
    finally:
        gc.enable()
    announce(plan.problems, console=console)
    release(plan)
    try:
        worker_user(plan.main.settings(Main))
    except ConfigError as error:
        announce([error], console=console)
        if error.level == "emerg":
            raise NotStarted from None
    return plan


def begin(launch: Launch, plan: Plan, inherited: Inherited, record: Record) -> Cycle:
    """Put the first plan to use: from now on its log is the process's. Raises `NotStarted`."""
    cycle = _cycle(launch, plan)
    cycle.keep(record)
    prepare_folders(plan, cycle.user, console=True)
    _open_logs(cycle, launch, console=True)
    booted = fallback()
    set_fallback(cycle.log)
    warn_unreadable(cycle.user)
    cycle.sockets = bind_all(plan.listens, cycle.workers, inherited.match(plan.listens))
    inherited.close_unused(cycle.sockets)
    cycle.control_wanted = _control_wanted(launch, cycle)
    cycle.control = _control(cycle)
    cycle.control_address = bind_control(launch.control, cycle.user)
    for file in booted.files:
        file.close()
    return cycle


def probe(launch: Launch, plan: Plan, *, quiet: bool = False) -> None:
    """Try what `-t` tries beyond the syntax: pid file, folders, logs, addresses. Raises `NotStarted`."""
    cycle = _cycle(launch, plan)
    probe_pid_file(cycle.pid_file)
    prepare_folders(plan, cycle.user, console=True)
    _open_logs(cycle, launch, console=True)
    probe_all(plan.listens)
    if not quiet:
        warn_unreadable(cycle.user)
    cycle.files.close()


def next_cycle(launch: Launch, old: Cycle, record: Record) -> Cycle:
    """Read the configuration anew and share with the old one what stays. Both can be put to use then: `commit` or
    `roll_back` decides. `record` notes what was read.

    Raises `NotStarted`, and changes nothing.
    """
    with using(record):
        plan = read(launch, console=False, previous=old.plan)
        try:
            complete()
        except Incomplete as error:
            report(None, EMERG, str(error))
            raise NotStarted from None
        cycle = _cycle(launch, plan)
    cycle.keep(record)
    _check_place(cycle)
    prepare_folders(plan, cycle.user, console=False)
    _open_logs(cycle, launch, console=False)
    try:
        if cycle.pid_file != old.pid_file:
            write_pid_file(cycle.pid_file)
        cycle.sockets = bind_all(plan.listens, cycle.workers, old.sockets)
    except NotStarted:
        cycle.files.close()
        raise
    cycle.control = old.control
    cycle.control_address = old.control_address
    set_fallback(cycle.log)
    if _control_wanted(launch, cycle) != old.control_wanted:
        report(None, NOTICE, "the control sockets go where the configuration says now with the next start")
    cycle.control_wanted = old.control_wanted
    redirect_stderr(plan, cycle.log)
    return cycle


def remove_control(cycle: Cycle) -> None:
    """Take the control sockets away: the last worker has gone."""
    from penstock.process.worker.control import remove_folder

    remove_folder(cycle.control)
    if cycle.control_address is not None:
        cycle.control_address.remove()


def commit(old: Cycle, new: Cycle) -> None:
    """Give up what only the old one had: there is no way back. Its logs stay open for who still uses them."""
    if new.pid_file != old.pid_file:
        remove_pid_file(old.pid_file)
    old.sockets.drop_unless(new.sockets)


def roll_back(old: Cycle, new: Cycle) -> None:
    """Give up what only the new one had."""
    if new.pid_file != old.pid_file:
        remove_pid_file(new.pid_file)
    new.sockets.drop_unless(old.sockets)
    set_fallback(old.log)
    redirect_stderr(old.plan, old.log)
    new.files.close()


def _cycle(launch: Launch, plan: Plan) -> Cycle:
    main = plan.main.settings(Main)
    user = worker_user(main) if os.geteuid() == 0 else None
    _check_limits(main, plan)
    log, files = process_log(launch, plan)
    pid_file = main.pid or launch.pid_file
    return Cycle(plan, main, user, pid_file, log, files, Sockets())


def _control(cycle: Cycle) -> str:
    """Make the folder of the control sockets; "" where there is to be none, or can be none."""
    from penstock.process.worker.control import make_folder

    folder = cycle.control_wanted
    return folder if folder and make_folder(folder, cycle.user) else ""


def _control_wanted(launch: Launch, cycle: Cycle) -> str:
    """The folder of the control sockets that the configuration names; "" for none."""
    from penstock.modules.core.control import ControlFolder

    return cycle.plan.main.settings(ControlFolder).beside(cycle.main, launch.pid_file)


def _open_logs(cycle: Cycle, launch: Launch, *, console: bool) -> None:
    try:
        cycle.files.open()
    except CannotOpen as error:
        report(None, EMERG, str(error))
        if console:
            advise(error, launch)
        raise NotStarted from None


def _check_place(cycle: Cycle) -> None:
    """Workers that can not be where they are to be would end: then nobody serves. Raises `NotStarted`."""
    try:
        check_place(cycle.main, cycle.user)
    except OSError as error:
        whose = f" as user {cycle.user.name}" if cycle.user is not None else ""
        words = os_failure(f'chdir("{cycle.main.working_directory}"){whose}', error)
        report(None, EMERG, f"{words}: see working_directory")
        raise NotStarted from None


def _check_limits(main: Main, plan: Plan) -> None:
    if plan.events is None:
        return
    wanted = plan.events.settings(Events).worker_connections
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if main.rlimit_nofile is not None:
        limit = main.rlimit_nofile
    if limit != resource.RLIM_INFINITY and wanted > limit:
        report(None, WARN, f"{wanted} worker_connections exceed open file resource limit: {limit}")
