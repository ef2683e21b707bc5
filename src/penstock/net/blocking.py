"""A connection that blocks, for a program that does one thing at a time: look a name up, connect, speak TLS, talk.

Every wait has a bound. Errors are `NetError`s: `LookupFailed`, `DialFailed`, `TimedOut`, `TlsFailed`, `PeerGone`.
"""

from __future__ import annotations

import socket
import ssl
from errno import ECONNRESET
from typing import Self

from penstock.net.dial import Address, family_of
from penstock.net.errors import DialFailed, NetError, PeerGone, TimedOut, TlsFailed

TlsContext = ssl.SSLContext

_READ = 65536


class LookupFailed(NetError):
    """A name has no address. `unknown` tells a name that does not exist from a resolver that did not answer."""

    def __init__(self, text: str, *, unknown: bool) -> None:
        super().__init__(text)
        self.unknown = unknown


class CertificateRefused(TlsFailed):
    """The other side's certificate did not stand the verification. `code` is OpenSSL's number (X509_V_ERR_...)."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, "CERTIFICATE_VERIFY_FAILED")
        self.code = code


def look_up(host: str, port: int) -> list[Address]:
    """Look up the addresses of a name or an address, in the order in which the system would try them. Raises
    `LookupFailed`.

    How long that takes is up to the system's resolver (resolv.conf(5)).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        unknown = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        raise LookupFailed(error.strerror or "it has no address", unknown=unknown) from None
    except (UnicodeError, OSError) as error:
        raise LookupFailed(str(error), unknown=True) from None
    addresses: list[Address] = []
    for _, _, _, _, address in found:
        if isinstance(address[0], str) and address not in addresses:
            addresses.append(address)
    return addresses


class BlockingConnection:
    """A connected socket, plain or TLS.

    peer: whom it is connected to. local: our own address. error: how the other side ended it, once `recv` has
    returned no bytes: "" for an orderly end, else the system's words. reset: whether it was a reset.
    """

    def __init__(self, sock: socket.socket, peer: Address) -> None:
        self._sock = sock
        self.peer = peer
        self.error = ""
        self.reset = False

    @classmethod
    def dial(cls, address: Address, timeout: float) -> Self:
        """Connect within `timeout` seconds. Raises `DialFailed`, `TimedOut`."""
        try:
            sock = socket.socket(family_of(address), socket.SOCK_STREAM)
        except OSError as error:
            raise DialFailed(error.errno or 0, "socket") from None
        try:
            sock.settimeout(timeout)
            sock.connect(address)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            sock.close()
            raise TimedOut from None
        except OSError as error:
            sock.close()
            raise DialFailed(error.errno or 0) from None
        return cls(sock, address)

    def secure(self, context: ssl.SSLContext, name: str, timeout: float) -> Secured:
        """Speak TLS from here on, as a client that asks for `name`.

        Raises `CertificateRefused`, `TlsFailed`, `TimedOut`, `PeerGone`.
        """
        self._sock.settimeout(timeout)
        try:
            wrapped = context.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
            self._sock = wrapped
            wrapped.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise CertificateRefused(error.verify_message, error.verify_code) from None
        except TimeoutError:
            raise TimedOut from None
        except ssl.SSLError as error:
            raise TlsFailed(str(error.args[-1]), error.reason or "") from None
        except OSError as error:
            raise PeerGone(error.errno or 0, "the TLS handshake") from None
        except ValueError as error:
            raise TlsFailed(str(error)) from None
        return Secured.of(wrapped)

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of it within `timeout` seconds. Raises `PeerGone`, `TimedOut`."""
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise TimedOut from None
        except OSError as error:
            raise PeerGone(error.errno or 0, "send") from None

    def recv(self, timeout: float) -> bytes:
        """Read what comes next within `timeout` seconds; no bytes where the other side has ended it. Raises `TimedOut`.
        """
        self._sock.settimeout(max(timeout, 0.001))
        try:
            return self._sock.recv(_READ)
        except TimeoutError:
            raise TimedOut from None
        except ssl.SSLEOFError:
            self.error = "without a TLS close_notify"
        except ssl.SSLError as error:
            self.error = f"TLS: {error.reason or error}"
        except OSError as error:
            self.error = error.strerror or str(error)
            self.reset = error.errno == ECONNRESET
        return b""

    def close(self) -> None:
        """Close the socket, without a close_notify where it has TLS."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Secured:
    """What was agreed on. `version` as in "TLSv1.3"; `chain` the certificates the server sent, as DER, the server's
    first; where Python does not tell them all, only that."""

    __slots__ = ("chain", "cipher", "complete", "version")

    def __init__(self, version: str, cipher: str, chain: tuple[bytes, ...], *, complete: bool) -> None:
        self.version = version
        self.cipher = cipher
        self.chain = chain
        self.complete = complete

    @classmethod
    def of(cls, sock: ssl.SSLSocket) -> Self:
        """Ask a socket what was agreed on, once its handshake is done."""
        cipher = sock.cipher()
        own = sock.getpeercert(True)
        chain: tuple[bytes, ...] = () if own is None else (own,)
        ask = getattr(sock, "get_unverified_chain", None)  # public since Python 3.13
        if ask is not None:
            chain = tuple(bytes(each) for each in ask())
        return cls(sock.version() or "", cipher[0] if cipher else "", chain, complete=ask is not None)


def client_context(
    *,
    verify: bool,
    trusted: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    protocol: str = "http/1.1",
) -> ssl.SSLContext:
    """Make the context that a browser would use: the system's authorities, or those of a PEM file in their place. Names
    are checked along with the chain. `certificate` and `key` are files to show to a server that asks, `protocol` is
    what ALPN offers. Raises `OSError` for a file that cannot be used."""
    context = ssl.create_default_context(cafile=trusted)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([protocol])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Whoever looks at what is wrong wants to see old servers too.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context
