"""What it means that a connection, or TLS on it, could not be made, and what to do about it."""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH

from penstock.doctor.probe.steps import safe, time_shown
from penstock.net.errors import NetError, PeerGone, TimedOut, TlsFailed

GO_ON = "browsers end here; --insecure looks at what comes after"

_NOT_TLS = frozenset(
    ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
)


def may_be_plain(error: NetError) -> bool:
    """Return whether a failed TLS handshake may be one with a server that speaks none."""
    return isinstance(error, TimedOut) or (isinstance(error, TlsFailed) and error.reason in _NOT_TLS)


def tls_trouble(error: NetError, timeout: float) -> tuple[str, tuple[str, ...]]:
    """Explain what a failed TLS handshake says, and what to do."""
    if isinstance(error, TimedOut):
        return (
            f"the connection is accepted, and the TLS handshake is not answered within {time_shown(timeout)}",
            ("a plain server waits there for a request, or a program that accepts and does nothing: try ws://",),
        )
    if isinstance(error, PeerGone):
        return (
            f"the connection was closed during the TLS handshake ({os.strerror(error.errno)})",
            ("nothing that speaks TLS is there, or a firewall or a balancer without a healthy backend closes it",),
        )
    reason = error.reason if isinstance(error, TlsFailed) else ""
    if not reason and "no application protocol" in str(error):
        reason = "NO_APPLICATION_PROTOCOL"  # Python has no name for it
    for part, advice in _ALERTS:
        if part in reason:
            return f"TLS failed: {safe(reason.lower().replace('_', ' '))}", (advice,)
    return f"TLS failed: {safe(str(error))}", ()


_ALERTS = (
    ("WRONG_VERSION_NUMBER", "something other than TLS answers at this port: try ws://, or another port"),
    ("UNRECOGNIZED_NAME", "the server does not know this name (SNI): no server block has it, or ssl_reject_handshake"),
    ("PROTOCOL_VERSION", "the server speaks TLS versions only that are too old for this client: ssl_protocols"),
    ("UNSUPPORTED_PROTOCOL", "the server speaks TLS versions only that are too old for this client: ssl_protocols"),
    ("CERTIFICATE_REQUIRED", "the server wants a certificate of the client (ssl_verify_client on)"),
    ("NO_APPLICATION_PROTOCOL", "HTTP/2 is not spoken here, or with --http2 left out, nothing else: try the other"),
    ("HANDSHAKE_FAILURE", "no cipher in common, or the server has no certificate for this name"),
    ("INTERNAL_ERROR", "the server has no usable certificate for this name: its error log says more"),
    ("UNEXPECTED_EOF", "the server closed it: often a port that does not speak TLS, or a balancer without a backend"),
)


def why_not(numbers: set[int], port: int) -> tuple[str, ...]:
    """Say what to do about a connection that cannot be made."""
    if numbers == {ECONNREFUSED}:
        return (
            f"nothing listens on port {port} there: is the server running, on this port, and on this address? "
            "(ss -ltnp shows who listens; 127.0.0.1 cannot be reached from elsewhere)",
        )
    if numbers & {ENETUNREACH, EHOSTUNREACH}:
        return ("there is no way to that network from here: a route, a VPN or IPv6 is missing",)
    return ("packets are dropped on the way: a firewall or a security group, or a host that is down",)
