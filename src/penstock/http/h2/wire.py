"""One HTTP/2 connection without its socket, either side of it: bytes -> events, and frames -> bytes (RFC 9113).

    DATA           goes to who has taken the stream, frame by frame, as slices of what was read
    flow control   is the reader's: a stream's window is opened by who takes its bytes, never on receipt
    a bad request  costs its stream and not the connection: who it is for answers it
    GOAWAY         from either side lets open streams come to their end
    memory         of a stream ends with the stream

It is one class in four rooms: `out.py` writes, `heads.py` reads heads, `control.py` what is rare, and here is what
frames have in common, and DATA.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.http.h2.codes import ErrorCodes, SettingCodes
from penstock.http.h2.control import WireControl
from penstock.http.h2.events import DataReceived, Event, WindowUpdated
from penstock.http.h2.parts import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEAD,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    PRIORITISED,
    PUSH_PROMISE,
    RST_STREAM,
    WINDOW_UPDATE,
    ConnectionFault,
    HalfStream,
    HeadLimits,
    Part,
    fault,
    unwrapped,
)

__all__ = ["PREFACE", "ConnectionFault", "ErrorCodes", "HalfStream", "HeadLimits", "SettingCodes", "Wire"]

_LOW_WATER = MAX_WINDOW // 4
"""What is left of the connection's window when it is opened again."""


