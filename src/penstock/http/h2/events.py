"""What has happened on an HTTP/2 connection, as `Wire.receive` tells it.

What comes for a stream that somebody has taken is told to that one (`HalfStream.taker`), without an event.
"""

from __future__ import annotations

Fields = list[tuple[bytes, bytes]]


class Event:
    """Any of them. `stream_id` is 0 for what concerns the connection."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int = 0) -> None:
        self.stream_id = stream_id


class HeadReceived(Event):
    """A head; `ended`: nothing follows it."""

    __slots__ = ("ended", "headers")

    def __init__(self, stream_id: int, headers: Fields, *, ended: bool) -> None:
        self.stream_id = stream_id
        self.headers = headers
        self.ended = ended


class RequestReceived(HeadReceived):
    """The head of a request: the stream is a new one."""

    __slots__ = ()


class ResponseReceived(HeadReceived):
    """The head of an answer."""

    __slots__ = ()


class InformationalResponseReceived(HeadReceived):
    """The head of an interim answer."""

    __slots__ = ()


class TrailersReceived(HeadReceived):
    """Fields behind a body, which they end."""

    __slots__ = ()


class DataReceived(Event):
    """Bytes of a body, or of a tunnel; `ended`: they were the last."""

    __slots__ = ("data", "ended")

    def __init__(self, stream_id: int, data: bytes, *, ended: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.ended = ended


class WindowUpdated(Event):
    """The peer takes `delta` bytes more, of a stream or of all together."""

    __slots__ = ("delta",)

    def __init__(self, stream_id: int, delta: int) -> None:
        self.stream_id = stream_id
        self.delta = delta


class StreamReset(Event):
    """A stream is over at once: by the peer, or by us for what the peer did on it."""

    __slots__ = ("error_code", "remote_reset")

    def __init__(self, stream_id: int, error_code: int, *, remote_reset: bool) -> None:
        self.stream_id = stream_id
        self.error_code = error_code
        self.remote_reset = remote_reset


class ConnectionTerminated(Event):
    """The peer has sent GOAWAY: what comes behind the stream `last_stream_id` it has not looked at."""

    __slots__ = ("error_code", "last_stream_id")

    def __init__(self, error_code: int, last_stream_id: int) -> None:
        self.stream_id = 0
        self.error_code = error_code
        self.last_stream_id = last_stream_id


class RemoteSettingsChanged(Event):
    """The peer has told its settings, or some of them anew."""

    __slots__ = ()


class SettingsAcknowledged(Event):
    """The peer goes by our settings now."""

    __slots__ = ()


class PingReceived(Event):
    """A PING, which has been answered; or the answer to one."""

    __slots__ = ()


class PriorityUpdated(Event):
    """A priority, of which nothing is made."""

    __slots__ = ()


class UnknownFrameReceived(Event):
    """A frame of a kind that nobody here knows."""

    __slots__ = ()
