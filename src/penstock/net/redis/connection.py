"""One connection to Redis: commands leave together at the end of a turn, and replies come back in their order.

Nothing here waits and nothing raises: who asked is told the reply, or None once the connection has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from penstock.net.errors import NetError
from penstock.net.loop import IN, OUT
from penstock.net.redis.replies import NotRedis, Push, Reply, ReplyReader
from penstock.net.stream import Stream

LONGEST_QUEUE = 4 << 20
"""Bytes that Redis has not taken yet; beyond them the connection is given up, so that a silent Redis holds no more."""
READ = 65536
AT_ONCE = 16
"""Reads in one turn of the loop."""

Told = Callable[[Reply], None]


class RedisConnection:
    """`on_push` gets messages of channels; `on_end` is called once, when the connection has ended by itself."""

    __slots__ = ("_ended", "_on_end", "_on_push", "_out", "_queued", "_reader", "_rest", "_stream", "_waiting")

    def __init__(self, stream: Stream, on_push: Callable[[list[Reply]], None], on_end: Callable[[str], None]) -> None:
        self._stream = stream
        self._on_push = on_push
        self._on_end = on_end
        self._reader = ReplyReader()
        self._waiting: deque[Told] = deque()
        self._out: list[bytes] = []
        self._rest = b""
        self._queued = 0
        self._ended = False
        stream._arm(IN, self)

    @property
    def waiting(self) -> int:
        """Count the commands that were not answered yet."""
        return len(self._waiting)

    def send(self, command: bytes, told: Told) -> None:
        """Send a command when this turn of the loop ends. The connection is open; `told` is called with the reply, and
        never before this returns."""
        self._waiting.append(told)
        if not self._out:
            self._stream.hot.afterwards.append(self._flush)
        self._out.append(command)
        self._queued += len(command)
        if self._queued > LONGEST_QUEUE:
            self._stream.hot.afterwards.append(self._overflow)

    def send_silently(self, command: bytes) -> None:
        """Send a command that Redis answers with pushes alone (SUBSCRIBE)."""
        if not self._out:
            self._stream.hot.afterwards.append(self._flush)
        self._out.append(command)
        self._queued += len(command)

    def close(self) -> None:
        """Close. Nobody is told anything any more but those who wait for replies, who are told None."""
        if self._ended:
            return
        self._flush()
        self._on_end = _nothing
        self._end("")

    # -- what the stream tells

    def resume(self) -> None:
        """Read what has come."""
        stream = self._stream
        for _ in range(AT_ONCE):
            if self._ended:
                return
            try:
                data = stream.recv_now(READ)
                if data is None:
                    break
                if not data:
                    self._end("Redis closed the connection")
                    return
                replies = self._reader.feed(data)
            except (NetError, NotRedis) as error:
                self._end(str(error))
                return
            for reply in replies:
                if type(reply) is Push:
                    self._on_push(reply.items)
                elif self._waiting:
                    self._waiting.popleft()(reply)
                else:
                    self._end("Redis answered what nobody asked")
                    return
            if not stream.ready:
                break
        if not self._ended:
            stream._arm(IN, self)

    def interrupt(self, error: BaseException) -> None:
        """Give up: the stream can not be used any more."""
        self._end(str(error))

    def _flush(self) -> None:
        if self._ended:
            return
        out, self._out = self._out, []
        data = out[0] if len(out) == 1 and not self._rest else self._rest + b"".join(out)
        self._rest = b""
        if not data:
            return
        try:
            count = self._stream.send_now(data)
        except NetError as error:
            self._end(str(error))
            return
        self._queued = len(data) - count
        if count < len(data):
            self._rest = data[count:]
            self._stream._arm(OUT, _Courier(self))

    def _overflow(self) -> None:
        self._end("Redis does not read what it is sent")

    def _end(self, why: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._out = []
        self._stream._reader = self._stream._writer = None
        self._stream.close()
        waiting, self._waiting = self._waiting, deque()
        on_end, self._on_end = self._on_end, _nothing
        self._on_push = _nobody
        on_end(why)
        for told in waiting:
            told(None)


class _Courier:
    """Waits for room in the kernel."""

    __slots__ = ("_connection",)

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    def resume(self) -> None:
        self._connection._flush()

    def interrupt(self, error: BaseException) -> None:
        self._connection.interrupt(error)


def _nothing(why: str) -> None:
    return None


def _nobody(items: list[Reply]) -> None:
    return None