class Wire(WireControl):
    """`settings` are those announced to the peer. `out` gathers what is to be sent: take it with `take`.

    `streams` holds the `HalfStream` of every stream until `forget`. Windows of streams are opened with `grant`.
    """

    __slots__ = ("_awaited", "_kept", "_part", "_preface")

    def __init__(self, settings: dict[SettingCodes, int], limits: HeadLimits, *, client_side: bool = False) -> None:
        super().__init__(settings, limits, client_side=client_side)
        self._kept = bytearray()
        self._awaited = 0
        """How many bytes must be kept before there is anything to be made of them."""
        self._preface = b"" if client_side else PREFACE
        self._part: Part | None = None

    # -- in

    def receive(self, data: bytes) -> Iterator[Event]:
        """Read bytes, and give one event after the other. Raises `ConnectionFault`; what came before it is good."""
        if self._kept:
            # A frame that comes a byte at a time is put together once.
            self._kept += data
            if len(self._kept) < self._awaited:
                return
            data = bytes(self._kept)
            self._kept.clear()
        if self._preface:
            data = self._without_preface(data)
        at, end = 0, len(data)
        awaited = 9
        event: Event | None
        if self._part is not None:
            event, at = self._more_data(data, 0, end)
            if event is not None:
                yield event
        streams, head_at = self.streams, FRAME.unpack_from
        is_open = self.granted - end >= _LOW_WATER
        passed = 0
        while end - at >= 9:
            length, flags, sid = head_at(data, at)
            kind = length & 0xFF
            length >>= 8
            start = at + 9
            at = start + length
            sid &= 0x7FFFFFFF
            if self._block is not None and kind != CONTINUATION:
                raise fault("client sent inappropriate frame while CONTINUATION was expected")
            if not kind:
                stream = streams.get(sid)
                if stream is not None:
                    left = stream.granted - length
                    taker = stream.taker
                    if (
                        left >= 0
                        and taker is not None
                        and at <= end
                        and length
                        and stream.receives
                        and is_open
                        and not flags & PADDED
                    ):
                        # What nearly all of them are: a whole frame, for somebody who waits for it.
                        passed += length
                        stream.granted = left
                        if flags & END_STREAM:
                            stream.receives = False
                            taker.arrived(data[start:at], ended=True)
                        else:
                            taker.arrived(data[start:at])
                        continue
            if passed:
                self.granted -= passed
                self.payload += passed
                passed = 0
            if not kind:
                if flags & PADDED and length and start == end:
                    at = start - 9
                    awaited = 10
                    break
                event, at = self._data(data, start, min(at, end), length, flags, sid)
                if event is not None:
                    yield event
                continue
            if (
                kind == HEADERS
                and flags & (PADDED | END_HEADERS) == END_HEADERS
                and at <= end
                and length <= self.limits.fields
                and sid > self.highest_in
                and sid & 1
                and not (self.client_side or self._dropped)
            ):
                # The head of a new request in one piece, as nearly all are.
                if flags & PRIORITISED or not length:
                    start, at = unwrapped(data, start, at, flags, sid)
                yield self.begun(data[start:at], sid, flags)
                continue
            if length > self._largest(kind):
                raise ConnectionFault(
                    ErrorCodes.ENHANCE_YOUR_CALM if kind in (HEADERS, CONTINUATION) else ErrorCodes.FRAME_SIZE_ERROR,
                    f"client sent too large frame: {length} bytes",
                )
            if at > end:
                at = start - 9
                awaited = 9 + length
                break
            if kind == WINDOW_UPDATE and length == 4:
                event = self._window_update(int.from_bytes(data[start:at], "big") & 0x7FFFFFFF, sid)
            elif kind in (HEADERS, CONTINUATION):
                event = self._head_frame(data, start, at, kind, flags, sid)
            else:
                event = self._control(kind, flags, sid, data[start:at])
            if event is not None:
                yield event
        self.granted -= passed
        self.payload += passed
        if at < end:
            self._kept += data[at:]
            self._awaited = awaited

    def _largest(self, kind: int) -> int:
        """Return how long a frame may be that is read as a whole. Raises `ConnectionFault` for one that nobody may
        send."""
        if kind == PUSH_PROMISE:
            raise fault("client sent PUSH_PROMISE frame")
        return self.limits.fields + 4096 if kind in (HEADERS, CONTINUATION) else 16384

    @property
    def in_head(self) -> bool:
        """Return whether a head has begun to come."""
        return self._block is not None or (len(self._kept) > 3 and self._kept[3] == HEADERS)

    @property
    def incomplete(self) -> bool:
        """Return whether a frame, or a head of several, has begun to come."""
        return bool(self._kept or self._block is not None or self._part is not None or self._preface)

    def drop_head(self) -> bool:
        """Expect no more of a head: its stream is over. If the rest comes all the same, nothing is made of it.
        False if that was said before."""
        sid = self._block_frame[0] if self._block is not None else int.from_bytes(self._kept[5:9], "big") & 0x7FFFFFFF
        if not sid or sid in self._dropped:
            return False
        self._dropped.add(sid)
        self.out += HEAD.pack(0, 4, RST_STREAM, 0, sid) + int(ErrorCodes.PROTOCOL_ERROR).to_bytes(4, "big")
        return True

    def _without_preface(self, data: bytes) -> bytes:
        wanted = self._preface
        count = min(len(wanted), len(data))
        if data[:count] != wanted[:count]:
            raise fault("invalid connection preface")
        self._preface = wanted[count:]
        return data[count:]

    def _data(self, data: bytes, start: int, stop: int, length: int, flags: int, sid: int) -> tuple[Event | None, int]:
        """Read a DATA frame of so many bytes, as far as it is here: the event, and where the next frame begins."""
        padding, left = 0, length
        if flags & PADDED:
            if not length:
                raise ConnectionFault(
                    ErrorCodes.FRAME_SIZE_ERROR, "client sent padded DATA frame with incorrect length: 0"
                )
            padding = data[start]
            if padding >= length:
                raise fault(f"client sent padded DATA frame with incorrect length: {length}, padding: {padding}")
            start += 1
            left -= 1 + padding
        if not sid:
            raise fault("client sent DATA frame with incorrect identifier")
        self.granted -= length
        if self.granted < 0:
            raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "client violated connection flow control")
        if self.granted < _LOW_WATER and length:
            self.open_connection_window()
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise fault("client sent DATA frame for a stream that it has not opened")
            self._part = Part(None, left, padding, False)  # it was on its way when the stream ended
            return self._more_data(data, start, stop)
        broken: Event | None = None
        if not stream.receives:
            if not stream.closed:
                broken = self.reset(stream, ErrorCodes.STREAM_CLOSED)
            stream = None
        else:
            stream.granted -= length
            if stream.granted < 0:
                broken = self.reset(stream, ErrorCodes.FLOW_CONTROL_ERROR)
                stream = None
        self._part = Part(stream, left, padding, bool(flags & END_STREAM))
        event, at = self._more_data(data, start, stop, first=True)
        return broken or event, at

    def _more_data(self, data: bytes, at: int, end: int, *, first: bool = False) -> tuple[Event | None, int]:
        """Read what has come of the DATA frame that is under way: the event, and where what follows begins."""
        part = self._part
        assert part is not None
        start = at
        count = min(part.left, end - at)
        part.left -= count
        at += count
        last = not part.left
        if last:
            skipped = min(part.padding, end - at)
            part.padding -= skipped
            at += skipped
            if not part.padding:
                self._part = None
        stream = part.stream
        if stream is None or stream.broken or not (count or first or last) or part.told:
            return None, at
        part.told = last
        ended = last and part.ended
        if ended:
            stream.receives = False
        elif not count and not last:
            return None, at
        self.payload += count
        piece = data[start : start + count]
        if stream.taker is not None and (piece or ended):
            stream.taker.arrived(piece, ended=ended)
            return None, at
        return DataReceived(stream.stream_id, piece, ended=ended), at

    def _window_update(self, more: int, sid: int) -> Event | None:
        if not more:
            raise fault("client sent WINDOW_UPDATE frame with incorrect window increment 0")
        if not sid:
            window = self.may_send + more
            if window > MAX_WINDOW:
                raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "client violated connection flow control")
            self.may_send = window
            return WindowUpdated(0, more)
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise fault("client sent WINDOW_UPDATE frame for a stream that it has not opened")
            return None
        window = stream.may_send + more
        if window > MAX_WINDOW:
            return None if stream.closed else self.reset(stream, ErrorCodes.FLOW_CONTROL_ERROR)
        stream.may_send = window
        return WindowUpdated(sid, more)
