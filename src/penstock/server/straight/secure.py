"""TLS before the first request without a fiber: nearly always the client's hello is there as a whole, and all that is
waited for is the rest of the handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.core.http_core import HttpCore
from penstock.net.errors import NetError, TimedOut
from penstock.net.loop import IN
from penstock.net.tls.hello import NotTls, in_one_record
from penstock.net.tls.tls import FIRST_LOOK, wrap
from penstock.server.first_bytes import begin_securely, speaks_http2
from penstock.server.straight.client import StraightConnection
from penstock.server.tls_handshake import choose, explain, only_shows

if TYPE_CHECKING:
    from penstock.net.tls.tls import TlsStream
    from penstock.server.connection import Connection


def open_securely(connection: Connection) -> bool:
    """Let a connection begin with TLS without a fiber; False, and nothing done, where it is not for that."""
    if not isinstance(connection, StraightConnection):
        return False
    TlsOpening(connection).resume()
    return True


class TlsOpening:
    """The handshake of a connection: who waits for the client's stream meanwhile, and for the connection's alarm.

    An unusual hello (in pieces, or none at all) is for the fiber of `first_bytes.py`, which looks at
    the same bytes once more."""

    __slots__ = ("_connection",)

    def __init__(self, connection: StraightConnection) -> None:
        self._connection = connection
        connection.beginning = True
        timers = connection.service.timers
        connection.alarm = alarm = timers.lend(self)
        alarm.at(timers.now + connection.server.root[HttpCore].client_header_timeout)

    def resume(self) -> None:
        """Go on with it."""
        connection = self._connection
        try:
            tls = connection.tls or self._greeted()
            if tls is None:
                return
            needs = tls.shake()
            if needs:
                tls._arm(needs, self)
                return
        except NetError as error:
            self._fail(error)
            return
        except Exception as error:
            connection.stream.hot.on_error(connection.stream.fd, error)
            self._over()
            return
        self._agreed(tls)

    def interrupt(self, error: BaseException) -> None:
        """End it: the stream has been closed by somebody else."""
        self._fail(error)

    def __call__(self) -> None:
        """The time for it is over."""
        self._fail(TimedOut())

    def _greeted(self) -> TlsStream | None:
        """The stream with the context that the client's hello asks for; None where that has to be waited for."""
        connection = self._connection
        stream = connection.stream
        data = stream.peek_now(FIRST_LOOK)
        if data is None:
            stream._arm(IN, self)
            return None
        try:
            hello = in_one_record(data)
        except NotTls:
            hello = None
        if hello is None:
            alarm = connection.alarm
            assert alarm is not None
            alarm.callback = connection
            connection._go_on(begin_securely(connection, max(alarm.deadline - alarm.timers.now, 0.001)))
            return None
        connection.stream = connection.tls = tls = wrap(stream, choose(connection, hello), hello)
        return tls

    def _agreed(self, tls: TlsStream) -> None:
        connection = self._connection
        connection.beginning = False
        connection.scheme = "https"
        alarm = connection.alarm
        assert alarm is not None and tls.hello is not None
        alarm.callback = connection
        if not tls.hello.alpn:
            connection.read_first()
        elif only_shows(tls.hello):
            self._over()
        elif speaks_http2(connection):
            from penstock.server.h2.connection import serve

            connection._go_on(serve(connection))
        else:
            connection.read_first()

    def _fail(self, error: BaseException) -> None:
        connection = self._connection
        if isinstance(error, NetError):
            explain(connection, error)
        self._over()

    def _over(self) -> None:
        connection = self._connection
        stream = connection.stream
        stream._reader = stream._writer = None
        if connection.tls is not None:
            connection.tls.give_up()
        stream.close()
        connection.service.gone(connection)
