"""A connection of a stream, from its first byte until it is passed on or has ended.

    PROXY protocol -> POST_READ, PREACCESS, ACCESS -> TLS -> a look at the first bytes -> PRECONTENT, CONTENT -> relay

The phases are those of requests, of which a session is a simple one; each may end it with a status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.addresses import address_text
from penstock.http.request import Answer
from penstock.modules.access.access import GRANTED
from penstock.modules.core.http_core import HttpCore
from penstock.modules.stream.actions import PassedOn
from penstock.modules.stream.core import StreamCore
from penstock.modules.stream.preread import SslPreread
from penstock.modules.stream.proxy import StreamProxy
from penstock.modules.stream.session import BAD_REQUEST, DONE, FAILED, StreamSession
from penstock.net.errors import NetError
from penstock.net.relay.relay import relay
from penstock.observe.errorlog import INFO, hears, report, report_mistake
from penstock.plan import phases
from penstock.server.finish import finish, release
from penstock.server.proxy_protocol import HeaderEnd, take_header
from penstock.server.stream.beginning import look_ahead, speak_tls
from penstock.server.stream.ending import StreamEnding
from penstock.server.stream.passing import pass_on

if TYPE_CHECKING:
    from penstock.server.connection import Connection
    from penstock.upstream.exchange.upgrade import Upgrade

BEFORE = (phases.POST_READ, phases.PREACCESS, phases.ACCESS)
"""What looks at a client before anything is said."""
AFTER = (phases.PRECONTENT, phases.CONTENT)
LINGERING, SILENT = 30.0, 5.0
"""Seconds for a client to take a text and to close, in all and without a word of it."""


async def serve_stream(connection: Connection) -> None:
    """Serve a connection. Its stream is closed, or has become half of a tunnel, when this returns."""
    connection.idle = False
    session = StreamSession(connection)
    if hears(session, INFO):
        client = _shown(connection.client_address, connection.client_port)
        report(session, INFO, f"client {client} connected to {address_text(connection.listen.address)}")
    try:
        answer = await answer_to(connection, session)
        session.status = answer.status
        if isinstance(answer, PassedOn) and pass_on(connection, answer.address, session):
            return
        # Only `upstream/` makes them: `http/` does not know how a tunnel ends.
        upgraded: Upgrade | None = answer.upgraded  # type: ignore[assignment]
        if upgraded is not None:
            connection.service.gone(connection)
            _pass_on(connection, session, upgraded)
            return
        if isinstance(answer.body, bytes) and answer.body:
            session.bytes_sent = len(answer.body)
            _ = connection.local_port  # its line may ask for it, when there is no socket to be asked any more
            await connection.stream.send_all(answer.body, LINGERING)
            await connection.stream.lingering_close(LINGERING, SILENT)
    except NetError as error:
        report(session, INFO, str(error))
    except Exception as error:
        # The last line of defence, as for requests: a mistake of ours costs this session.
        session.status = FAILED
        report_mistake(session, error)
    finally:
        if not connection.tunnelled:
            try:
                finish(session)  # its line may ask what the connection is
            finally:
                connection.stream.close()
                connection.service.gone(connection)


async def answer_to(connection: Connection, session: StreamSession) -> Answer:
    """Take a session through its phases, and return what they come to."""
    options = connection.listen.options
    if options.proxy_protocol:
        end = await take_header(connection, session.location[StreamCore].proxy_protocol_timeout)
        if end is not HeaderEnd.READ:
            return Answer(DONE if end is HeaderEnd.GONE else BAD_REQUEST)
    answer = await _run(session, BEFORE)
    if answer is None and options.ssl:
        answer = await speak_tls(connection, session)
    if answer is None and session.location[SslPreread].enabled and not session.udp:
        answer = await look_ahead(connection, session)
    if answer is None:
        answer = await _run(session, AFTER)
    return Answer(FAILED) if answer is None else answer


async def _run(session: StreamSession, numbers: tuple[int, ...]) -> Answer | None:
    """What the handlers of some phases come to; None where none of them ends the session."""
    for number in numbers:
        for handler, waits in session.location.phases[number]:
            answer = await handler(session) if waits else handler(session)
            if answer is not None and answer is not GRANTED:
                assert isinstance(answer, Answer)
                return answer
    return None


def _shown(host: str, port: int) -> str:
    return address_text((host, port)) if port else host


def _pass_on(connection: Connection, session: StreamSession, upgraded: Upgrade) -> None:
    """Let the relay have both streams."""
    session.status = DONE
    client, backend = connection.stream, upgraded.stream
    assert backend is not None, "a tunnel is opened once"
    if session.location[HttpCore].tcp_nodelay:
        client.nodelay()
    proxy = session.location[StreamProxy]
    if hears(session, INFO):
        name = backend.local_name
        ours = address_text(name) if isinstance(name, tuple) else "unix:"
        there = session.attempts[-1].address if session.attempts else ""
        report(session, INFO, f"proxy {ours} connected to {there}")
    ending = StreamEnding(connection, session, upgraded, proxy.rates(session), timed=proxy.timing.wanted)
    meters = connection.service.meters
    if meters is not None:
        meters.opened(connection.service.timers.now - session.started)
    upgraded.release()
    connection.tunnelled = True
    relay(
        client,
        backend,
        idle_timeout=upgraded.read_timeout,
        send_timeouts=(upgraded.send_timeout, upgraded.send_timeout),
        half_close=proxy.half_close,
        on_end=ending,
        owner=ending,
        watch=ending.watch if ending.rates is not None or proxy.timing.wanted else None,
    )
    session.no_longer(upgraded)
    release(session)
