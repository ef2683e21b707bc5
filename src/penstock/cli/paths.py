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

from penstock.cli.options import Options
from penstock.observe.places import SYSTEM_PREFIXES, places_for
from penstock.process.launch import Launch


def launch_for(options: Options) -> Launch:
    """The paths to start with."""
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
        testing=options.test,
    )


def _defaults(options: Options) -> tuple[str, str]:
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
