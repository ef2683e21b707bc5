"""Where the configuration, the error log and the pid file are when the command line does not say.

Without `-p` and `-c` the first of these that exists is taken:

    /etc/penstock/nginx.conf    Penstock's own; logs in /var/log/penstock, pid file /run/penstock.pid
    /etc/nginx/nginx.conf       the nginx of this machine: a drop-in uses what is there; its logs and its pid file too
    ./nginx.conf                the current folder, which is the prefix then

With `-p`, the configuration is `conf/nginx.conf` below it, or `nginx.conf` where there is no such folder, and logs and
the pid file are below `logs/`.
"""

from __future__ import annotations

import os

from penstock.cli.options import Options
from penstock.process.launch import Launch

_SYSTEM = (
    ("/etc/penstock/", "/var/log/penstock/error.log", "/run/penstock.pid"),
    ("/etc/nginx/", "/var/log/nginx/error.log", "/run/nginx.pid"),
)
_ERROR_LOG = "logs/error.log"
_PID_FILE = "logs/nginx.pid"


def launch_for(options: Options) -> Launch:
    """The paths to start with."""
    prefix, path, error_log, pid_file = _defaults(options)
    if options.configuration is not None:
        path = options.configuration
    if options.error_log is not None:
        error_log = options.error_log
    return Launch(
        prefix=prefix,
        path=_below(prefix, path),
        error_log=_below(prefix, error_log) if error_log else "",
        globals_text=options.globals_text,
        pid_file=pid_file,
        testing=options.test,
    )


def _defaults(options: Options) -> tuple[str, str, str, str]:
    if options.prefix is not None:
        prefix = options.prefix if options.prefix.endswith("/") or not options.prefix else options.prefix + "/"
        name = "nginx.conf" if _exists(f"{prefix}nginx.conf") and not _exists(f"{prefix}conf") else "conf/nginx.conf"
        return prefix, name, _ERROR_LOG, _PID_FILE
    for prefix, error_log, pid_file in _SYSTEM:
        if _exists(f"{prefix}nginx.conf"):
            return prefix, "nginx.conf", error_log, pid_file
    here = os.fsencode(os.getcwd()).decode("latin-1") + "/"  # noqa: PTH109  bytes
    return here, "nginx.conf", _ERROR_LOG, _PID_FILE


def _below(prefix: str, path: str) -> str:
    return path if path.startswith("/") else prefix + path


def _exists(path: str) -> bool:
    return os.path.exists(path.encode("latin-1"))  # noqa: PTH110  bytes
