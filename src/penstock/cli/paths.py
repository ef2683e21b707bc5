"""Where the configuration, the error log and the pid file are when the command line does not say.

Without `-p` and `-c` the first of these that exists is taken:

    /etc/penstock/nginx.conf    Penstock's own; logs in /var/log/penstock, pid file /run/penstock.pid
    /etc/nginx/nginx.conf       the nginx of this machine: a drop-in uses what is there; its logs and its pid file too
    ./nginx.conf                the current folder, which is the prefix then

With `-p`, the configuration is `conf/nginx.conf` below it, or `nginx.conf` where there is no such file, and logs and
the pid file are below `logs/`.
"""

from __future__ import annotations

import os

from penstock.cli.options import CommandLine
from penstock.observe.default_paths import SYSTEM_PREFIXES, places_for
from penstock.process.startup.launch import Launch


def launch_for(options: CommandLine) -> Launch:
    """Return the paths to start with."""
    prefix, path = _defaults(options)
    if options.configuration is not None:
        path = options.configuration
    places = places_for(prefix)
    error_log = places.error_log if options.error_log is None else options.error_log
    return Launch(
        prefix=prefix,
        path=_below(prefix, path),
        error_log=_below(prefix, error_log) if error_log else "",
        globals_text=options.globals_text,
        pid_file=_below(prefix, places.pid_file),
        access_log=_below(prefix, places.access_log),
        testing=options.test,
        control=options.control,
    )


def misplaced(options: CommandLine, launch: Launch) -> str:
    """Say so if another configuration than this folder's was taken, as nginx does it; "" where it can not be meant."""
    name = options.configuration or "nginx.conf"
    here = f"{os.fsencode(os.getcwd()).decode('latin-1')}/{name}"  # noqa: PTH109  bytes
    if name.startswith("/") or os.path.normpath(here) == os.path.normpath(launch.path) or not _exists(here):
        return ""
    if options.configuration is None:
        taken = f"{launch.path} was taken" if options.prefix is None else ""
        return f'{taken}; there is a "{name}" in this folder too: -c $PWD/{name}' if taken else ""
    if _exists(launch.path):
        return ""
    return f'-c is relative to the prefix, {launch.prefix}; there is a "{name}" in this folder: -c $PWD/{name}'


def unnamed(launch: Launch, arguments: str) -> str:
    """Say which configuration a command looks at that was told none, and that this folder has one, too. `arguments`
    are the words by which the command takes that."""
    here = f"{os.fsencode(os.getcwd()).decode('latin-1')}/nginx.conf"  # noqa: PTH109  bytes
    other = os.path.normpath(here) != os.path.normpath(launch.path) and _exists(here)
    return f"this is about {launch.path}" + (f"; for the one in this folder: {arguments}" if other else "")


def _defaults(options: CommandLine) -> tuple[str, str]:
    """The prefix and the configuration's name."""
    prefix = options.prefix
    if prefix is not None:
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        plain = _exists(f"{prefix}nginx.conf") and not _exists(f"{prefix}conf/nginx.conf")
        return prefix, "nginx.conf" if plain else "conf/nginx.conf"
    for prefix in SYSTEM_PREFIXES:
        if _exists(f"{prefix}nginx.conf"):
            return prefix, "nginx.conf"
    return os.fsencode(os.getcwd()).decode("latin-1") + "/", "nginx.conf"  # noqa: PTH109  bytes


def _below(prefix: str, path: str) -> str:
    return path if path.startswith("/") else prefix + path


def _exists(path: str) -> bool:
    return os.path.exists(path.encode("latin-1"))  # noqa: PTH110  bytes
