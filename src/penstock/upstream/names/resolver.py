"""Host names looked up while requests wait: by name servers that the configuration names (nginx: `resolver`).

Each question goes by a socket of its own, so by a port nobody can guess, to the next name server in turn. One that
keeps silent, or sends what is no answer, is followed by the next after `RESEND` seconds; where it is the only one it is
asked again, and what comes late is taken. An answer cut short is asked for again over TCP. An answer that says "no" is
an answer. Requests that want the same name wait for one question, and what was found is remembered as long as the
answer allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf

from penstock.net.dial import Address
from penstock.net.errors import TimedOut
from penstock.net.fiber import Fiber, current, pause
from penstock.net.loop import Loop, running_loop
from penstock.net.waiting import timeout_alarm
from penstock.upstream.names.dns import AAAA, SRV, A, Reply, ServiceRecord
from penstock.upstream.names.query import Inquiry, Log
from penstock.upstream.names.unresolved import NXDOMAIN, SERVFAIL, TIMED_OUT, Unresolved

RESEND = 2.0
"""Seconds a name server has. (nginx waits 5 before it asks the next.)"""

MOST_KNOWN = 4096
MOST_ASKED = 1024
"""Names that may be asked for at once."""

MOST_ALIASES = 50

How = Callable[[str, "Lookup", Loop], Awaitable["FoundAddresses"]]


class FoundAddresses:
    """The addresses of a name, and when that has to be asked again (monotonic seconds)."""

    __slots__ = ("addresses", "expires", "services")

    def __init__(self, addresses: Sequence[str], expires: float, services: Sequence[ServiceRecord] = ()) -> None:
        self.addresses = addresses
        self.expires = expires
        self.services = services


class Lookup:
    """A name that is being asked for, and the fibers that wait for it."""

    __slots__ = ("error", "found", "waiting")

    def __init__(self) -> None:
        self.waiting: set[Fiber[object]] = set()
        self.found: FoundAddresses | None = None
        self.error: Unresolved | None = None

    @property
    def done(self) -> bool:
        """Return whether there are addresses, or an error."""
        return self.found is not None or self.error is not None

    async def wait(self, name: str, timeout: float, loop: Loop) -> FoundAddresses:
        """Wait for what is found, within `timeout` seconds. Raises `Unresolved`."""
        me = current()
        alarm = me.alarm or timeout_alarm(me, loop)
        self.waiting.add(me)
        alarm.set(timeout)
        try:
            while not self.done:
                await pause()
        except TimedOut:
            raise Unresolved(name, TIMED_OUT) from None
        finally:
            alarm.deadline = inf
            self.waiting.discard(me)
        if self.found is None:
            assert self.error is not None
            raise Unresolved(self.error.name, self.error.code)
        return self.found

    def finish(self) -> None:
        """Let all who wait for it go on."""
        for fiber in list(self.waiting):
            fiber.resume()


class Resolver:
    """The names that one worker knows. `valid` takes the place of what answers say of how long they hold (seconds).

    `kinds` are the records asked for, `A` and `AAAA` or one of them.
    """

    __slots__ = ("_asked", "_known", "_turn", "kinds", "log", "servers", "valid")

    def __init__(
        self,
        servers: Sequence[Address],
        *,
        valid: float | None = None,
        kinds: Sequence[int] = (A, AAAA),
        log: Log = lambda text: None,
    ) -> None:
        self.servers = tuple(servers)
        self.valid = valid
        self.kinds = tuple(kinds)
        self.log = log
        self._turn = 0
        self._known: dict[str, FoundAddresses] = {}
        self._asked: dict[str, Lookup] = {}

    async def addresses(self, name: str, timeout: float) -> FoundAddresses:
        """Return the addresses of a host. Raises `Unresolved`."""
        return await self._find(name.lower().removesuffix("."), timeout, self._follow)

    async def services(self, name: str, timeout: float) -> FoundAddresses:
        """Return the SRV records of a service such as `_http._tcp.example.com`. Raises `Unresolved`."""
        return await self._find(name.lower().removesuffix("."), timeout, self._services)

    async def _find(self, name: str, timeout: float, how: How) -> FoundAddresses:
        loop = running_loop()
        known = self._known.get(name)
        if known is not None and known.expires > loop.hot.now:
            return known
        lookup = self._asked.get(name)
        if lookup is None:
            if len(self._asked) >= MOST_ASKED:
                raise Unresolved(name, SERVFAIL)
            lookup = self._asked[name] = Lookup()
            lookup.waiting.add(current())
            Fiber(self._look_up(name, lookup, loop, how)).resume()
        return await lookup.wait(name, timeout, loop)

    async def _look_up(self, name: str, lookup: Lookup, loop: Loop, how: How) -> None:
        try:
            lookup.found = await how(name, lookup, loop)
        except Unresolved as error:
            lookup.error = Unresolved(name, error.code)
        finally:
            del self._asked[name]
            if not lookup.done:
                lookup.error = Unresolved(name, TIMED_OUT)
            lookup.finish()

    async def _follow(self, name: str, lookup: Lookup, loop: Loop) -> FoundAddresses:
        """Ask, and ask for what the name is an alias of."""
        chain: list[tuple[str, int]] = []
        for _ in range(MOST_ALIASES):
            known = self._known.get(name)
            if known is not None and known.expires > loop.hot.now:
                return self._remember(chain, known.addresses, known.expires, loop.hot.now)
            replies = await self._ask(name, self.kinds, lookup, loop)
            for reply in replies:
                if reply.code:
                    raise Unresolved(name, reply.code)
            answering = [reply for reply in replies if reply.addresses or reply.cname]
            if not answering:
                raise Unresolved(name, NXDOMAIN)
            chain.append((name, min(reply.ttl for reply in answering)))
            found = [address for reply in answering for address in reply.addresses]
            if found:
                return self._remember(chain, found, inf, loop.hot.now)
            # Both answers should name the same alias; where they differ, nginx goes by the last.
            name = replies[-1].cname.lower()
            if not name:
                raise Unresolved(chain[-1][0], NXDOMAIN)
        raise Unresolved(name, NXDOMAIN)

    def _remember(
        self, chain: list[tuple[str, int]], found: Sequence[str], expires: float, now: float
    ) -> FoundAddresses:
        """Note what was found under the name and its aliases: each holds no longer than those it leads to."""
        known = FoundAddresses(found, expires)
        for name, ttl in reversed(chain):
            expires = min(expires, now + ttl) if self.valid is None else now + self.valid
            known = self._note(name, FoundAddresses(found, expires))
        return known

    def _note(self, name: str, found: FoundAddresses) -> FoundAddresses:
        if len(self._known) >= MOST_KNOWN and name not in self._known:
            del self._known[next(iter(self._known))]
        self._known[name] = found
        return found

    async def _services(self, name: str, lookup: Lookup, loop: Loop) -> FoundAddresses:
        alias, ttl = name, inf
        for _ in range(MOST_ALIASES):
            (reply,) = await self._ask(alias, (SRV,), lookup, loop)
            ttl = min(ttl, reply.ttl)
            if reply.services:
                holds = ttl if self.valid is None else self.valid
                return self._note(name, FoundAddresses((), loop.hot.now + holds, reply.services))
            if reply.code or not reply.cname:
                raise Unresolved(name, reply.code or NXDOMAIN)
            alias = reply.cname.lower()
        raise Unresolved(name, NXDOMAIN)

    # -- one name

    async def _ask(self, name: str, kinds: Sequence[int], lookup: Lookup, loop: Loop) -> list[Reply]:
        """Return one answer for each kind of record. Raises `Unresolved` for what is no name, or if nobody waits any
        more."""
        inquiry = Inquiry(name, kinds, self.log)
        alone = len(self.servers) == 1
        server = self._turn
        self._turn = (server + 1) % len(self.servers)
        while lookup.waiting:
            begun = loop.hot.now
            for _ in self.servers:
                await inquiry.put_to(self.servers[server], loop, RESEND, lambda: alone and lookup.waiting)
                if inquiry.complete:
                    return [inquiry.replies[kind] for kind in kinds]
                server = (server + 1) % len(self.servers)
                if not lookup.waiting:
                    break
            # All may have failed at once: they get no more than one question each in this time.
            rest = begun + RESEND - loop.hot.now
            if lookup.waiting and rest > 0:
                await asyncio.sleep(rest)
        raise Unresolved(name, TIMED_OUT)
