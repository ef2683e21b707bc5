"""The worker that goes on with the tunnels of another process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.net.loop import IN, OUT
from penstock.net.relay.handover import adopt, read
from penstock.observe.errorlog import NOTICE, WARN, report
from penstock.observe.handover import ReceivedPaths
from penstock.process.handover.protocol import FrameKind, Gone, HandoverFrame, HandoverLink, check_greeting, greeting
from penstock.process.startup.launch import PROGRAM
from penstock.server.handover import begin_again, let_go, received_ending
from penstock.server.tunnel.ending import Ending
from penstock.shared.json_fields import Fields, Strange

if TYPE_CHECKING:
    from penstock.net.relay.tunnel import Tunnel
    from penstock.observe.files import LogFiles
    from penstock.server.service import Service


class Taker:
    """Takes tunnels from a giver at the other end of `sock`, for as long as that has some."""

    def __init__(
        self, service: Service, files: LogFiles, sock: socket.socket, on_over: Callable[[Taker], None]
    ) -> None:
        self.service = service
        self.loop = service.loop
        self.taken = 0
        self._on_over = on_over
        self._talk = HandoverLink(sock)
        self._places = ReceivedPaths(files)
        self._greeted = False
        self._ready: dict[int, Tunnel] = {}
        self._refused: list[tuple[int, str]] = []
        self._mask = IN
        self.loop.hot.watch(sock.fileno(), IN, self._on_event)

    def end(self, why: str = "") -> None:
        """Take nothing more. What is not ours yet is forgotten: it goes on where it was."""
        if self._talk.sock.fileno() < 0:
            return
        self.loop.hot.forget(self._talk.sock.fileno())
        self._talk.close()
        self._places.close()
        for number in list(self._ready):
            self._forget(number)
        if why:
            report(None, WARN, f"no tunnels were taken over: {why}")
        elif self.taken:
            report(None, NOTICE, f"{self.taken} tunnels were taken over")
        self._on_over(self)

    def _on_event(self, mask: int) -> None:
        try:
            if mask & ~OUT:
                for frame in self._talk.hear():
                    self._told(frame)
            self._send()
        except Gone as gone:
            self.end("" if self._greeted and not self._ready else str(gone))
        except Strange as strange:
            self.end(str(strange))

    def _told(self, frame: HandoverFrame) -> None:
        wanted = {FrameKind.PLACE: 1, FrameKind.TUNNEL: 2}.get(frame.kind, 0)
        if len(frame.fds) != wanted or (not self._greeted and frame.kind is not FrameKind.HELLO):
            _close(frame.fds)
            raise Gone("a frame came out of place")
        if frame.kind is FrameKind.HELLO:
            check_greeting(frame.fields)
            self._greeted = True
            self._talk.queue(FrameKind.HELLO, greeting(f"{PROGRAM}/{__version__}"))
        elif frame.kind is FrameKind.PLACE:
            self._places.give(_path(frame), frame.fds[0])
        elif frame.kind is FrameKind.TUNNEL:
            self._offered(frame)
        elif frame.kind is FrameKind.ASK:
            refused = [{"id": number, "why": why} for number, why in self._refused]
            self._refused = []
            self._talk.queue(FrameKind.READY, {"ready": list(self._ready), "refused": refused})
        elif frame.kind is FrameKind.GO:
            self._go(frame.fields)
        else:
            raise Gone("a frame came out of place")

    def _offered(self, frame: HandoverFrame) -> None:
        fields = frame.fields
        try:
            number = fields.whole("id")
        except Strange:
            _close(frame.fds)
            raise
        try:
            tunnel = self._adopted(fields, frame)
        except (Strange, OSError) as error:
            _close(frame.fds)
            self._refused.append((number, str(error)))
            return
        self._ready[number] = tunnel

    def _adopted(self, fields: Fields, frame: HandoverFrame) -> Tunnel:
        """Raises `Strange` or `OSError`, with nothing taken and the descriptors open."""
        state = read(fields.object("tunnel"), frame.one, frame.other)
        told = fields.object("ending")
        fields.end()
        socks: list[socket.socket] = []
        try:
            socks += (_stream(fd) for fd in frame.fds)
            ending = received_ending(self.service, self.service.plan, told, self._places)
        except BaseException:
            for sock in socks:
                sock.detach()
            raise
        return adopt(self.loop, socks[0], socks[1], state, ending)

    def _go(self, fields: Fields) -> None:
        for number in fields.items("ids"):
            tunnel = self._ready.pop(number, None) if type(number) is int else None
            if tunnel is not None:
                self.taken += 1
                begin_again(tunnel)
        fields.end()
        for number in list(self._ready):
            self._forget(number)

    def _forget(self, number: int) -> None:
        tunnel = self._ready.pop(number)
        ending = tunnel.on_end
        client, backend, _, _ = tunnel.release()
        client.close()
        backend.close()
        tunnel.on_end = None
        if isinstance(ending, Ending):
            let_go(ending, tunnel)

    def _send(self) -> None:
        mask = IN if self._talk.flush() else IN | OUT
        if mask != self._mask:
            self._mask = mask
            self.loop.hot.change(self._talk.sock.fileno(), mask)


def _path(frame: HandoverFrame) -> str:
    try:
        path = frame.fields.text("path")
        frame.fields.end()
    except Strange:
        _close(frame.fds)
        raise
    return path


def _stream(fd: int) -> socket.socket:
    """A connected stream socket by its descriptor, of which it is not the owner if this raises."""
    sock = socket.socket(fileno=fd)
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise Strange("a tunnel's descriptor is no stream socket")
    return sock


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
