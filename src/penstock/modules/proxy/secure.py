"""TLS to backends: the `*_ssl_...` directives (nginx: ngx_http_proxy_module)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.key import Key
from penstock.config.kinds import choices, conf_path, custom, flag, number, template, text
from penstock.config.registry import HTTP_LEVELS, STREAM_LEVELS, inert
from penstock.config.scope import Compilation, Scope, below
from penstock.config.settings import Settings, directive, directives, united
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.net.errors import NetError, TimedOut, TlsFailed
from penstock.net.stream import Stream
from penstock.net.tls.client import VERSIONS, CannotMake, ClientTls, Context, client_context, is_address, is_for
from penstock.net.tls.tls import TlsStream, connect
from penstock.upstream.errors import FaultSide, ProxyError, failed, timed_out
from penstock.upstream.exchange.outgoing import Secure
from penstock.upstream.exchange.policy import Policy
from penstock.upstream.exchange.target import Target

MODULE = "proxy_secure"

MOST = 256


_CONTEXTS: Key[dict[tuple[ClientTls, str, str, str | None], Context]] = Key("contexts of clients")


class ProxySecure(Settings, abstract=True):
    """How backends are spoken to over TLS."""

    ssl_server_name: bool = directive("*_ssl_server_name", where=HTTP_LEVELS, takes=flag, default=False)
    ssl_name: Template | None = directive("*_ssl_name", where=HTTP_LEVELS, takes=template)
    ssl_verify: bool = directive("*_ssl_verify", where=HTTP_LEVELS, takes=flag, default=False)
    ssl_verify_depth: int = directive("*_ssl_verify_depth", where=HTTP_LEVELS, takes=number, default=1)
    ssl_trusted_certificate: str | None = directive(
        "*_ssl_trusted_certificate", where=HTTP_LEVELS, takes=conf_path
    )
    ssl_crl: str | None = directive("*_ssl_crl", where=HTTP_LEVELS, takes=conf_path)
    ssl_protocols: frozenset[str] = directive(
        "*_ssl_protocols",
        where=HTTP_LEVELS,
        takes=choices("SSLv2", "SSLv3", *VERSIONS),
        default=frozenset({"TLSv1.2", "TLSv1.3"}),
        shown="TLSv1.2 TLSv1.3",
        again=united,
    )
    ssl_ciphers: str = directive("*_ssl_ciphers", where=HTTP_LEVELS, takes=text, default="DEFAULT")
    ssl_session_reuse: bool = directive("*_ssl_session_reuse", where=HTTP_LEVELS, takes=flag, default=True)
    ssl_certificate: Template | None = directive("*_ssl_certificate", where=HTTP_LEVELS, takes=template)
    ssl_certificate_key: Template | None = directive("*_ssl_certificate_key", where=HTTP_LEVELS, takes=template)
    ssl_password_file: str | None = directive("*_ssl_password_file", where=HTTP_LEVELS, takes=conf_path)
    ssl_conf_command: tuple[tuple[str, ...], ...] = directives(
        "*_ssl_conf_command",
        where=HTTP_LEVELS,
        takes=custom(lambda call: tuple(each.text for each in call.args), least=2, most=2, syntax="name value"),
        inert="protocols and ciphers have directives of their own; nothing else is set",
    )

    connect_timeout: float
    prefix: ClassVar[str]
    target: Any
    policy: Policy
    negotiates: bool = False
    """Whether connections say which protocol they are for."""

    def finish_secure(self, scope: Scope) -> None:
        """Check what can be checked before the first connection."""
        self.contexts: dict[tuple[str, str], Context] = {}
        self.folder = scope.compilation.folder
        self.lasts: dict[tuple[Context, Any, str, tuple[str, ...]], TlsStream] = {}
        """The last connection to each peer: tickets come after the handshake, so that is asked for its session late."""
        if self.ssl_verify and self.ssl_trusted_certificate is None:
            missing = f"no {self.prefix}_ssl_trusted_certificate for {self.prefix}_ssl_verify"
            raise ConfigError(missing, self.origin("ssl_verify"))
        if self.ssl_certificate is not None and self.ssl_certificate_key is None:
            raise ConfigError(
                f'no "{self.prefix}_ssl_certificate_key" is defined for certificate "{self.ssl_certificate.text}"',
                self.origin("ssl_certificate"),
            )
        self._read_files(scope.compilation)
        self.basis = self._basis()
        self.policy = replace(self.policy, basis=self.basis)

    def never_secure(self) -> bool:
        """Return whether it is known that no backend is spoken to over TLS."""
        target = self.target.target
        return target is not None and not target.secure

    def _basis(self) -> bytes:
        """What backends are judged by, and what we show them: contents, as a file may be replaced under its name."""
        certificate = self._literal(self.ssl_certificate)
        files = [self.ssl_trusted_certificate, self.ssl_crl, below(self.folder, certificate) if certificate else None]
        if not any(files) or self.never_secure():
            return b""
        digest = hashlib.sha256(repr((self.ssl_verify, self.ssl_verify_depth)).encode())
        for path in files:
            digest.update(hashlib.sha256(b"" if path is None else read_file(path)).digest())
        return digest.digest()

    def _read_files(self, compilation: Compilation) -> None:
        """Make the context that needs files now, while they can be read and a mistake in them can be told. Where names
        hold variables it is made for the first request that has them."""
        names = [each for each in (self.ssl_certificate, self.ssl_certificate_key) if each is not None]
        wanted = [self.ssl_trusted_certificate, self.ssl_crl, *names]
        if not any(wanted) or any(name.literal is None for name in names) or self.never_secure():
            return
        certificate, key = (self._literal(each) for each in (self.ssl_certificate, self.ssl_certificate_key))
        known = compilation.shared.setdefault(_CONTEXTS, {})
        asked = (self._options(), certificate, key, self.ssl_password_file)
        if asked not in known:
            try:
                known[asked] = self._make(certificate, key)
            except CannotMake as error:
                origin = "ssl_certificate" if self.ssl_certificate is not None else "ssl_trusted_certificate"
                raise ConfigError(
                    f"cannot load what TLS to backends needs: {error}", self.origin(origin) or self.origin("ssl_crl")
                ) from None
        self.contexts[certificate, key] = known[asked]

    @staticmethod
    def _literal(name: Template | None) -> str:
        return "" if name is None or name.literal is None else name.literal

    def secure_for(self, request: Request, target: Target, protocols: tuple[str, ...] = ()) -> Secure:
        """Return what begins TLS on a fresh connection for this request; one of `protocols` is to be spoken (ALPN)."""
        return lambda stream, request: self._begin(stream, request, _bare(self._name(request, target)), protocols)

    def _name(self, request: Request, target: Target) -> str:
        """The name of a server; it may depend on which one was chosen."""
        return self.ssl_name.evaluate(request) if self.ssl_name is not None else target.name

    def identity(self, request: Request, target: Target) -> tuple[str, ...]:
        """Return what connections for one request and another differ by."""
        own = (self.ssl_certificate, self.ssl_certificate_key)
        name = self._name(request, target)
        return (self.basis.hex(), name, *("" if each is None else each.evaluate(request) for each in own))

    async def _begin(self, stream: Stream, request: Request, name: str, protocols: tuple[str, ...]) -> Stream:
        try:
            context = self._context(request)
        except CannotMake as error:
            stream.close()
            text = f"SSL for upstream can not be set up: {error} while SSL handshaking to upstream"
            raise ProxyError(FaultSide.INTERNAL, 500, "", text, error, "crit") from None
        sent = name if self.ssl_server_name and name and not is_address(name) else None
        if protocols or self.negotiates:
            context.set_alpn_protocols(list(protocols))  # it is this location's, and the connection is made at once
        key = (context, stream.peer_name_, name, protocols)
        last = self.lasts.get(key) if self.ssl_session_reuse else None
        session = None if last is None else last.ssl.session
        try:
            secured = await connect(stream, context, sent, session, self.connect_timeout)
        except TimedOut as error:
            raise timed_out("SSL handshaking to upstream", error) from None
        except TlsFailed as error:
            text = f"SSL_do_handshake() failed (SSL: {error}) while SSL handshaking to upstream"
            raise failed(text, cause=error) from None
        except NetError as error:
            text = f"peer closed connection in SSL handshake ({error}) while SSL handshaking to upstream"
            raise failed(text, cause=error) from None
        if self.ssl_verify and not is_for(secured.ssl.getpeercert(), name):
            secured.close()
            raise failed(f'upstream SSL certificate does not match "{name}" while SSL handshaking to upstream')
        if self.ssl_session_reuse:
            if len(self.lasts) >= MOST:
                self.lasts.clear()
            self.lasts[key] = secured
        return secured

    def _context(self, request: Request) -> Context:
        certificate = self.ssl_certificate.evaluate(request) if self.ssl_certificate is not None else ""
        key = self.ssl_certificate_key.evaluate(request) if self.ssl_certificate_key is not None else ""
        found = self.contexts.get((certificate, key))
        if found is None:
            found = self._make(certificate, key)
            if len(self.contexts) >= MOST:
                self.contexts.clear()
            self.contexts[certificate, key] = found
        return found

    def _options(self) -> ClientTls:
        return ClientTls(
            protocols=self.ssl_protocols,
            ciphers=self.ssl_ciphers,
            verify=self.ssl_verify,
            trusted=self.ssl_trusted_certificate,
            crl=self.ssl_crl,
            depth=self.ssl_verify_depth,
            negotiates=self.negotiates,
        )

    def _make(self, certificate: str, key: str) -> Context:
        paths = [below(self.folder, path) if path else "" for path in (certificate, key)]
        return client_context(self._options(), paths[0], paths[1], self._passwords())

    def _passwords(self) -> list[str]:
        if self.ssl_password_file is None:
            return []
        return read_file(self.ssl_password_file).decode("latin-1").splitlines()


def _bare(name: str) -> str:
    """The name that is checked: without a port, without brackets."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdecimal() and ":" not in head else name


_KEPT = "certificates are kept once they have been read"
inert(
    "proxy_ssl_certificate_cache",
    where=HTTP_LEVELS | STREAM_LEVELS,
    reason=_KEPT,
    nginx="ngx_http_proxy_module.html",
    module="proxy",
)
inert(
    "uwsgi_ssl_certificate_cache",
    where=HTTP_LEVELS,
    reason=_KEPT,
    nginx="ngx_http_uwsgi_module.html",
    module="uwsgi",
)
