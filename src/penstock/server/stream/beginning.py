"""What comes before a session is passed on: TLS that ends here, and a look at TLS that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.regex.regex import MatchFailed
from penstock.http.request import Answer
from penstock.modules.core.http_core import HttpCore
from penstock.modules.stream.core import StreamCore
from penstock.modules.stream.preread import seen_in, seen_of_old
from penstock.modules.stream.session import BAD_REQUEST, DONE, FAILED, Preread, StreamSession
from penstock.modules.tls.ssl import Tls
from penstock.modules.tls.verify import ClientCertificates
from penstock.net.errors import NetError, TimedOut
from penstock.net.stream import READ_SIZE
from penstock.net.tls.hello import Hello, HelloReader, NotTls
from penstock.observe.errorlog import ALERT, ERROR, INFO, report
from penstock.server.tls_handshake import agree, context_for, find_server

if TYPE_CHECKING:
    import ssl

    from penstock.config.regex.regex import Match
    from penstock.server.connection import Connection

PREREADING = "while prereading client data"
NOTHING_YET = Preread("", "", "")
"""What is known of a hello that is not whole."""


async def speak_tls(connection: Connection, session: StreamSession) -> Answer | None:
    """End TLS here: the server is the one that the client names. None where all went well."""
    core = session.location[StreamCore]
    if session.location[HttpCore].tcp_nodelay:
        connection.stream.nodelay()
    try:
        agreed = await agree(connection, lambda hello: _context(connection, session, hello), core.handshake_timeout)
    except NotTls:
        report(session, INFO, "SSL_do_handshake() failed (SSL: wrong version number) while SSL handshaking")
        agreed = False
    _move_to(session, connection)
    if not agreed:
        return Answer(FAILED)
    assert connection.tls is not None
    rules = session.location[ClientCertificates]
    if rules.verify != "off" and rules.judged(session, connection.tls):
        return Answer(FAILED)
    return None


def _context(connection: Connection, session: StreamSession, hello: Hello) -> ssl.SSLContext:
    _capture(session, find_server(connection, hello))
    offered = connection.server.root[Tls].offered
    if not offered:
        hello = Hello(hello.server_name, (), hello.versions)  # nothing is agreed on, whatever is offered
    return context_for(connection, hello, offered)


def _capture(session: StreamSession, match: Match | None) -> None:
    """Remember what a server's name has captured."""
    if match is not None:
        session.captures = match
        for name, value in match.groupdict().items():
            session.variables[name] = value or ""


def _move_to(session: StreamSession, connection: Connection) -> None:
    """Go on in the server that the connection belongs to now."""
    session.server = connection.server
    session.location = connection.server.root


async def look_ahead(connection: Connection, session: StreamSession) -> Answer | None:
    """Look for a ClientHello in what the client begins with, which stays unread. None where the session goes on."""
    core = session.location[StreamCore]
    most = core.preread_buffer_size
    deadline = connection.service.timers.now + core.preread_timeout
    reader = HelloReader()
    stream = connection.stream
    seen = b""
    while True:
        left = max(deadline - connection.service.timers.now, 0.001)
        try:
            if connection.tls is None:
                need = min(reader.need, most)
                seen = await stream.peek(need - 1, most, left)
                ended = len(seen) < need
            else:
                more = await stream.recv(READ_SIZE, left)
                seen += more
                ended = not more
        except TimedOut:
            report(session, INFO, f"client timed out (110: Connection timed out) {PREREADING}")
            return Answer(DONE)
        except NetError as error:
            report(session, INFO, f"{error} {PREREADING}")
            return Answer(DONE)
        if seen:
            session.preread = NOTHING_YET
        try:
            hello = reader.read(seen)
        except NotTls:
            session.preread = seen_of_old(seen)
            break
        if hello is not None:
            session.preread = seen_in(hello)
            break
        if len(seen) >= most:
            report(session, ERROR, f"preread buffer full {PREREADING}")
            return Answer(BAD_REQUEST)
        if ended:
            return Answer(DONE)
    if connection.tls is not None:
        stream.unread(seen)
    return _found_by_name(connection, session)


def _found_by_name(connection: Connection, session: StreamSession) -> Answer | None:
    """Go on in the server that has the name in the hello, if one has it."""
    name = "" if session.preread is None else session.preread.server_name
    if not name:
        return None
    try:
        found = connection.listen.names.search(name)
    except MatchFailed as error:
        report(session, ALERT, str(error))
        return Answer(FAILED)
    if found is not None:
        connection.server = found[0]
        _capture(session, found[1])
        _move_to(session, connection)
    return None
