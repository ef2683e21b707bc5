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
from dataclasses import dataclass
from struct import Struct

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import DenialOfServiceError, FrameDataMissingError, ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamInputs, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import ContinuationFrame, ExtensionFrame, Frame, GoAwayFrame, HeadersFrame, SettingsFrame

from penstock.http.h2_fields import NO_TABLE

__all__ = ["PREFACE", "ConnectionFault", "ErrorCodes", "HalfStream", "Limits", "SettingCodes", "Wire"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = (1 << 31) - 1
_DATA, _HEADERS, _RST_STREAM, _PUSH_PROMISE, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 5, 8, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 1, 4, 8, 32

_head = Struct(">HBBBL")
_window = Struct(">HBBBLL")
_setting = Struct(">HL")

_SERVER = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
_CLIENT = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
_RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)


class ConnectionFault(Exception):
    """The peer broke the protocol in a way that ends the connection: `code` goes out with GOAWAY, `reason` to the
    log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Limits:
    """`field` bytes of one name or value, `fields` of all names and values of a head, `frames` that a head may come
    in."""

    field: int = 8192
    fields: int = 32768
    frames: int = 128


class Part:
    """A DATA frame that is being read: so much is `left` of what it carries, then the `padding`. `told`: its end has
    been told of."""

    __slots__ = ("ended", "left", "padding", "stream", "told")

    def __init__(self, stream: HalfStream | None, left: int, padding: int, ended: bool) -> None:
        self.stream = stream
        self.left = left
        self.padding = padding
        self.ended = ended
        self.told = False


class HalfStream(H2Stream):
    """A stream as `h2` keeps it. `granted` bytes may still come."""

    granted = 0

    def _initialize_content_length(self, headers: object) -> None:
        """Whether the length holds true is looked at by who reads the body, who can answer with a 400."""

    def _track_content_length(self, length: int, end_stream: bool) -> None:
        """Likewise."""

    @property
    def receives(self) -> bool:
        """Whether the peer may send more."""
        return self.state_machine.state in _RECEIVING


class Wire(H2Connection):
    """`settings` are those announced to the peer. `out` gathers what is to be sent: take it with `take`.

    `streams` holds the `HalfStream` of every stream until `forget`. Windows of streams are opened with `grant`.
    """

    MAX_CLOSED_STREAMS = 128

    def __init__(self, settings: dict[SettingCodes, int], limits: Limits, *, client_side: bool = False) -> None:
        super().__init__(_CLIENT if client_side else _SERVER)
        self.local_settings = Settings(client=client_side, initial_values=settings)
        self.limits = limits
        self.decoder.max_header_list_size = limits.fields + 32 * 1024
        self.first_window = self.local_settings.initial_window_size
        self.granted = 65535
        self.payload = 0
        """Bytes that came and were for somebody."""
        self.leaving = False
        self.table_changed = False
        """The peer has said how large our table may be: that there is none has to be said with the next head."""
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
            high, low, kind, flags, sid = _head.unpack_from(data, at)
            length = high << 8 | low
            start = at + 9
            at = start + length
            sid &= 0x7FFFFFFF
            if self._block is not None and kind != _CONTINUATION:
                raise _fault("client sent inappropriate frame while CONTINUATION was expected")
            if kind == _DATA:
                if flags & _PADDED and length and start == end:
                    at = start - 9
                    break
                event, at = self._data(data, start, min(at, end), length, flags, sid)
                if event is not None:
                    yield event
                continue
            if length > self._largest(kind):
                raise ConnectionFault(
                    ErrorCodes.ENHANCE_YOUR_CALM if kind in (_HEADERS, _CONTINUATION) else ErrorCodes.FRAME_SIZE_ERROR,
                    f"client sent too large frame: {length} bytes",
                )
            if at > end:
                at = start - 9
                break
            if kind == _WINDOW_UPDATE and length == 4:
                event = self._window_update(int.from_bytes(data[start:at], "big") & 0x7FFFFFFF, sid)
                if event is not None:
                    yield event
            elif kind in (_HEADERS, _CONTINUATION):
                yield from self._fields(data, start, at, kind, flags, sid)
            else:
                yield from self._other(data[start - 9 : at])
        if at < end:
            self._kept = data[at:]

    def _largest(self, kind: int) -> int:
        """How long a frame may be that is read as a whole. Raises `ConnectionFault` for one that nobody may send."""
        if kind == _PUSH_PROMISE and not self.config.client_side:
            raise _fault("client sent PUSH_PROMISE frame")
        return self.limits.fields + 4096 if kind in (_HEADERS, _CONTINUATION) else 16384

    @property
    def in_head(self) -> bool:
        """A head has begun to come."""
        return self._block is not None or (len(self._kept) > 3 and self._kept[3] == _HEADERS)

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
        self._data_to_send += _head.pack(0, 4, 3, 0, sid) + int(ErrorCodes.PROTOCOL_ERROR).to_bytes(4, "big")
        return True

    def _without_preface(self, data: bytes) -> bytes:
        wanted = self._preface
        count = min(len(wanted), len(data))
        if data[:count] != wanted[:count]:
            raise _fault("invalid connection preface")
        self._preface = wanted[count:]
        return data[count:]

    def _data(self, data: bytes, start: int, stop: int, length: int, flags: int, sid: int) -> tuple[Event | None, int]:
        """A DATA frame of so many bytes, as far as it is here: the event, and where the next frame begins."""
        padding, left = 0, length
        if flags & _PADDED:
            if not length:
                raise ConnectionFault(
                    ErrorCodes.FRAME_SIZE_ERROR, "client sent padded DATA frame with incorrect length: 0"
                )
            padding = data[start]
            if padding >= length:
                raise _fault(f"client sent padded DATA frame with incorrect length: {length}, padding: {padding}")
            start += 1
            left -= 1 + padding
        if not sid:
            raise _fault("client sent DATA frame with incorrect identifier")
        self.granted -= length
        if self.granted < 0:
            raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "client violated connection flow control")
        if self.granted < MAX_WINDOW // 4 and length:
            self.open_connection_window()
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise _fault("client sent DATA frame for a stream that it has not opened")
            self._part = Part(None, left, padding, False)  # it was on its way when the stream ended
            return self._more_data(data, start, stop)
        assert isinstance(stream, HalfStream)
        fault: Event | None = None
        if not stream.receives:
            if not stream.closed:
                fault = self.reset(stream, ErrorCodes.STREAM_CLOSED)
            stream = None
        else:
            stream.granted -= length
            if stream.granted < 0:
                fault = self.reset(stream, ErrorCodes.FLOW_CONTROL_ERROR)
                stream = None
        self._part = Part(stream, left, padding, bool(flags & _END_STREAM))
        event, at = self._more_data(data, start, stop, first=True)
        return fault or event, at

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
            raise _fault("client sent WINDOW_UPDATE frame with incorrect window increment 0")
        if not sid:
            window = self.outbound_flow_control_window + more
            if window > MAX_WINDOW:
                raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "client violated connection flow control")
            self.outbound_flow_control_window = window
            return WindowUpdated(stream_id=0, delta=more)
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise _fault("client sent WINDOW_UPDATE frame for a stream that it has not opened")
            return None
        window = stream.outbound_flow_control_window + more
        if window > MAX_WINDOW:
            return None if stream.closed else self.reset(stream, ErrorCodes.FLOW_CONTROL_ERROR)
        stream.outbound_flow_control_window = window
        return WindowUpdated(stream_id=sid, delta=more)

    def _fields(self, data: bytes, start: int, stop: int, kind: int, flags: int, sid: int) -> Iterator[Event]:
        """HEADERS and CONTINUATION: the block is decoded when all of it is there."""
        if kind == _CONTINUATION:
            block = self._block
            if block is None:
                raise _fault("client sent unexpected CONTINUATION frame")
            first, first_flags, frames = self._block_frame
            if sid != first:
                raise _fault("client sent CONTINUATION frame with incorrect identifier")
            block += data[start:stop]
            if frames >= self.limits.frames or len(block) > self.limits.fields + 4096:
                raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header")
            self._block_frame = first, first_flags, frames + 1
            if not flags & _END_HEADERS:
                return
            whole, flags = bytes(block), first_flags
            self._block = None
        else:
            if not sid:
                raise _fault("client sent HEADERS frame with incorrect identifier 0")
            start, stop = _unwrapped(data, start, stop, flags, sid)
            if not flags & _END_HEADERS:
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
        if flags & _END_STREAM:
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
        except (HPACKError, IndexError, TypeError) as error:
            self.highest_inbound_stream_id = sid
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, f"client sent invalid header block: {error}") from None
        if self.state_machine.state is ConnectionState.IDLE:
            self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        machine = self._begin_new_stream(sid, 1).state_machine
        machine.client = False
        machine.headers_received = True
        ended = None
        if flags & _END_STREAM:
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
        except HPACKError as error:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, f"client sent invalid header block: {error}") from None

    def _other(self, data: bytes) -> list[Event]:
        """The frames that are few: as `h2` reads them."""
        try:
            if data[3] > _CONTINUATION:
                return [UnknownFrameReceived(frame=ExtensionFrame(data[3], 0))]
            frame, length = Frame.parse_frame_header(memoryview(data)[:9])
            _check_length(frame, length)
            if frame.type == _RST_STREAM and self._idle(frame.stream_id):
                raise _fault("client sent RST_STREAM frame for a stream that it has not opened")
            frame.parse_body(memoryview(data)[9:])
        except HyperframeError as error:
            raise _fault(f"client sent a frame that is none: {error}") from None
        if isinstance(frame, SettingsFrame) and SettingCodes.HEADER_TABLE_SIZE in frame.settings:
            self.table_changed = True
        return self._handled(frame)

    def _handled(self, frame: Frame) -> list[Event]:
        try:
            return self._receive_frame(frame)
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header") from None
        except HPACKError as error:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, f"client sent invalid header block: {error}") from None
        except FrameDataMissingError as error:
            raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, f"client sent incorrect frame: {error}") from None
        except ProtocolError as error:
            code = error.error_code
            if isinstance(error.__cause__, HPACKError):
                if not isinstance(error, DenialOfServiceError):
                    code = ErrorCodes.COMPRESSION_ERROR
                if self._idle(frame.stream_id):
                    self.highest_inbound_stream_id = frame.stream_id
            raise ConnectionFault(code, f"client broke the protocol: {error}") from None

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

    # -- streams

    @property
    def open_inbound_streams(self) -> int:
        """Nothing: how many there may be is counted by who serves them, and those that are too many are refused."""
        return -1

    def _begin_new_stream(self, stream_id: int, allowed_ids: int) -> HalfStream:
        highest = (
            self.highest_outbound_stream_id
            if self._stream_id_is_outbound(stream_id)
            else self.highest_inbound_stream_id
        )
        if stream_id <= highest or stream_id % 2 != int(allowed_ids):
            raise ProtocolError(f"incorrect identifier {stream_id} of a stream, the last was {highest}")
        stream = HalfStream(stream_id, self.config, 0, self.remote_settings.initial_window_size)
        stream.granted = self.first_window
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[stream_id] = stream
        if self._stream_id_is_outbound(stream_id):
            self.highest_outbound_stream_id = stream_id
        else:
            self.highest_inbound_stream_id = stream_id
        return stream

    def open(self) -> HalfStream:
        """A stream of ours, as a client: its HEADERS are the next to be sent."""
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        sid = self.highest_outbound_stream_id + 2 if self.highest_outbound_stream_id else 1
        stream = self._begin_new_stream(sid, sid % 2)
        stream.state_machine.process_input(StreamInputs.SEND_HEADERS)
        return stream

    def forget(self, stream: HalfStream) -> None:
        """The stream is over for both sides. What was on its way for it is dropped as it comes."""
        self.streams.pop(stream.stream_id, None)

    # -- out

    def take(self) -> bytes:
        """What is to be sent; it is the caller's from then on."""
        data = bytes(self._data_to_send)
        self._data_to_send.clear()
        return data

    @property
    def waiting(self) -> int:
        """Bytes that are to be sent."""
        return len(self._data_to_send)

    def announce(self, codes: tuple[SettingCodes, ...]) -> None:
        """Say which settings hold here, and that only streams bound what may come."""
        self.state_machine.process_input(ConnectionInputs.SEND_SETTINGS)
        body = b"".join(_setting.pack(code, self.local_settings[code]) for code in codes)
        preface = PREFACE if self.config.client_side else b""
        self._data_to_send += preface + _head.pack(0, len(body), 4, 0, 0) + body
        self.open_connection_window()

    def open_connection_window(self) -> None:
        """Let the peer send as much as its streams' windows allow."""
        self._data_to_send += _window.pack(0, 4, _WINDOW_UPDATE, 0, 0, MAX_WINDOW - self.granted)
        self.granted = MAX_WINDOW

    def grant(self, stream: HalfStream, more: int) -> None:
        """Let the peer send so many bytes more on a stream."""
        stream.granted += more
        self._data_to_send += _window.pack(0, 4, _WINDOW_UPDATE, 0, stream.stream_id, more)

    def room(self, stream: HalfStream) -> int:
        """How many bytes the next DATA frame may hold; not more than 0 while a window is closed."""
        return min(
            self.outbound_flow_control_window, stream.outbound_flow_control_window, self.max_outbound_frame_size
        )

    def data(self, stream: HalfStream, data: bytes | bytearray | memoryview, most: int, *, ended: bool) -> int:
        """DATA frames of at most `most` bytes each; there must be room for them. Gives the bytes on the wire."""
        length, sid = len(data), stream.stream_id
        most = min(most, self.max_outbound_frame_size)
        out = self._data_to_send
        count = length + 9
        if length <= most:
            out += _head.pack(length >> 8, length & 0xFF, _DATA, 1 if ended else 0, sid)
            out += data
        else:
            view = memoryview(data)
            for at in range(0, length, most):
                piece = view[at : at + most]
                size = len(piece)
                out += _head.pack(size >> 8, size & 0xFF, _DATA, 1 if ended and at + size == length else 0, sid)
                out += piece
            count = length + 9 * -(-length // most)
        stream.outbound_flow_control_window -= length
        self.outbound_flow_control_window -= length
        if ended:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        return count

    def headers(self, stream: HalfStream, block: bytes, *, ended: bool) -> int:
        """HEADERS, and CONTINUATION where one frame does not hold the block. Gives the bytes on the wire."""
        most = self.max_outbound_frame_size
        sid = stream.stream_id
        flags = 1 if ended else 0
        if self.table_changed:
            self.table_changed = False
            block = NO_TABLE + block
        size = len(block)
        kind = _HEADERS
        at = 0
        count = 0
        while True:
            piece = block[at : at + most]
            at += len(piece)
            if at >= size:
                flags |= _END_HEADERS
            self._data_to_send += _head.pack(len(piece) >> 8, len(piece) & 0xFF, kind, flags, sid)
            self._data_to_send += piece
            count += 9 + len(piece)
            if at >= size:
                break
            kind, flags = _CONTINUATION, 0
        if ended:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        return count

    def reset(self, stream: H2Stream, code: int) -> StreamReset:
        """End a stream at once. Gives the event that says so."""
        if not stream.closed:
            stream.state_machine.process_input(StreamInputs.SEND_RST_STREAM)
            self._data_to_send += _head.pack(0, 4, 3, 0, stream.stream_id) + code.to_bytes(4, "big")
        return StreamReset(stream_id=stream.stream_id, error_code=ErrorCodes(code), remote_reset=False)

    def goaway(self, code: int = 0) -> None:
        """Take no more streams; those that are open come to their end, where `code` is 0."""
        self.leaving = True
        last = self.highest_inbound_stream_id
        self._data_to_send += _head.pack(0, 8, 7, 0, 0) + last.to_bytes(4, "big") + int(code).to_bytes(4, "big")


def _fault(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCodes.PROTOCOL_ERROR, reason)


def _unwrapped(data: bytes, start: int, stop: int, flags: int, sid: int) -> tuple[int, int]:
    """Where the block of a HEADERS frame lies between padding and priority, of which nothing is made."""
    least = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
    if stop - start < least:
        raise ConnectionFault(
            ErrorCodes.FRAME_SIZE_ERROR, f"client sent HEADERS frame with incorrect length {stop - start}"
        )
    if stop - start == least:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "client sent HEADERS frame with empty header block")
    padding = 0
    if flags & _PADDED:
        padding = data[start]
        start += 1
    if flags & _PRIORITY:
        if int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF == sid:
            raise _fault(f"client sent HEADERS frame for stream {sid} with incorrect dependency")
        start += 5
    if padding > stop - start:
        raise _fault("client sent padded HEADERS frame with incorrect length")
    return start, stop - padding


_LENGTHS = {2: (5, 5), 3: (4, 4), 6: (8, 8), 7: (8, 1 << 24), 8: (4, 4)}


def _check_length(frame: Frame, length: int) -> None:
    bounds = _LENGTHS.get(frame.type) if frame.type is not None else None
    wrong = bounds is not None and not bounds[0] <= length <= bounds[1]
    if frame.type == 4:
        wrong = bool(length % 6) or ("ACK" in frame.flags and length > 0)
    if wrong:
        raise ConnectionFault(
            ErrorCodes.FRAME_SIZE_ERROR, f"client sent {type(frame).__name__} with incorrect length {length}"
        )
