"""TLS before the first request: the server is chosen by name from the ClientHello, before anything is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.net.errors import NetError, TimedOut, TlsFailed
from penstock.net.hello import Hello, NotTls
from penstock.net.tls import accept
from penstock.observe.errorlog import CRIT, INFO, report

if TYPE_CHECKING:
    from penstock.server.connection import Connection



async def handshake(connection: Connection) -> bool:
    """Speak TLS on the connection; False when it has ended instead.

    A client that speaks plain HTTP to a TLS address stays plain, for `serve` to answer it with a 400 (497).
    """
    from penstock.modules.http_core import HttpCore

    def choose(hello: Hello) -> Any:
        listen = connection.listen
        assert listen.names is not None
        server = listen.names.find(hello.server_name)[0] if hello.server_name else connection.server
        connection.server = server
        connection.server_name = hello.server_name
        tls = server.tls
        if tls is None or tls.reject_handshake:
            return None
        return tls.context

    timeout = connection.server.root[HttpCore].client_header_timeout
    try:
        connection.stream = connection.tls = await accept(connection.stream, choose, timeout)
    except NotTls:
        connection.plain_on_tls = True
        connection.scheme = "https"
        return True
    except TimedOut:
        report(connection, INFO, "client timed out (110: Connection timed out) while SSL handshaking")
    except TlsFailed as error:
        report(connection, INFO if error.reason in EXPECTED else CRIT, f"SSL_do_handshake() failed ({error}) while SSL handshaking")
    except NetError as error:
        report(connection, INFO, f"{error} while SSL handshaking")
    else:
        connection.scheme = "https"
        return True
    connection.stream.close()
    connection.service.gone(connection)
    return False


EXPECTED = frozenset(
    {
        "NO_SHARED_CIPHER",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNEXPECTED_EOF_WHILE_READING",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "CERTIFICATE_VERIFY_FAILED",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
        "VERSION_TOO_LOW",
        "BAD_KEY_SHARE",
        "UNRECOGNIZED_NAME",
    }
)
"""What clients do wrong every day: worth an info line, not an alarm (as nginx sorts them)."""
