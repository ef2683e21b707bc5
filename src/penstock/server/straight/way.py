"""What a location's straight way is made of, decided once for each location.

A location has one where all that its requests meet on their way does without coroutines: nothing rewrites, whoever
judges a request answers at once or calls back (`judged.py`), and its content is `proxy_pass` to a place that is fixed,
or what is kept in a cache. `obstacles.py` says what keeps the others off it.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from penstock.modules.awaited import Awaited, Judge
from penstock.modules.core.http_core import HttpCore
from penstock.modules.filters.conditional import Conditional
from penstock.modules.filters.ranges import Ranges
from penstock.modules.logs.log import AccessLogs
from penstock.modules.proxy.caching import Caching
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.websocket.terms import Conversations
from penstock.net.relay.relay import limits
from penstock.plan.phases import LOG
from penstock.server.straight.content import StraightProxy
from penstock.server.straight.hits import StraightHits
from penstock.server.straight.obstacles import JUDGES, obstacles, passing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.modules.proxy.targets import Destination
    from penstock.observe.format_compiler import Liner
    from penstock.plan.location import Location, Server
    from penstock.server.straight.known_switch import KnownSwitch
    from penstock.server.tunnel.provenance import Provenance
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.group import Group

VARIABLE = "PENSTOCK_STRAIGHT"
"""`off` leaves the straight way out, so that both can be compared."""
IDLE = (Conditional, Ranges)
"""Filters that leave a backend's answer alone, unless `proxy_force_ranges` makes ranges of it ours."""
OF_ANSWERS = ("sent_http_", "sent_trailer_", "limit_rate", "upstream_trailer_", "gzip_ratio")
"""How variables begin that are asked of an `Answer`."""


class Way:
    """The straight way through one location. `judges` are asked first, in their order; `filters` see the answer.
    `kept` gives what is in a cache; where it is None, requests are passed on."""

    __slots__ = (
        "connection_line",
        "content",
        "core",
        "dials_plainly",
        "ended",
        "filters",
        "group",
        "idle_timeout",
        "judges",
        "judges_switch",
        "kept",
        "line",
        "longest",
        "most",
        "passing",
        "patience",
        "plain",
        "policy",
        "provenance",
        "put",
        "seen",
        "send_timeouts",
        "shuns_safari",
        "switched",
        "talks",
    )

    passing: Proxy
    content: StraightProxy
    policy: Policy
    group: Group
    idle_timeout: float
    """Seconds for which both sides of a tunnel may be silent."""
    dials_plainly: bool
    """Whether nothing but TCP_NODELAY is set of sockets."""
    send_timeouts: tuple[float, float]
    """Those for which its client and its backend may take nothing."""
    judges_switch: bool
    """Whether a 101 is looked at before it is passed on."""
    provenance: Provenance | None
    """What its tunnels have in common, once there was one."""

    def __init__(self, location: Location) -> None:
        self.core = location[HttpCore]
        self.kept: StraightHits | None = None
        self.switched: dict[int, KnownSwitch] = {}
        """What is known of 101s that have come before, by their lengths."""
        self.provenance = None
        self.talks = location[Conversations].terms is not None
        self.judges: tuple[Judge, ...] = tuple(
            handler.begin if isinstance(handler, Awaited) else handler
            for number in JUDGES
            for handler, _ in location.phases[number]
        )
        self.filters = tuple(
            handler for handler, _ in location.filters if not isinstance(getattr(handler, "__self__", None), IDLE)
        )
        self.seen = not location[AccessLogs].tells(OF_ANSWERS)
        """Whether nobody asks for the answer once it has been written."""
        self.plain = self.seen and not self.filters and self.core.limit_rate is None
        """Whether an answer's head may be written at once, without an `Answer`."""
        self.ended = tuple(handler for handler, _ in location.phases[LOG])
        """Who is told of its end."""
        logs = location[AccessLogs]
        log = logs.alone if self.ended == (logs.write,) else None
        self.line: Liner | None = None
        self.put: Callable[[bytes], None] | None = None
        if log is not None and log.file is not None:
            self.line, self.put = log.format.liner(), log.file.writer()
        """What writes its line in the log, and what puts that into the file, where that is all."""
        self.patience, header = self.core.keepalive_timeout
        self.most = self.core.keepalive_requests if self.patience else 0
        self.longest = self.core.keepalive_time
        self.shuns_safari = "safari" in self.core.keepalive_disable
        """These four say whether a connection may be kept: for how long, after how many requests, until what age."""
        self.connection_line = "Connection: keep-alive\r\n" + (
            "" if header is None else f"Keep-Alive: timeout={header}\r\n"
        )

    def pass_on(self, passing: Proxy, there: Destination) -> None:
        """Let it lead to a backend."""
        self.passing = passing
        self.policy = policy = passing.policy
        self.dials_plainly = not (policy.socket_keepalive or policy.rcvbuf or policy.sndbuf)
        self.idle_timeout = policy.read_timeout or inf
        self.send_timeouts = limits(self.core.send_timeout, policy.send_timeout)
        self.judges_switch = passing.guard is not None or passing.carries_websockets
        self.group = there.group
        self.content = StraightProxy(passing, there)


def is_on() -> bool:
    """Return whether requests go straight where they can."""
    return os.environ.get(VARIABLE, "") != "off"


def way_through(server: Server, location: Location) -> Way | None:
    """Return the straight way through a location, made when it is first asked for; None where there is none."""
    way = location.way
    if way is None:
        way = location.way = False if obstacles(server, location) else _made(location)
    return way or None


def _made(location: Location) -> Way:
    passing = passing_of(location)
    assert passing is not None
    way = Way(location)
    way.plain = way.plain and passing.signed is None
    if passing.caches:
        assert isinstance(passing, Caching)
        way.kept = StraightHits(passing, location, plain=way.plain)
    else:
        assert isinstance(passing, Proxy)
        assert passing.targets.fixed is not None
        way.pass_on(passing, passing.targets.fixed)
    return way
