"""The worker that hands its tunnels over: in batches, each of which stands still for the time of one question."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.net.loop import IN, OUT
from penstock.net.relay.handover import portable, state_of, written
from penstock.net.timers import Alarm
from penstock.observe.errorlog import NOTICE, WARN, report
from penstock.process.handover.protocol import (
    FrameKind,
    Gone,
    HandoverFrame,
    HandoverLink,
    PeerClosed,
    check_greeting,
    greeting,
)
from penstock.process.startup.launch import PROGRAM
from penstock.server.handover import describe, ending_of, let_go
from penstock.shared.json_fields import Strange

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.net.relay.tunnel import Tunnel
    from penstock.observe.files import LogFile
    from penstock.server.tunnel.ending import Ending

BATCH = 32
"""Tunnels that stand still at once: a few milliseconds' work."""

HELLO_WITHIN = 10.0
READY_WITHIN = 3.0
"""Seconds. The first is for a worker that is still starting, with nothing standing still."""

LOOK_AGAIN = 0.1
"""Seconds between two looks for tunnels that have opened since."""


class Giver:
    """Gives what tunnels of `loop` can be given, and those that open later. `on_seen` is called when each has had its
    turn (`seen`), `on_over` when it has ended; the second may come without the first, and before this returns."""

    def __init__(
        self, loop: Loop, sock: socket.socket, on_seen: Callable[[Giver], None], on_over: Callable[[Giver], None]
    ) -> None:
        self.loop = loop
        self.given = 0
        self.seen = False
        self.failed = False
        """Whether it ended for a reason that another taker may not have."""
        self._on_seen = on_seen
        self._on_over = on_over
        self._talk = HandoverLink(sock)
        self._greeted = False
        self._told: set[str] = set()
        self._batch: dict[int, Tunnel] = {}
        self._kept: set[Tunnel] = set()
        self._round: Iterator[Tunnel] = iter(())
        self._serial = 0
        self._mask = IN
        self._late = Alarm(loop.timers, self._too_late)
        self._offering = Alarm(loop.timers, self.offer_next)
        loop.hot.watch(sock.fileno(), IN, self._on_event)
        self._talk.queue(FrameKind.HELLO, greeting(f"{PROGRAM}/{__version__}"))
        self._late.set(HELLO_WITHIN)
        self._send()

    def offer_next(self) -> None:
        """Offer the next tunnels, if the last ones have been settled."""
        if not self._greeted or self._batch or self._talk.sock.fileno() < 0:
            return
        for tunnel in islice(self._round, BATCH):
            self._offer(tunnel)
        if not self._batch:
            self._all_seen()
            return
        self._talk.queue(FrameKind.ASK, {})
        self._late.set(READY_WITHIN)
        self._send()

    def end(self, why: str = "", *, failed: bool = False) -> None:
        """Give nothing more; what stands still goes on here. `failed`: somebody else may take it."""
        if self._talk.sock.fileno() < 0:
            return
        self.seen = True
        self.failed = failed
        self._late.close()
        self._offering.close()
        self.loop.hot.forget(self._talk.sock.fileno())
        self._talk.close()
        batch, self._batch = self._batch, {}
        for tunnel in batch.values():
            _go_on(tunnel)
        if why:
            report(None, WARN, f"tunnels stay in this process: {why}")
        self._on_over(self)

    def _all_seen(self) -> None:
        """Every tunnel has had its turn: begin again in a moment, for those that open since."""
        if not self.seen:
            self.seen = True
            if self.given:
                left = sum(not portable(tunnel) for tunnel in self.loop.tunnels)
                stay = f", {left} with TLS stay until they end" if left else ""
                report(None, NOTICE, f"{self.given} tunnels were handed over{stay}")
            self._on_seen(self)
        self._round = self._candidates(list(self.loop.tunnels))
        self._offering.set(LOOK_AGAIN)

    def _candidates(self, tunnels: list[Tunnel]) -> Iterator[Tunnel]:
        for tunnel in tunnels:
            if not tunnel.paused and tunnel not in self._kept and portable(tunnel) and ending_of(tunnel):
                yield tunnel

    def _offer(self, tunnel: Tunnel) -> None:
        ending = ending_of(tunnel)
        assert ending is not None
        tunnel.pause()
        state = state_of(tunnel)
        self._serial += 1
        told = {
            "id": self._serial,
            "tunnel": written(state),
            "ending": describe(ending, tunnel, self._show),
        }
        fds = (tunnel.client.fd, tunnel.backend.fd)
        self._talk.queue(FrameKind.TUNNEL, told, fds, state.client.unsent, state.backend.unsent)
        self._batch[self._serial] = tunnel

    def _show(self, file: LogFile) -> None:
        if file.path not in self._told and file.fd >= 0:
            self._told.add(file.path)
            self._talk.queue(FrameKind.PLACE, {"path": file.path}, (file.fd,))

    def _on_event(self, mask: int) -> None:
        try:
            if mask & ~OUT:
                for frame in self._talk.hear():
                    self._answered(frame)
        except Gone as gone:
            words = str(gone) if self._batch or not self._greeted else ""
            self.end(words, failed=isinstance(gone, PeerClosed))
            return
        except Strange as strange:
            self.end(str(strange))
            return
        if self._talk.sock.fileno() >= 0:
            self._send()

    def _answered(self, frame: HandoverFrame) -> None:
        if frame.kind is FrameKind.HELLO and not self._greeted:
            check_greeting(frame.fields)
            self._greeted = True
            self._round = self._candidates(list(self.loop.tunnels))
            self._late.clear()
            self.offer_next()
        elif frame.kind is FrameKind.READY and self._batch:
            ready = frame.fields.items("ready")
            refused = [(each.whole("id"), each.text("why")) for each in frame.fields.objects("refused")]
            frame.fields.end()
            self._release_tunnels(ready, refused)
        else:
            raise Gone("an answer came to no question")

    def _release_tunnels(self, ready: list[object], refused: list[tuple[int, str]]) -> None:
        """Let go of what the other side is ready for, then tell it so; the rest goes on here."""
        batch, self._batch = self._batch, {}
        self._late.clear()
        going: list[int] = []
        for number in ready:
            tunnel = batch.get(number) if type(number) is int else None
            ending = ending_of(tunnel) if tunnel is not None and tunnel.reason is None else None
            # Meanwhile it may have ended, or have to: then it does so here.
            if tunnel is not None and ending is not None:
                del batch[number]  # type: ignore[arg-type]
                _let_go(tunnel, ending)
                going.append(number)  # type: ignore[arg-type]
        for tunnel in batch.values():
            self._kept.add(tunnel)
            _go_on(tunnel)
        if refused:
            report(None, WARN, f"{len(refused)} tunnels stay in this process: {refused[0][1][:200]}")
        self.given += len(going)
        self._talk.queue(FrameKind.GO, {"ids": going})
        # Others have their turn before the next ones stand still.
        self.loop.call_soon(self.offer_next)

    def _send(self) -> None:
        try:
            mask = IN if self._talk.flush() else IN | OUT
        except Gone as gone:
            self.end(str(gone), failed=isinstance(gone, PeerClosed))
            return
        if mask != self._mask:
            self._mask = mask
            self.loop.hot.change(self._talk.sock.fileno(), mask)

    def _too_late(self) -> None:
        self.end("the other process does not answer", failed=self._greeted)


def _let_go(tunnel: Tunnel, ending: Ending) -> None:
    # Our descriptors first: as long as there are two, a close in the other process would not be one.
    client, backend, _, _ = tunnel.release()
    client.close()
    backend.close()
    tunnel.on_end = None
    let_go(ending, tunnel)


def _go_on(tunnel: Tunnel) -> None:
    if tunnel.reason is None:
        tunnel.resume()
