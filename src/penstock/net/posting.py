"""Small messages leave together, at the end of a turn of the loop.

A message wakes whoever waits for it at the other end, and a process that sleeps is dear to wake: next to the proxy, on
a processor that sleeps as well, it costs more than the sending. Sent one after the other, the first one wakes it and
the others find it awake. A request on a kept connection takes a quarter less of the processor's time so, where many are
on their way at once (`experiments/requests.md`); where there is one, nothing is waited for.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.net.errors import NetError
from penstock.net.loop import OUT
from penstock.net.waiting import Waiting

if TYPE_CHECKING:
    from penstock.net.loop import Loop

CROWD = 32
"""As many messages do not wait for the end of the turn: more together gain nothing, and the first one has waited
enough. The processor's time of a request, as a multiple of nginx's: 2.85 with 1, 2.38 with 8, 2.04 with 32, 2.12 with
all (experiments/requests.md)."""

LONGEST = 16384
"""Bytes: what is longer is not worth to be kept until then."""


class Posting(Waiting):
    """A descriptor that messages can be posted to. Whatever else is sent to it leaves after them. `sent` counts bytes,
    `secure`: they are encrypted on the wire."""

    __slots__ = ("_posted", "secure", "sent")

    def __init__(self, fd: int, loop: Loop) -> None:
        super().__init__(fd, loop)
        self._posted: bytes | None = None
        self.secure = False
        self.sent = 0

    def post(self, data: bytes) -> bool:
        """Send `data` when this turn of the loop ends, or before anything that is sent meanwhile.

        False, and nothing done, where something has been posted that did not leave yet: it must be sent as usual, or
        what a peer does not read would heap up.

        For what is answered next, or waited for to be answered: whoever reads from the stream learns of a failure, by
        the `PeerGone` that the sending raised. What the kernel does not take goes out as the peer makes room, for as
        long as the stream is open.
        """
        if self._posted is not None:
            return False
        self._posted = data
        outbox = self.hot.outbox
        outbox.append(self)
        if len(outbox) >= CROWD:
            self.hot.deliver()
        return True

    @property
    def owed(self) -> int:
        """Count the bytes that were posted and have not left yet."""
        return len(self._posted) if self._posted is not None else 0

    def send_now(self, data: bytes) -> int:
        """Send at once; see `Stream.send_now`."""
        raise NotImplementedError

    def _not_sent(self, exc: OSError) -> int:
        """Make of a failure what `send_now` makes of it."""
        raise NotImplementedError

    def deliver(self, failure: OSError | None = None) -> bool:
        """Send what was posted, as far as it goes, and return whether nothing of it is left. A `failure` is what has
        been met where this was tried. Raises `PeerGone`."""
        data = self._posted
        if data is None:
            return True
        self._posted = None
        count = self.send_now(data) if failure is None else self._not_sent(failure)
        if count == len(data):
            return True
        self._posted = data[count:]
        if self._writer is None:
            self._arm(OUT, _Postman(self))
        return False

    def _last_post(self) -> None:
        """Send what was posted: this stream does nothing more for it."""
        if self._posted is not None:
            with suppress(NetError):
                self.deliver()
            self._posted = None

    def undeliverable(self, error: NetError) -> None:
        """Tell whoever reads that what was posted could not be sent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.interrupt(error)
        else:
            self.ready = True  # reading tells


class _Postman:
    """Waits for room in a fiber's place, while no fiber has anything to send."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Posting) -> None:
        self._stream = stream

    def resume(self) -> None:
        try:
            self._stream.deliver()
        except NetError as error:
            self._stream.undeliverable(error)

    def interrupt(self, error: BaseException) -> None:
        """The stream was closed: what is left of the message has nowhere to go."""
