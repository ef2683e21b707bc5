"""Certificates of clients: `ssl_verify_client` and its kin (nginx: ngx_http_ssl_module).

As in nginx the handshake always completes, and the answer tells: 400 for a certificate that does not verify (495 to
`error_page`) or is missing (496). That takes OpenSSL's verify callback, which Python's `ssl` does not have: where
OpenSSL can not be reached (`penstock.net.tls.openssl`) a bad certificate ends the handshake instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.kinds import choice, conf_path, number
from penstock.config.regex.regex import MatchFailed
from penstock.config.registry import HTTP, SERVER, STREAM_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Answer, Request, special
from penstock.net.tls.files import CannotLoad, load_authorities, load_revocations, verify_in_handshake
from penstock.observe.errorlog import ALERT, INFO, report
from penstock.plan import phases

if TYPE_CHECKING:
    import ssl

    from penstock.config.errors import Problems
    from penstock.config.scope import Scope
    from penstock.config.source import Span
    from penstock.http.client import TlsOfClient

MODULE = "ssl_verify"

PAGE = "ngx_http_ssl_module.html"
WHERE = HTTP | SERVER | STREAM_LEVELS
MISDIRECTED = 421
BAD_CERTIFICATE = 495
NO_CERTIFICATE = 496


class ClientCertificates(Settings):
    """Which certificates of clients are asked for, and who must have signed them."""

    verify: str = directive(
        "ssl_verify_client",
        where=WHERE,
        takes=choice("off", "on", "optional", "optional_no_ca"),
        default="off",
        nginx=PAGE,
        doc="optional_no_ca takes certificates of unknown authorities: somebody behind the proxy verifies them.",
    )
    depth: int = directive("ssl_verify_depth", where=WHERE, takes=number, default=1, nginx=PAGE)
    authorities: str | None = directive("ssl_client_certificate", where=WHERE, takes=conf_path, nginx=PAGE)
    trusted: str | None = directive("ssl_trusted_certificate", where=WHERE, takes=conf_path, nginx=PAGE)
    crl: str | None = directive("ssl_crl", where=WHERE, takes=conf_path, nginx=PAGE)

    @phase(phases.POST_READ, when=lambda self: self.verify != "off")
    def admit(self, request: Request) -> Answer | None:
        """Refuse who has not shown what this server asks for, to this server."""
        connection = request.connection
        tls = connection.tls
        if tls is None:
            return None
        if not self._negotiated(request):
            report(
                request,
                INFO,
                "client attempted to request the server name different from the one that was negotiated",
            )
            return special(MISDIRECTED)
        status = self.judged(request, tls)
        return special(status, close=True) if status else None

    def judged(self, request: Request, tls: TlsOfClient) -> int:
        """Return the status that the certificate of a client is refused with, and log why; 0 where it will do."""
        result, words = outcome(tls)
        if result and not (self.verify == "optional_no_ca" and untrusted(result)):
            report(request, INFO, f"client SSL certificate verify error: ({result}:{words})")
            _forget_session(tls)
            return BAD_CERTIFICATE
        if self.verify == "on" and not tls.ssl.getpeercert(True):
            report(request, INFO, "client sent no required SSL certificate")
            _forget_session(tls)
            return NO_CERTIFICATE
        return 0

    def _negotiated(self, request: Request) -> bool:
        """Whether the handshake asked for what this server asks for: whether the name was the same.

        Without SNI, or with a name that no server has, nginx lets a request for another server through, to be judged by
        what the default server trusts. Here that needs both to trust the same, or the default server not to ask at
        all: then nobody has shown anything.
        """
        connection = request.connection
        if not request.host:
            return True
        tls = connection.tls
        name = None if tls is None or tls.hello is None else tls.hello.server_name
        try:
            named = bool(name and connection.listen.names.search(name) is not None)
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return False
        if named:
            return name == request.host
        if request.server is connection.server:
            return True
        asked = connection.server.root[ClientCertificates]
        return asked.verify == "off" or self.trust() == asked.trust()

    def finish(self, scope: Scope) -> None:
        if self.verify != "off":
            import penstock.net.tls.openssl_peer  # noqa: F401  for `outcome`, by workers

    def trust(self) -> tuple[object, ...]:
        """Return what decides whom it trusts, to be compared with another server's."""
        return self.depth, self.authorities, self.trusted, self.crl

    def evidence(self) -> tuple[object, ...]:
        """Return what a client has to show here, and what it is judged by: contents, as a file may be replaced under
        its name."""
        files = (self.authorities if self.verify != "off" else None, self.trusted, self.crl)
        return self.verify, self.depth, *(None if path is None else contents(path) for path in files)

    def prepare(self, context: ssl.SSLContext, problems: Problems) -> None:
        """Make a context ask. Raises `ConfigError`."""
        if self.verify in ("on", "optional") and self.authorities is None and self.trusted is None:
            raise ConfigError(
                "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client", self.origin("verify")
            )
        asks = self.verify != "off"
        if asks and self.authorities is not None:
            _load(load_authorities, context, self.authorities, self.origin("authorities"))
        if self.trusted is not None:
            _load(load_authorities, context, self.trusted, self.origin("trusted"))
        if self.crl is not None:
            _load(load_revocations, context, self.crl, self.origin("crl"))
        if asks:
            self._ask(context, problems)

    def _ask(self, context: ssl.SSLContext, problems: Problems) -> None:
        from penstock.net.tls.openssl import missing

        why = missing()
        if why is None:
            from penstock.net.tls.openssl_context import announce_authorities, ask_for_certificate

            ask_for_certificate(context, self.depth)
            if self.authorities is not None:
                announce_authorities(context, read_file(self.authorities))
            return
        if self.verify == "optional_no_ca":
            raise ConfigError(
                '"ssl_verify_client optional_no_ca" is not possible here', self.origin("verify"), hint=why
            )
        problems.warn(
            "clients whose certificates do not verify are turned away in the handshake, without an answer, and "
            f"ssl_verify_depth is not kept: {why}",
            self.origin("verify"),
        )
        verify_in_handshake(context)


def contents(path: str) -> bytes:
    """Return what stands for all that is in a file."""
    return hashlib.sha256(read_file(path)).digest()


def outcome(tls: object) -> tuple[int, str]:
    """Return what verification found: a number, zero where all is well or nothing was shown, and its words."""
    from penstock.net.tls.openssl import missing

    if missing() is not None:
        return 0, "ok"  # a bad certificate does not get this far
    from penstock.net.tls.openssl_peer import verify_result, verify_words

    result = verify_result(tls.ssl)  # type: ignore[attr-defined]
    return result, verify_words(result)


def untrusted(result: int) -> bool:
    """Return whether a certificate only lacks an authority that is known here."""
    from penstock.net.tls.openssl_peer import UNTRUSTED

    return result in UNTRUSTED


def _forget_session(tls: object) -> None:
    """Who is turned away shall not resume either."""
    from penstock.net.tls.openssl import missing

    if missing() is None:
        from penstock.net.tls.openssl_peer import forget_session

        forget_session(tls.ssl)  # type: ignore[attr-defined]


def _load(load: Callable[[ssl.SSLContext, str], None], context: ssl.SSLContext, path: str, span: Span | None) -> None:
    try:
        load(context, path)
    except CannotLoad as error:
        raise ConfigError(str(error), span) from None
