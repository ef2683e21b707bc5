"""`penstock tap`, in a worker: who asks is shown the frames of the tunnels that are meant, as lines of JSON.

    {"open": {...}}          a tunnel that is looked at from now on, as `penstock tunnels` describes it
    {"id": ..., "n": 7, ...} a frame or an event; `n` counts those of one side of a tunnel, so that a gap can be seen
    {"closed": "..."}        a tunnel that has ended
    {"tick": {...}}          once a second: how many were shown, and how many left out

What waits to be sent is bounded, and so is what is shown in a second: more than that is counted and left out. Nothing
of it holds up a tunnel.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import deque
from typing import TYPE_CHECKING, Any

from penstock.config.source import shown
from penstock.http.events.splitter import SeenEvent
from penstock.modules.events.tap import TapRule, untapped
from penstock.net.fiber import Fiber, current, pause
from penstock.net.relay.tunnel import Tunnel
from penstock.net.timers import Alarm
from penstock.observe.errorlog import NOTICE, report
from penstock.observe.selection import TunnelSelection
from penstock.server.tap.points import Onlooker, StreamPoint, TunnelPoint
from penstock.server.tunnel_list import describe, describe_stream
from penstock.websocket.watcher import SeenFrame

if TYPE_CHECKING:
    from penstock.net.stream import Stream
    from penstock.observe.selection import Entry
    from penstock.server.service import Service
    from penstock.server.tap.points import Seen
    from penstock.server.tunnel_list import Listed

KINDS = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
SIDES = {"client": (True, False), "backend": (False, True), "": (True, True)}
MOST_TAPS = 4
"""Who may look on at a time."""
MOST_TUNNELS = 64
"""Tunnels that one may look at; more are counted."""
LONGEST_WAITING = 1 << 20
"""Bytes of lines that wait to be sent to who looks on."""
MOST_KEPT = 1 << 20
"""Bytes of a frame that are shown at most; what was compressed has to be whole to be read, and so 64 KiB are kept."""
PACKED = 65536
RATE = 2000
"""Frames that are shown in a second."""
LOOK = 1.0
"""Seconds after which new tunnels are looked for, and a tick is sent."""
PATIENCE = 5.0
DAY = 86400.0


class Taps:
    """Everybody who looks on in this worker, and where."""

    def __init__(self) -> None:
        self.sessions: set[TapSession] = set()
        self._points: dict[Tunnel, TunnelPoint] = {}

    def point(self, tunnel: Tunnel) -> TunnelPoint:
        """Return the place in a tunnel, made where nobody looks on yet."""
        found = self._points.get(tunnel)
        if found is None:
            found = self._points[tunnel] = TunnelPoint(tunnel)
        return found

    def leave(self, tunnel: Tunnel, look: Onlooker) -> None:
        """Let one look on no more; the last one takes the place away."""
        point = self._points.get(tunnel)
        if point is not None and not point.drop(look):
            del self._points[tunnel]

    async def follow(self, service: Service, question: dict[str, object], stream: Stream, who: tuple[int, int]) -> None:
        """Show on `stream` what a question asks for, until its time is over or who asks has gone. `who`: process and
        user. Raises `ValueError` with words for whoever asks, and what the net floor raises."""
        if len(self.sessions) >= MOST_TAPS:
            raise ValueError(f"{MOST_TAPS} look on in this worker already, and no more may")
        session = TapSession(self, service, question, who)
        self.sessions.add(session)
        try:
            await session.run(stream)
        finally:
            self.sessions.discard(session)
            session.close()


class TapSession:
    """One who looks on."""

    def __init__(self, taps: Taps, service: Service, question: dict[str, object], who: tuple[int, int]) -> None:
        """Raises `ValueError`."""
        self._taps = taps
        self._service = service
        self._selection = TunnelSelection.read(question.get("select", {}))
        side, keep, seconds = question.get("from", ""), question.get("keep", 200), question.get("seconds", DAY)
        if not isinstance(side, str) or side not in SIDES:
            raise ValueError('"from" is client or backend')
        if type(keep) is not int or not 0 <= keep <= MOST_KEPT:
            raise ValueError(f'"keep" is a number of bytes, up to {MOST_KEPT}')
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= DAY:
            raise ValueError('"seconds" is a time of up to a day')
        self._side = side
        self._keep = keep
        self._who = who
        self._timers = service.loop.timers
        self._began = self._timers.now
        self._until = self._began + seconds
        self._looks: dict[Tunnel, tuple[str, Onlooker]] = {}
        self._streams: dict[Any, tuple[str, StreamPoint]] = {}
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._fiber: Fiber[object] | None = None
        self._alarm = Alarm(self._timers, self._tick)
        self._numbers: dict[tuple[str, bool], int] = {}
        self._second = 0.0
        self._in_second = 0
        self._forbidden = self._beyond = 0
        self._seen_tunnels = self.shown = self.left_out = 0
        report(None, NOTICE, f"tap by {self._name()} begins: {self._what()}")

    def _name(self) -> str:
        pid, user = self._who
        return f"user {user} (process {pid})"

    def _what(self) -> str:
        chosen = " ".join(f"{name}={value}" for name, value in self._selection.plain().items()) or "all tunnels"
        return shown(chosen) + (f", from {self._side}" if self._side else "")

    async def run(self, stream: Stream) -> None:
        """Send lines as they come, until the end."""
        self._fiber = current()
        self._tick()
        try:
            while True:
                while self._lines:
                    data = b"".join(self._lines)
                    self._lines.clear()
                    self._waiting = 0
                    await stream.send_all(data, timeout=PATIENCE)
                if self._timers.now >= self._until:
                    return
                await pause()
        finally:
            self._fiber = None

    def close(self) -> None:
        """Stop looking on, and say in the log what was looked at."""
        self._alarm.close()
        for tunnel, (_, look) in self._looks.items():
            self._taps.leave(tunnel, look)
        for _, point in self._streams.values():
            point.remove()
        self._looks = {}
        self._streams = {}
        self._lines.clear()
        took = self._timers.now - self._began
        report(
            None,
            NOTICE,
            f"tap by {self._name()} ended after {took:.1f}s: {self._what()}; {self.shown} frames of "
            f"{self._seen_tunnels} tunnels were shown, {self.left_out} left out",
        )

    # -- once a second

    def _tick(self) -> None:
        self._drop_ended()
        self._find_new()
        self._say({"tick": {"shown": self.shown, "left_out": self.left_out, "tapped": self._tapped(),
                            "forbidden": self._forbidden, "beyond": self._beyond}})  # fmt: skip
        self._alarm.at(min(self._timers.now + LOOK, max(self._until, self._timers.now + 0.001)))

    def _tapped(self) -> int:
        return len(self._looks) + len(self._streams)

    def _drop_ended(self) -> None:
        for tunnel, (name, look) in list(self._looks.items()):
            if tunnel.reason is not None:
                del self._looks[tunnel]
                self._taps.leave(tunnel, look)
                self._say({"closed": name})
            else:
                self._taps.point(tunnel).install()
        for stream, (name, point) in list(self._streams.items()):
            if stream.reason is not None:
                del self._streams[stream]
                point.remove()
                self._say({"closed": name})

    def _find_new(self) -> None:
        loop = self._service.loop
        closed = untapped(self._service.plan)
        forbidden = beyond = 0
        everything: list[Listed] = [*loop.tunnels, *loop.event_streams]
        for each in everything:
            if each.reason is not None or each in self._looks or each in self._streams:
                continue
            if isinstance(each, Tunnel):
                # What is in a tunnel of `stream` is nobody's business here.
                entry = None if getattr(each.owner, "bare", False) else describe(each)
                allowed = True
            else:
                entry = describe_stream(each, loop.timers.now)
                allowed = each.request.location[TapRule].allowed
            if entry is None or not self._selection.admits(entry):
                continue
            if not allowed or (entry["server"], entry["location"]) in closed:
                forbidden += 1
            elif self._tapped() >= MOST_TUNNELS:
                beyond += 1
            else:
                self._begin(each, entry)
        self._forbidden, self._beyond = forbidden, beyond

    def _begin(self, each: Listed, entry: Entry) -> None:
        name = str(entry["id"])
        self._seen_tunnels += 1
        if isinstance(each, Tunnel):
            owner: Any = each.owner
            entry["request"] = owner.subject.context
        else:
            entry["request"] = f'request: "{each.request.head.line}", host: "{each.request.host}"'
        self._say({"open": entry, "now": time.time()})

        def show(from_client: bool, seen: Seen) -> None:
            self._show(name, from_client, seen)

        if isinstance(each, Tunnel):
            look = Onlooker(SIDES[self._side], self._keep, max(self._keep, PACKED), show)
            self._looks[each] = name, look
            self._taps.point(each).add(look)
        elif SIDES[self._side][1]:
            self._streams[each] = name, StreamPoint(each, self._keep, show)

    # -- what is shown

    def _show(self, name: str, from_client: bool, seen: Seen) -> None:
        key = name, from_client
        number = self._numbers[key] = self._numbers.get(key, 0) + 1
        now = self._timers.now
        if now - self._second >= 1:
            self._second, self._in_second = now, 0
        self._in_second += 1
        if self._in_second > RATE or self._waiting > LONGEST_WAITING:
            self.left_out += 1
            return
        self.shown += 1
        said: dict[str, object] = {
            "id": name,
            "n": number,
            "time": time.time(),
            "from": "client" if from_client else "backend",
        }
        if isinstance(seen, int):
            said |= {"kind": "bytes", "size": seen}
        elif isinstance(seen, SeenFrame):
            said |= {"kind": KINDS[seen.opcode], "size": seen.size, "data": b64encode(seen.payload).decode()}
            if not seen.final:
                said["more"] = True
            if seen.rsv:
                said["rsv"] = seen.rsv
        elif isinstance(seen, SeenEvent):
            kind = "comment" if seen.comment else "event"
            said |= {"kind": kind, "size": seen.size, "data": b64encode(seen.text).decode()}
        self._say(said)

    def _say(self, said: dict[str, object]) -> None:
        line = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        self._lines.append(line)
        self._waiting += len(line)
        if self._fiber is not None and len(self._lines) == 1:
            self._service.loop.call_soon(self._wake)

    def _wake(self) -> None:
        if self._fiber is not None:
            self._fiber.resume()


