"""What is imported, and when: before workers are forked, and as a configuration is taken up. Nothing while it serves.

    always       what a module imports where it begins, and `ALWAYS`: imports within functions that any worker may run
    on demand    modules of directives and variables, as the configuration has them (`modules.WORDS`)
    with these   what the floors above need for them (`WITH`)
    as it is read    what compiling a directive imports by itself (`AS_READ`), libraries among it

Afterwards nothing of the program is read from disk any more. Workers may be a user who can not read the installation;
and where a package manager puts a newer version into its place, the old processes go on as the version that they are.
Memory is shared with the master, who pays for it once. What a reload adds comes to living workers with the
configuration (`late.py`).
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

import penstock

ALWAYS = (
    "doctor.lifetimes",
    "doctor.refusals.refusals",
    "net.h2.side",
    "observe.ask_workers",
    "observe.meters",
    "process.handover.receiver",
    "process.handover.sender",
    "process.master.link",
    "process.master.master",
    "process.master.tunnel_counts",
    "process.worker.control",
    "server.balance",
    "server.h2.connection",
    "server.h2.tunnel",
    "server.proxy_protocol",
    "server.redial.session",
    "server.tls_handshake",
    "server.websocket.handover",
    "server.websocket.open",
)

WITH: dict[str, tuple[str, ...]] = {
    "modules.access.auth_request": ("server.websocket.reauth",),
    "modules.filters.ssi.ssi": ("config.regex.engines", "config.regex.pattern_tree"),
    "modules.fleet.fleet": ("server.fleet_questions",),
    "modules.stream.blocks": ("server.stream.datagrams", "server.stream.serve"),
    "modules.tls.context": ("net.tls.openssl", "net.tls.openssl_context", "net.tls.openssl_tickets"),
    "modules.tls.variables": ("net.tls.openssl_peer", "net.tls.peer"),
    "modules.websocket.quota": ("server.websocket.quotas",),
}

AS_READ = frozenset(
    {
        "config.regex.engines",
        "config.regex.pattern_tree",
        "modules.acme.self_signed",
        "modules.proxy.http2",
        "modules.tls.context",
        "net.tls.openssl_peer",
        "observe.tracing.otlp",
        "process.acme.keeper",
        "process.cache.manager",
        "process.discovery.finder",
        "process.discovery.sources",
        "process.single",
        "process.startup.port_owner",
        "upstream.checks.rounds",
        "upstream.names.by_resolver",
        "upstream.names.dns",
        "upstream.names.resolver",
        "upstream.peers.spares",
    }
)

STANDARD = (
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "grp",
    "linecache",
    "tokenize",
    "unicodedata",
)
"""What Python and its library import only when somebody needs it."""


class Incomplete(Exception):
    """Something of this program is not there; the text says what, and what to do."""


def provide() -> None:
    """Import what is to be there before workers are forked. Raises `Incomplete`."""
    _import(*STANDARD, *map(_full, ALWAYS))
    complete()
    _fail()


def complete() -> None:
    """Import what goes with the modules that a configuration has brought. Raises `Incomplete`."""
    for name, more in WITH.items():
        if _full(name) in sys.modules:
            _import(*map(_full, more))


def _full(name: str) -> str:
    return f"{penstock.__name__}.{name}"


def _import(*names: str) -> None:
    try:
        for name in names:
            import_module(name)
    except ImportError as error:
        raise Incomplete(f"this installation is not complete ({error}): install penstock again") from None


def _fail() -> None:
    """Write a mistake down once, so that all that it takes is there. What it imports differs from Python to Python."""
    try:
        raise RuntimeError(penstock.__version__)
    except RuntimeError as error:
        traceback.format_exception(error)
