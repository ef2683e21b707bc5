"""`$ssl_...`: what is known of the client's TLS (nginx: ngx_http_ssl_module). Empty on a plain connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.http.uri import escape_component


def _of_tls(read: Callable[[Any], str | None]) -> Callable[[Request], str | None]:
    """A getter over the connection's TLS stream."""

    def get(request: Request) -> str | None:
        tls = request.connection.tls
        return read(tls) if tls is not None else None

    return get


variable("ssl_protocol")(_of_tls(lambda tls: tls.sock.version()))


@variable("ssl_cipher")
def cipher(request: Request) -> str | None:
    """The cipher's name."""
    tls = request.connection.tls
    found = tls.sock.cipher() if tls is not None else None
    return found[0] if found else None


@variable("ssl_server_name")
def server_name(request: Request) -> str | None:
    """The name the client asked for by SNI."""
    name: str | None = request.connection.server_name
    return name


@variable("ssl_session_reused")
def session_reused(request: Request) -> str | None:
    """`r` or `.`, as nginx writes it."""
    tls = request.connection.tls
    if tls is None:
        return None
    return "r" if tls.sock.session_reused else "."


@variable("ssl_session_id")
def session_id(request: Request) -> str | None:
    """In hexadecimal."""
    tls = request.connection.tls
    session = tls.sock.session if tls is not None else None
    return session.id.hex() if session is not None and session.id else None


@variable("ssl_alpn_protocol")
def alpn(request: Request) -> str | None:
    """The protocol chosen by ALPN."""
    tls = request.connection.tls
    return tls.sock.selected_alpn_protocol() if tls is not None else None


@variable("ssl_early_data")
def early_data(request: Request) -> str | None:
    """Always empty: 0-RTT data is never accepted."""
    return ""


def _certificate(request: Request) -> bytes | None:
    tls = request.connection.tls
    found: bytes | None = tls.sock.getpeercert(binary_form=True) if tls is not None else None
    return found


@variable("ssl_client_verify")
def client_verify(request: Request) -> str | None:
    """SUCCESS, or NONE where no certificate was shown."""
    if request.connection.tls is None:
        return None
    return "SUCCESS" if _certificate(request) else "NONE"


def _pem(der: bytes) -> str:
    from ssl import DER_cert_to_PEM_cert

    return DER_cert_to_PEM_cert(der)


@variable("ssl_client_raw_cert")
def raw_certificate(request: Request) -> str | None:
    """The client's certificate in PEM."""
    der = _certificate(request)
    return _pem(der) if der else None


@variable("ssl_client_cert")
def certificate(request: Request) -> str | None:
    """The same, each line but the first begun by a tab, fit for a header."""
    der = _certificate(request)
    return _pem(der).strip().replace("\n", "\n\t") if der else None


@variable("ssl_client_escaped_cert")
def escaped_certificate(request: Request) -> str | None:
    """The same, %-encoded."""
    der = _certificate(request)
    return escape_component(_pem(der)) if der else None
