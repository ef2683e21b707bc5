"""One HTTP/2 connection without its socket: bytes -> events of `h2`, and frames -> bytes (RFC 9113).

`h2` knows the protocol: settings, header compression, which frame may come when. What is different here is what a
proxy needs of it:

    DATA, HEADERS, WINDOW_UPDATE   are read without an object for the frame; they are nearly all there is
    flow control                   is the reader's: a stream's window is opened by who takes its bytes, never on receipt
    a bad request                  costs its stream and not the connection: who it is for answers it
    GOAWAY                         from either side lets open streams come to their end
    what answers are made of       is written by the one who has it (`h2_fields`)
    memory                         of a stream ends with the stream

The private methods of `h2` that this stands on are named in `tests/unit/http/test_h2_wire.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from h2.connection import ConnectionInputs, ConnectionState
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import DenialOfServiceError, FrameDataMissingError, ProtocolError
from h2.settings import SettingCodes
from h2.stream import StreamInputs, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import ContinuationFrame, ExtensionFrame, Frame, GoAwayFrame, HeadersFrame, SettingsFrame

from penstock.http.h2_out import Outgoing
from penstock.http.h2_parts import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    WINDOW_UPDATE,
    ConnectionFault,
    HalfStream,
    Limits,
    Part,
    check_length,
    fault,
    unwrapped,
)

__all__ = ["PREFACE", "ConnectionFault", "ErrorCodes", "HalfStream", "Limits", "SettingCodes", "Wire"]

BAD_BLOCK = "client sent invalid header block"


class Wire(Outgoing):
    """`settings` are those announced to the peer. `out` gathers what is to be sent: take it with `take`.

    `streams` holds the `HalfStream` of every stream until `forget`. Windows of streams are opened with `grant`.
    """

    def __init__(self, settings: dict[SettingCodes, int], limits: Limits, *, client_side: bool = False) -> None:
        super().__init__(settings, client_side=client_side)
        self.limits = limits
        self.decoder.max_header_list_size = limits.fields + 32 * 1024
        self.payload = 0
        """Bytes that came and were for somebody."""
        self._kept = b""
        self._preface = b"" if client_side else PREFACE
        self._part: Part | None = None
        self._dropped: set[int] = set()
        self._block: bytearray | None = None
        self._block_frame = (0, 0, 0)
        self.block_length = 0
        """Bytes of the head that came last, compressed."""
        self._frame_dispatch_table[GoAwayFrame] = self._receive_goaway_frame
        self.incoming_buffer = None  # type: ignore[assignment]

    # -- in

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the bytes mean, one event after the other. Raises `ConnectionFault`, what came before it being good."""
        data = self._kept + data if self._kept else data
        if self._preface:
            data = self._without_preface(data)
        at, end = 0, len(data)
        self._kept = b""
        if self._part is not None:
            event, at = self._more_data(data, 0, end)
            if event is not None:
                yield event
        while end - at >= 9:
            high, low, kind, flags, sid = HEAD.unpack_from(data, at)
            length = high << 8 | low
            start = at + 9
            at = start + length
            sid &= 0x7FFFFFFF
            if self._block is not None and kind != CONTINUATION:
                raise fault("client sent inappropriate frame while CONTINUATION was expected")
            if kind == DATA:
                if flags & PADDED and length and start == end:
                    at = start - 9
                    break
                event, at = self._data(data, start, min(at, end), length, flags, sid)
                if event is not None:
                    yield event
                continue
            if length > self._largest(kind):
                raise ConnectionFault(
                    ErrorCodes.ENHANCE_YOUR_CALM if kind in (HEADERS, CONTINUATION) else ErrorCodes.FRAME_SIZE_ERROR,
                    f"client sent too large frame: {length} bytes",
                )
            if at > end:
                at = start - 9
                break
            if kind == WINDOW_UPDATE and length == 4:
                event = self._window_update(int.from_bytes(data[start:at], "big") & 0x7FFFFFFF, sid)
                if event is not None:
                    yield event
            elif kind in (HEADERS, CONTINUATION):
                yield from self._fields(data, start, at, kind, flags, sid)
            else:
                yield from self._other(data[start - 9 : at])
        if at < end:
            self._kept = data[at:]

    def _largest(self, kind: int) -> int:
        """How long a frame may be that is read as a whole. Raises `ConnectionFault` for one that nobody may send."""
        if kind == PUSH_PROMISE and not self.config.client_side:
            raise fault("client sent PUSH_PROMISE frame")
        return self.limits.fields + 4096 if kind in (HEADERS, CONTINUATION) else 16384

    @property
    def in_head(self) -> bool:
        """A head has begun to come."""
        return self._block is not None or (len(self._kept) > 3 and self._kept[3] == HEADERS)

    @property
    def incomplete(self) -> bool:
        """A frame, or a head of several, has begun to come."""
        return bool(self._kept or self._block is not None or self._part is not None or self._preface)

    def drop_head(self) -> bool:
        """The rest of a head does not come: its stream is over. When it comes all the same, nothing is made of it.
        False if that was said before."""
        sid = self._block_frame[0] if self._block is not None else int.from_bytes(self._kept[5:9], "big") & 0x7FFFFFFF
        if not sid or sid in self._dropped:
            return False
        self._dropped.add(sid)
        self._data_to_send += HEAD.pack(0, 4, RST_STREAM, 0, sid) + int(ErrorCodes.PROTOCOL_ERROR).to_bytes(4, "big")
        return True

    def _without_preface(self, data: bytes) -> bytes:
        wanted = self._preface
        count = min(len(wanted), len(data))
        if data[:count] != wanted[:count]:
            raise fault("invalid connection preface")
        self._preface = wanted[count:]
        return data[count:]

    def _data(self, data: bytes, start: int, stop: int, length: int, flags: int, sid: int) -> tuple[Event | None, int]:
        """A DATA frame of so many bytes, as far as it is here: the event, and where the next frame begins."""
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
        if self.granted < MAX_WINDOW // 4 and length:
            self.open_connection_window()
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise fault("client sent DATA frame for a stream that it has not opened")
            self._part = Part(None, left, padding, False)  # it was on its way when the stream ended
            return self._more_data(data, start, stop)
        assert isinstance(stream, HalfStream)
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
        """What has come of the DATA frame that is being read: the event, and where what follows begins."""
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
        if stream is None or stream.closed or not (count or first or last) or part.told:
            return None, at
        part.told = last
        ended = None
        if last and part.ended:
            stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
            ended = StreamEnded(stream_id=stream.stream_id)
        elif not count and not last:
            return None, at
        self.payload += count
        piece = data[start : start + count]
        return (
            DataReceived(
                stream_id=stream.stream_id, data=piece, flow_controlled_length=count, stream_ended=ended
            ),
            at,
        )

    def _window_update(self, more: int, sid: int) -> Event | None:
        if not more:
            raise fault("client sent WINDOW_UPDATE frame with incorrect window increment 0")
        if not sid:
            window = self.outbound_flow_control_window + more
            if window > MAX_WINDOW:
                raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "client violated connection flow control")
            self.outbound_flow_control_window = window
            return WindowUpdated(stream_id=0, delta=more)
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise fault("client sent WINDOW_UPDATE frame for a stream that it has not opened")
            return None
        window = stream.outbound_flow_control_window + more
        if window > MAX_WINDOW:
            return None if stream.closed else self.reset(stream, ErrorCodes.FLOW_CONTROL_ERROR)
        stream.outbound_flow_control_window = window
        return WindowUpdated(stream_id=sid, delta=more)

    def _fields(self, data: bytes, start: int, stop: int, kind: int, flags: int, sid: int) -> Iterator[Event]:
        """HEADERS and CONTINUATION: the block is decoded when all of it is there."""
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
                return
            whole, flags = bytes(block), first_flags
            self._block = None
        else:
            if not sid:
                raise fault("client sent HEADERS frame with incorrect identifier 0")
            start, stop = unwrapped(data, start, stop, flags, sid)
            if not flags & END_HEADERS:
                self._block = bytearray(data[start:stop])
                self._block_frame = sid, flags, 1
                return
            whole = data[start:stop]
        self.block_length = len(whole)
        self.payload += len(whole)
        if sid in self._dropped:
            self._dropped.discard(sid)
            self._headers(whole, flags, sid)
            stream = self.streams.get(sid)
            if isinstance(stream, HalfStream):
                self.forget(stream)
            return
        yield from self._headers(whole, flags, sid)

    def _headers(self, block: bytes, flags: int, sid: int) -> list[Event]:
        if sid & 1 and sid > self.highest_inbound_stream_id and not self.config.client_side:
            return [self._request(block, flags, sid)]
        if self.config.client_side and sid not in self.streams and not self._idle(sid):
            self._decoded(block)  # the answer to what was given up meanwhile
            return []
        frame = HeadersFrame(sid)
        frame.data = block
        frame.flags.add("END_HEADERS")
        if flags & END_STREAM:
            frame.flags.add("END_STREAM")
        return self._handled(frame)

    def _request(self, block: bytes, flags: int, sid: int) -> Event:
        """The head of a new stream, which is what nearly every head is: without a frame and its way through `h2`, which
        takes as long as decoding it."""
        try:
            fields = self.decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            self.highest_inbound_stream_id = sid
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header") from None
        except (HPACKError, IndexError, TypeError):
            self.highest_inbound_stream_id = sid
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, BAD_BLOCK) from None
        if self.state_machine.state is ConnectionState.IDLE:
            self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        machine = self._begin_new_stream(sid, 1).state_machine
        machine.client = False
        machine.headers_received = True
        ended = None
        if flags & END_STREAM:
            machine.state = StreamState.HALF_CLOSED_REMOTE
            ended = StreamEnded(stream_id=sid)
        else:
            machine.state = StreamState.OPEN
        return RequestReceived(stream_id=sid, headers=list(fields), stream_ended=ended)

    def _decoded(self, block: bytes) -> None:
        """Look at a head that nobody wants: those that follow are told in terms of it."""
        try:
            self.decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header") from None
        except (HPACKError, IndexError, TypeError):
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, BAD_BLOCK) from None

    def _other(self, data: bytes) -> list[Event]:
        """The frames that are few: as `h2` reads them."""
        try:
            if data[3] > CONTINUATION:
                return [UnknownFrameReceived(frame=ExtensionFrame(data[3], 0))]
            frame, length = Frame.parse_frame_header(memoryview(data)[:9])
            check_length(frame, length)
            if frame.type == RST_STREAM and self._idle(frame.stream_id):
                raise fault("client sent RST_STREAM frame for a stream that it has not opened")
            frame.parse_body(memoryview(data)[9:])
        except HyperframeError as error:
            raise fault(f"client sent a frame that is none: {error}") from None
        if isinstance(frame, SettingsFrame) and SettingCodes.HEADER_TABLE_SIZE in frame.settings:
            self.table_changed = True
        return self._handled(frame)

    def _handled(self, frame: Frame) -> list[Event]:
        try:
            return self._receive_frame(frame)
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header") from None
        except HPACKError:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, BAD_BLOCK) from None
        except FrameDataMissingError as error:
            raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, f"client sent incorrect frame: {error}") from None
        except ProtocolError as error:
            if isinstance(error.__cause__, (HPACKError, IndexError, TypeError)):
                if self._idle(frame.stream_id):
                    self.highest_inbound_stream_id = frame.stream_id
                if isinstance(error, DenialOfServiceError):
                    raise ConnectionFault(error.error_code, "client sent too large header") from None
                raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, BAD_BLOCK) from None
            raise ConnectionFault(error.error_code, f"client broke the protocol: {error}") from None

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Streams that are open come to their end all the same."""
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data or None
        return [], [event]

    def _receive_naked_continuation(self, frame: ContinuationFrame) -> None:
        raise ProtocolError("CONTINUATION without HEADERS")

    def _idle(self, sid: int) -> bool:
        """Whether a stream has not been opened yet."""
        highest = (
            self.highest_outbound_stream_id if self._stream_id_is_outbound(sid) else self.highest_inbound_stream_id
        )
        return sid > highest
