"""What a worker may do: its user, limits, priority, environment and directory. The master keeps its own."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from errno import EPERM

from penstock.config.errors import ConfigError
from penstock.config.os_errors import os_failure
from penstock.modules.core.main import Main
from penstock.observe.errorlog import ALERT, EMERG, report
from penstock.process.children import run_in_child

DEFAULT_USER = "nobody"


@dataclass(frozen=True, slots=True)
class User:
    """Whom workers become."""

    name: str
    uid: int
    gid: int


class Fatal(Exception):
    """A worker can not become what it should be; starting another would end the same way."""


def worker_user(main: Main) -> User | None:
    """Return the user whom workers shall be; None where the master is not root and can change nothing.

    Raises `ConfigError` for names nobody has, and as a warning for a `user` without effect.
    """
    if os.geteuid() != 0:
        if main.user is not None:
            raise ConfigError(
                'the "user" directive makes sense only if the master process runs with super-user privileges, ignored',
                main.origin("user"),
                level="warn",
            )
        return None
    import grp
    import pwd

    name, group = main.user or (DEFAULT_USER, None)
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f'getpwnam("{name}") failed', main.origin("user"), hint="there is no such user") from None
    if group is None:
        return User(name, account.pw_uid, account.pw_gid)
    try:
        return User(name, account.pw_uid, grp.getgrnam(group).gr_gid)
    except KeyError:
        raise ConfigError(
            f'getgrnam("{group}") failed',
            main.origin("user"),
            hint="there is no such group; a group may stand after the user's name",
        ) from None


def confine(main: Main, user: User | None) -> None:
    """Make this process a worker for good. Raises `Fatal` where it must not go on; lesser failures are logged."""
    keep_environment(main.env)
    if main.priority:
        _try(f"setpriority({main.priority})", lambda: os.setpriority(os.PRIO_PROCESS, 0, main.priority))
    if main.rlimit_nofile is not None:
        limit = main.rlimit_nofile
        _try(
            f"setrlimit(RLIMIT_NOFILE, {limit})",
            lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
    if user is not None:
        _become(user)
    if main.working_directory is not None:
        try:
            os.chdir(main.working_directory.encode("latin-1"))
        except OSError as error:
            report(None, ALERT, os_failure(f'chdir("{main.working_directory}")', error))
            raise Fatal from None


def check_place(main: Main, user: User | None) -> None:
    """Return whether workers can be in `working_directory`: a child tries, as the user that they will be. Raises
    `OSError`."""
    folder = main.working_directory
    if folder is None:
        return

    def attempt() -> int:
        try:
            if user is not None:
                become(user)
            os.chdir(folder.encode("latin-1"))
        except OSError as error:
            return error.errno or 1
        return 0

    number = run_in_child(attempt)
    if number > 0:
        raise OSError(number, os.strerror(number))


def keep_environment(env: tuple[tuple[str, str | None], ...]) -> None:
    """Drop all variables but those that `env` names or sets, and TZ."""
    kept = environment_of(env)
    for name in list(os.environ):
        if name not in kept:
            del os.environ[name]
    os.environ.update(kept)


def environment_of(env: tuple[tuple[str, str | None], ...]) -> dict[str, str]:
    """Return the variables that are left to workers, of those this process has."""
    kept: dict[str, str] = {}
    for name, value in (("TZ", None), *env):
        found = os.environ.get(name) if value is None else value
        if found is not None:
            kept[name] = found
    return kept


def become(user: User) -> None:
    """Be that user from now on. Raises `OSError`."""
    os.setgid(user.gid)
    os.initgroups(user.name, user.gid)
    os.setuid(user.uid)


def _become(user: User) -> None:
    call = f"setgid({user.gid})"
    try:
        os.setgid(user.gid)
        call = f"initgroups({user.name}, {user.gid})"
        os.initgroups(user.name, user.gid)
        call = f"setuid({user.uid})"
        os.setuid(user.uid)
    except OSError as error:
        report(None, EMERG, os_failure(call, error))
        raise Fatal from None


def _try(call: str, action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except (OSError, ValueError) as error:
        report(None, ALERT, os_failure(call, error if isinstance(error, OSError) else EPERM))
