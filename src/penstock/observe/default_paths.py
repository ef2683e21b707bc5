"""Where logs, the pid file and temporary files are when neither the configuration nor the command line says."""

from __future__ import annotations

from typing import NamedTuple


class DefaultPaths(NamedTuple):
    """The paths for a prefix, absolute or relative to it."""

    error_log: str
    access_log: str
    pid_file: str
    temporary: str = ""
    """The folder around those for temporary files, with a slash at its end; "" is the prefix."""


_CACHE = "/var/cache/penstock/"
_SYSTEM = {
    "/etc/penstock/": DefaultPaths(
        "/var/log/penstock/error.log", "/var/log/penstock/access.log", "/run/penstock.pid", _CACHE
    ),
    # Not those of nginx for temporary files: they belong to its user, who need not be ours.
    "/etc/nginx/": DefaultPaths("/var/log/nginx/error.log", "/var/log/nginx/access.log", "/run/nginx.pid", _CACHE),
}
_ELSEWHERE = DefaultPaths("logs/error.log", "logs/access.log", "logs/nginx.pid")

SYSTEM_PREFIXES = tuple(_SYSTEM)
"""Where a system keeps its configuration, in the order in which they are looked for."""


def places_for(prefix: str) -> DefaultPaths:
    """Choose the paths: as distributions have them for a prefix in /etc, as nginx has them for any other."""
    return _SYSTEM.get(prefix, _ELSEWHERE)
