"""Tunnels that end again and again in the same way at the same age: somebody's timer. Said once, not once a tunnel."""

from __future__ import annotations

from collections import OrderedDict

PLACES = 256
"""Locations that are remembered; those that had no end for longest are forgotten first."""
REMEMBERED = 16
"""Ends of one kind in one location that are compared."""
ENOUGH = 10
"""So many ends alike are no chance."""
ALIKE = 0.03
SLACK = 0.75
"""How far ages may be apart, as a share of them and in seconds at least."""
YOUNGEST = 5.0
"""Seconds. What ends earlier ends for reasons of its own."""
AGAIN = 3600.0
"""Seconds until the same is said again, if it still happens."""

KNOWN: tuple[tuple[float, str], ...] = (
    (30, "load balancers of Google Cloud end every connection at 30 s unless told otherwise"),
    (55, "Heroku's router ends what is silent for 55 s"),
    (60, "60 s is the idle timeout of AWS load balancers, of nginx (proxy_read_timeout) and of HAProxy's examples"),
    (100, "Cloudflare ends what is silent for 100 s"),
    (240, "Azure's load balancer ends what is silent for 4 minutes"),
    (300, "300 s is a usual idle timeout of firewalls and of Traefik"),
    (350, "AWS network load balancers forget what is silent for 350 s"),
    (600, "CloudFront ends WebSockets after 10 minutes of silence"),
    (3600, "3600 s is a usual limit of gateways (Google Cloud Run, proxy_read_timeout 1h)"),
    (7200, "AWS API Gateway ends every WebSocket after two hours"),
)
"""Ages in seconds, and whose timers they are."""

ENDS = {
    "CLIENT_CLOSED": "the client's side",
    "CLIENT_RESET": "the client's side",
    "BACKEND_CLOSED": "the backend",
    "BACKEND_RESET": "the backend",
}


class _Ends:
    """The ends of one kind in one location."""

    __slots__ = ("ages", "count", "said", "since")

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.count = 0
        self.since = 0
        self.said = -AGAIN


class SeenLifetimes:
    """What one worker has seen. Times are seconds, `now` on any clock that does not go back."""

    __slots__ = ("_seen",)

    again = AGAIN
    youngest = YOUNGEST
    """Of what ends at a lower age, unless it was silent for too long, nothing needs to be noted."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], _Ends] = OrderedDict()

    def note(
        self, server: str, location: str, peer: str, end: str, age: float, idle: float, now: float, timeout: str
    ) -> str:
        """Note that a tunnel has ended: `end` is the name of its `net.tunnel.End`, `idle` its idle timeout and
        `timeout` the directive that sets it. Returns a line worth saying, or ""."""
        if end != "IDLE" and (end not in ENDS or age < YOUNGEST):
            return ""
        who = "IDLE" if end == "IDLE" else ENDS[end]
        seen = self._find((server, location, who))
        seen.count += 1
        seen.since += 1
        if len(seen.ages) >= REMEMBERED:
            del seen.ages[0]
        seen.ages.append(age)
        if seen.since < ENOUGH or now - seen.said < AGAIN:
            return ""
        if end != "IDLE" and not alike(seen.ages):
            return ""
        seen.said, seen.since = now, 0
        where = f"{seen.count} tunnels of location {location} (server {server}, the last to {peer})"
        if end == "IDLE":
            return (
                f"{where} were ended by {timeout}: nothing came from either side for {idle:g} s; raise it, or keep "
                "them alive with websocket_ping"
            )
        common = median(seen.ages)
        known = whose(common)
        return (
            f"{where} were ended by {who} at the same age, {common:.0f} s: a timer there"
            f"{f' ({known})' if known else ''}; websocket_ping keeps idle ones alive"
        )

    def _find(self, key: tuple[str, str, str]) -> _Ends:
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= PLACES:
                self._seen.popitem(last=False)
            seen = self._seen[key] = _Ends()
        else:
            self._seen.move_to_end(key)
        return seen


def median(ages: list[float]) -> float:
    """Return the value in the middle."""
    return sorted(ages)[len(ages) // 2]


def alike(ages: list[float]) -> bool:
    """Return whether nearly all of these ages are the same."""
    if len(ages) < ENOUGH:
        return False
    common = median(ages)
    near = sum(abs(age - common) <= max(SLACK, ALIKE * common) for age in ages)
    return near >= ENOUGH and near * 5 >= len(ages) * 4


def whose(age: float) -> str:
    """Return whose timers go off at that age; "" for no one's in particular."""
    best = min(KNOWN, key=lambda known: abs(known[0] - age))
    return best[1] if abs(best[0] - age) <= max(1.5, ALIKE * best[0]) else ""
