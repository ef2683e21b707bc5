"""The heads that come on an HTTP/2 connection: put together from HEADERS and CONTINUATION, decoded (RFC 9113, 4.3)."""

from __future__ import annotations

from penstock.http.h2.codes import ErrorCodes, SettingCodes
from penstock.http.h2.events import (
    Event,
    Fields,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from penstock.http.h2.out import WireOut
from penstock.http.h2.parts import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    BadBlock,
    ConnectionFault,
    HalfStream,
    HeadLimits,
    TooManyFields,
    fault,
    unwrapped,
)

BAD_BLOCK = "client sent invalid header block"


class WireHeads(WireOut):
    """Heads as they come. It is one class with `Wire`, which reads all other frames."""

    __slots__ = ("_block", "_block_frame", "_dropped", "block_length", "limits", "payload")

    def __init__(self, settings: dict[SettingCodes, int], limits: HeadLimits, *, client_side: bool) -> None:
        super().__init__(settings, client_side=client_side)
        self.limits = limits
        self.decoder.max_header_list_size = limits.fields + 32 * 1024
        self.payload = 0
        """Bytes that came and were for somebody."""
        self.block_length = 0
        """Bytes of the head that came last, compressed."""
        self._dropped: set[int] = set()
        self._block: bytearray | None = None
        self._block_frame = (0, 0, 0)
        """Of the head that is being put together: its stream, its flags, how many frames have come."""

    def _head_frame(self, data: bytes, start: int, stop: int, kind: int, flags: int, sid: int) -> Event | None:
        """Read HEADERS or CONTINUATION: the block is decoded when all of it is there."""
        if kind == CONTINUATION:
            block = self._block
            if block is None:
                raise fault("client sent unexpected CONTINUATION frame")
            first, first_flags, frames = self._block_frame
            if sid != first:
                raise fault("client sent CONTINUATION frame with incorrect identifier")
            block += data[start:stop]
            if frames >= self.limits.frames or len(block) > self.limits.fields + 4096:
                raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header")
            self._block_frame = first, first_flags, frames + 1
            if not flags & END_HEADERS:
                return None
            whole, flags = bytes(block), first_flags
            self._block = None
        else:
            if not sid:
                raise fault("client sent HEADERS frame with incorrect identifier 0")
            start, stop = unwrapped(data, start, stop, flags, sid)
            if not flags & END_HEADERS:
                self._block = bytearray(data[start:stop])
                self._block_frame = sid, flags, 1
                return None
            whole = data[start:stop]
        if sid not in self._dropped:
            return self._head(whole, sid, flags)
        self._dropped.discard(sid)
        self._head(whole, sid, flags)
        stream = self.streams.get(sid)
        if stream is not None:
            self.forget(stream)
        return None

    def begun(self, block: bytes, sid: int, flags: int) -> RequestReceived:
        """Open a stream of the peer's: its head is here wholly."""
        self.highest_in = sid
        self.block_length = length = len(block)
        self.payload += length
        fields = self._decoded(block)
        stream = self.streams[sid] = HalfStream(sid, self.first_window, self.peer_window)
        ended = flags & END_STREAM
        if ended:
            stream.receives = False
        return RequestReceived(sid, fields, ended=bool(ended))

    def _head(self, block: bytes, sid: int, flags: int) -> Event | None:
        """A head that is here wholly."""
        if not self.client_side and sid & 1 and sid > self.highest_in:
            return self.begun(block, sid, flags)
        self.block_length = len(block)
        self.payload += len(block)
        ended = bool(flags & END_STREAM)
        known = self.streams.get(sid)
        if known is not None:
            return self._another_head(known, self._decoded(block), ended)
        if self.client_side and not self._idle(sid):
            self._decoded(block)  # the answer to what was given up meanwhile
            return None
        if self.client_side and not sid & 1:
            raise fault("client sent a request")  # whose answer was to be pushed
        last = self.highest_in
        raise fault(f"client broke the protocol: incorrect identifier {sid} of a stream, the last was {last}")

    def _another_head(self, stream: HalfStream, fields: Fields, ended: bool) -> Event | None:
        """A head on a stream that is there: an answer to us, or fields behind a body."""
        if stream.broken:
            return None  # it was on its way when the stream ended
        if not stream.receives:
            return self.reset(stream, ErrorCodes.STREAM_CLOSED) if stream.sends else self._late(stream)
        sid = stream.stream_id
        if self.client_side and _is_interim(fields):
            if stream.answered or ended:
                raise fault("client broke the protocol: an interim answer where none may be")
            return InformationalResponseReceived(sid, fields, ended=False)
        if ended:
            stream.receives = False
        if self.client_side and not stream.answered:
            stream.answered = True
            return ResponseReceived(sid, fields, ended=ended)
        if not ended:
            raise fault("client broke the protocol: trailers that end nothing")
        return TrailersReceived(sid, fields, ended=True)

    def _late(self, stream: HalfStream) -> StreamReset:
        """A head behind the end of both sides."""
        if not self.client_side:
            raise ConnectionFault(
                ErrorCodes.STREAM_CLOSED, f"client broke the protocol: a head on the closed stream {stream.stream_id}"
            )
        return StreamReset(stream.stream_id, ErrorCodes.STREAM_CLOSED, remote_reset=False)

    def _decoded(self, block: bytes) -> Fields:
        """Decode a head, whether anybody wants it or not: those that follow are told in terms of it."""
        try:
            return self.decoder.decode(block)
        except TooManyFields:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header") from None
        except BadBlock:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, BAD_BLOCK) from None

    def _idle(self, sid: int) -> bool:
        """Return whether a stream has not been opened yet."""
        return sid > (self.highest_out if bool(sid & 1) is self.client_side else self.highest_in)


def _is_interim(fields: Fields) -> bool:
    """Return whether a head is that of an answer with 1xx."""
    return any(name == b":status" and value[:1] == b"1" for name, value in fields)
