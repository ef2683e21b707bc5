"""TLS before the first request: the server is chosen by name from the ClientHello, before anything is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.config.regex.regex import MatchFailed
from penstock.modules.acme.orders import ALPN
from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import spoken_at
from penstock.modules.tls.ssl import SPOKEN
from penstock.net.errors import NetError, TimedOut, TlsFailed
from penstock.net.tls.files import CannotLoad
from penstock.net.tls.hello import Hello, NotTls
from penstock.net.tls.tls import accept
from penstock.observe.errorlog import ALERT, CRIT, ERROR, INFO, report
from penstock.shared.challenge_board import BOARD

if TYPE_CHECKING:
    import ssl

    from penstock.config.regex.regex import Match
    from penstock.server.connection import Connection

WITH_HTTP2 = ("h2", *SPOKEN)
_INTERNAL_ERROR, _UNRECOGNIZED_NAME, _NO_APPLICATION_PROTOCOL = 80, 112, 120


async def handshake(connection: Connection, left: float | None = None) -> bool:
    """Speak TLS on the connection; False when it has ended instead. `left` seconds of the time for it, where some have
    passed.

    A client that speaks plain HTTP to a TLS address stays plain, for `serve` to answer it with a 400 (497).
    """
    timeout = connection.server.root[HttpCore].client_header_timeout if left is None else left
    try:
        if await agree(connection, lambda hello: choose(connection, hello), timeout):
            connection.scheme = "https"
            tls = connection.tls
            if tls is None or tls.hello is None or not only_shows(tls.hello):
                return True
    except NotTls:
        connection.plain_on_tls = True
        connection.scheme = "https"
        return True
    connection.stream.close()
    connection.service.gone(connection)
    return False


async def agree(connection: Connection, choose: Callable[[Hello], ssl.SSLContext], timeout: float) -> bool:
    """Do the handshake, with the context that `choose` names for the hello; False where it has failed, which is in the
    log. Raises `NotTls`, with nothing read."""
    try:
        connection.stream = connection.tls = await accept(connection.stream, choose, timeout)
    except NotTls:
        raise
    except NetError as error:
        explain(connection, error)
    else:
        return True
    return False


def explain(connection: Connection, error: NetError) -> None:
    """Write down why a handshake has failed."""
    if isinstance(error, TimedOut):
        report(connection, INFO, "client timed out (110: Connection timed out) while SSL handshaking")
    elif isinstance(error, TlsFailed):
        report(connection, INFO if _expected(error.reason) else CRIT, f"{_words(error)} while SSL handshaking")
    else:
        report(connection, INFO, f"{error} while SSL handshaking")


def only_shows(hello: Hello) -> bool:
    """Return whether a client asked for the certificate that ACME looks for: it has seen it, and may say nothing here
    (RFC 8737, section 3)."""
    return hello.alpn == (ALPN,)


def choose(connection: Connection, hello: Hello) -> ssl.SSLContext:
    """Return the context of the server that the client names. Raises `TlsFailed`, an alert having been sent."""
    if only_shows(hello) and BOARD in connection.service.plan.shared:
        from penstock.modules.acme.challenge import context_posed

        challenge = context_posed(connection.service.plan, hello.server_name)
        if challenge is not None:
            return challenge
    find_server(connection, hello)
    offered: tuple[str, ...] = SPOKEN
    if "h2" in hello.alpn and spoken_at(connection.listen, connection.server):
        offered = WITH_HTTP2
    context = context_for(connection, hello, offered)
    if "h2" in hello.alpn:
        # Addresses that share a context need not agree on this: it is said for the handshake that follows at once.
        context.set_alpn_protocols(list(offered))
    return context


def find_server(connection: Connection, hello: Hello) -> Match | None:
    """Let the connection belong to the server that the client names; what matched, if a regular expression did. Raises
    `TlsFailed`."""
    match = None
    listen = connection.listen
    if hello.server_name:
        connection.server_name = hello.server_name
        try:
            connection.server, match = listen.names.find(hello.server_name)
        except MatchFailed as error:
            report(connection, ALERT, f"{error} while SSL handshaking")
            raise _refused(connection, _INTERNAL_ERROR, "callback failed", "CALLBACK_FAILED") from None
    if connection.server.tls.reject:
        raise _refused(connection, _UNRECOGNIZED_NAME, "unrecognized name", "UNRECOGNIZED_NAME")
    return match


def context_for(connection: Connection, hello: Hello, offered: tuple[str, ...]) -> ssl.SSLContext:
    """Return the context of the connection's server, or of the default one where that has none of its own.

    `offered` is what may be agreed on by ALPN. Raises `TlsFailed`."""
    listen = connection.listen
    assert listen.default is not None
    server = connection.server
    offer = server.tls
    if hello.alpn and not any(name in offered for name in hello.alpn):
        raise _refused(connection, _NO_APPLICATION_PROTOCOL, "no application protocol", "NO_APPLICATION_PROTOCOL")
    if not offer.able:
        server, offer = listen.default, listen.default.tls
    try:
        context: ssl.SSLContext | None = offer.context_for(connection, server, connection.service.timers.now)
    except CannotLoad as error:
        report(connection, ERROR, f"{error} while SSL handshaking")
        raise _refused(connection, _INTERNAL_ERROR, "cert cb error", "CERT_CB_ERROR") from None
    if context is None:
        raise _refused(connection, _UNRECOGNIZED_NAME, "unrecognized name", "UNRECOGNIZED_NAME")
    return context


def _refused(connection: Connection, alert: int, words: str, reason: str) -> TlsFailed:
    """A fatal alert (RFC 8446 6). The hello is read first: closing over unread bytes would reset the connection, and
    the alert might never be seen."""
    stream = connection.stream
    stream.recv_now()
    stream.send_now(bytes((0x15, 3, 1, 0, 2, 2, alert)))
    return TlsFailed(words, reason)


def _words(error: TlsFailed) -> str:
    if error.reason in ("UNEXPECTED_EOF", "UNEXPECTED_EOF_WHILE_READING"):
        return "peer closed connection in SSL handshake"
    told = f"SSL routines::{error.reason.lower().replace('_', ' ')}" if error.reason else str(error)
    return f"SSL_do_handshake() failed (SSL: {told})"


def _expected(reason: str) -> bool:
    """Whether a client did what clients do every day: worth an info line, not an alarm (as nginx sorts them)."""
    return reason in EXPECTED or "_ALERT_" in reason


# fmt: off
EXPECTED = frozenset(
    (
        "APPLICATION_DATA_AFTER_CLOSE_NOTIFY", "APPLICATION_DATA_ON_SHUTDOWN", "BAD_ALERT", "BAD_CHANGE_CIPHER_SPEC",
        "BAD_CIPHER", "BAD_DIGEST_LENGTH", "BAD_ECPOINT", "BAD_EXTENSION", "BAD_KEY_SHARE", "BAD_KEY_UPDATE",
        "BAD_LEGACY_VERSION", "BAD_LENGTH", "BAD_PACKET_LENGTH", "BAD_RECORD_TYPE", "BLOCK_CIPHER_PAD_IS_WRONG",
        "CALLBACK_FAILED", "CCS_RECEIVED_EARLY", "CERT_CB_ERROR", "CLIENTHELLO_TLSEXT",
        "DATA_BETWEEN_CCS_AND_FINISHED", "DATA_LENGTH_TOO_LONG", "DECODE_ERROR",
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "DIGEST_CHECK_FAILED", "ENCRYPTED_LENGTH_TOO_LONG",
        "ERROR_IN_RECEIVED_CIPHER_LIST", "EXCESSIVE_MESSAGE_SIZE", "GOT_A_FIN_BEFORE_A_CCS", "HTTPS_PROXY_REQUEST",
        "HTTP_REQUEST", "INAPPROPRIATE_FALLBACK", "INVALID_ALERT", "INVALID_COMPRESSION_LIST", "LENGTH_MISMATCH",
        "LENGTH_TOO_SHORT", "MISSING_KEY_SHARE", "MISSING_SIGALGS_EXTENSION",
        "MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA", "NO_APPLICATION_PROTOCOL", "NO_CIPHERS_PASSED",
        "NO_CIPHERS_SPECIFIED", "NO_COMMON_SIGNATURE_ALGORITHMS", "NO_COMPRESSION_SPECIFIED", "NO_RENEGOTIATION",
        "NO_SHARED_CIPHER", "NO_SHARED_GROUP", "NO_SHARED_GROUPS", "NO_SHARED_SIGNATURE_ALGORITHMS",
        "NO_SUITABLE_KEY_SHARE", "NO_SUITABLE_SIGNATURE_ALGORITHM", "PACKET_LENGTH_TOO_LONG", "PARSE_TLSEXT",
        "RECORD_LAYER_FAILURE", "RECORD_LENGTH_MISMATCH", "RECORD_TOO_SMALL", "RENEGOTIATE_EXT_TOO_LONG",
        "RENEGOTIATION_ENCODING_ERR", "RENEGOTIATION_MISMATCH", "SCSV_RECEIVED_WHEN_RENEGOTIATING",
        "SSL3_SESSION_ID_TOO_LONG", "TLS_RSA_ENCRYPTED_VALUE_LENGTH_IS_WRONG", "TLS_SESSION_ID_TOO_LONG",
        "TOO_MANY_WARNING_ALERTS", "TOO_MANY_WARN_ALERTS", "TOO_MUCH_SKIPPED_EARLY_DATA", "UNEXPECTED_EOF",
        "UNEXPECTED_EOF_WHILE_READING", "UNEXPECTED_MESSAGE", "UNEXPECTED_RECORD", "UNKNOWN_ALERT_TYPE",
        "UNKNOWN_PROTOCOL", "UNRECOGNIZED_NAME", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "UNSUPPORTED_PROTOCOL",
        "VERSION_TOO_LOW", "WRONG_VERSION_NUMBER", "CERTIFICATE_VERIFY_FAILED", "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    )
)
# fmt: on
"""The last two only where OpenSSL itself judges clients' certificates."""
