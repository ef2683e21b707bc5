"""`$ssl_...`: what is known of the client's TLS (nginx: ngx_http_ssl_module). Not found on a plain connection.
A configuration may give each of them another value.

What Python's `ssl` does not tell is asked of OpenSSL (`net/tls/openssl_peer.py`), and empty where that can not be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.http.uri import escape_component
from penstock.modules.tls.verify import outcome
from penstock.net.tls.files import as_pem

if TYPE_CHECKING:
    from penstock.http.client import TlsOfClient
    from penstock.net.tls.openssl_peer import Certificate
    from penstock.net.tls.peer import VerifiedCertificate

_KEPT = 64


def _of_tls(name: str, read: Callable[[TlsOfClient], str | None]) -> None:
    """A variable that is read from the connection's `TlsStream`."""

    def get(request: Request) -> str | None:
        tls = request.connection.tls
        return (read(tls) or None) if tls is not None else None

    variable(name, changeable=True)(get)


def _of_openssl(name: str, function: str) -> None:
    """A variable that only OpenSSL can tell: a function of `openssl_peer`."""

    def read(tls: TlsOfClient) -> str:
        from penstock.net.tls import openssl, openssl_peer

        if openssl.missing() is not None:
            return ""

        text: str = getattr(openssl_peer, function)(tls.ssl)
        return text

    _of_tls(name, read)


def _of_certificate(name: str, attribute: str) -> None:
    """A variable that is read from the client's certificate; empty without one."""

    def read(tls: TlsOfClient) -> str:
        der = tls.ssl.getpeercert(True)
        return str(getattr(certificate(tls, der), attribute)) if der else ""

    _of_tls(name, read)


def certificate(tls: TlsOfClient, der: bytes) -> Certificate | VerifiedCertificate:
    """Return a client's certificate in words."""
    from penstock.net.tls.openssl import missing

    if missing() is None:
        return _parsed(der)
    from penstock.net.tls.peer import VerifiedCertificate

    return VerifiedCertificate(tls.ssl.getpeercert(False) or {}, der)


@lru_cache(_KEPT)
def _parsed(der: bytes) -> Certificate:
    from penstock.net.tls.openssl_peer import Certificate

    return Certificate(der)


def _cipher(tls: TlsOfClient) -> str:
    found = tls.ssl.cipher()
    return found[0] if found else ""


def _session_id(tls: TlsOfClient) -> str:
    session = tls.ssl.session
    return session.id.hex() if session is not None and session.id else ""


def _offered_ciphers(tls: TlsOfClient) -> str:
    from penstock.net.tls.openssl import missing

    if missing() is not None:
        return ":".join(name for name, *_ in tls.ssl.shared_ciphers() or ())
    from penstock.net.tls.openssl_peer import offered_ciphers

    return offered_ciphers(tls.ssl)


def _verified(tls: TlsOfClient) -> str:
    """NONE without a certificate, SUCCESS, or FAILED with the reason."""
    if not tls.ssl.getpeercert(True):
        return "NONE"
    result, words = outcome(tls)
    return f"FAILED:{words}" if result else "SUCCESS"


def _pem(tls: TlsOfClient) -> str:
    """The client's certificate; "" without one."""
    der = tls.ssl.getpeercert(True)
    return as_pem(der) if der else ""


_of_tls("ssl_protocol", lambda tls: tls.ssl.version() or "")
_of_tls("ssl_cipher", _cipher)
_of_tls("ssl_ciphers", _offered_ciphers)
_of_openssl("ssl_curve", "group")
_of_openssl("ssl_curves", "offered_groups")
_of_openssl("ssl_sigalg", "signature")
_of_openssl("ssl_sigalgs", "offered_signatures")
_of_tls("ssl_session_id", _session_id)
_of_tls("ssl_session_reused", lambda tls: "r" if tls.ssl.session_reused else ".")
_of_tls("ssl_early_data", lambda tls: "")
_of_tls("ssl_alpn_protocol", lambda tls: tls.ssl.selected_alpn_protocol() or "")
_of_tls("ssl_ech_status", lambda tls: "")
_of_tls("ssl_ech_outer_server_name", lambda tls: "")
_of_tls("ssl_client_verify", _verified)
_of_tls("ssl_client_raw_cert", _pem)
_of_tls("ssl_client_cert", lambda tls: _pem(tls).rstrip("\n").replace("\n", "\n\t"))
_of_tls("ssl_client_escaped_cert", lambda tls: escape_component(_pem(tls)))
_of_certificate("ssl_client_s_dn", "subject")
_of_certificate("ssl_client_i_dn", "issuer")
_of_certificate("ssl_client_s_dn_legacy", "subject_oneline")
_of_certificate("ssl_client_i_dn_legacy", "issuer_oneline")
_of_certificate("ssl_client_serial", "serial")
_of_certificate("ssl_client_fingerprint", "fingerprint")
_of_certificate("ssl_client_v_start", "start")
_of_certificate("ssl_client_v_end", "end")
_of_certificate("ssl_client_v_remain", "days_left")
_of_openssl("ssl_client_sigalg", "peer_signature")


@variable("ssl_server_name", changeable=True)
def server_name(request: Request) -> str | None:
    """The name the client asked for by SNI."""
    name: str | None = request.connection.server_name
    return name
