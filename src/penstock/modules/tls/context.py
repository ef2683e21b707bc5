"""An `ssl.SSLContext` from the settings of a server, with nginx's words for what can not be used."""

from __future__ import annotations

import hashlib
import ssl
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError, Problems
from penstock.config.inputs import as_path
from penstock.config.os_errors import os_failure
from penstock.config.source import Span
from penstock.modules.tls.certificates import NamedAtHandshake
from penstock.modules.tls.sessions import TlsSessions
from penstock.modules.tls.verify import ClientCertificates, contents
from penstock.net.tls import openssl
from penstock.net.tls.files import CannotLoad, load_pair, openssl_words

if TYPE_CHECKING:
    from penstock.modules.tls.ssl import Tls
    from penstock.net.tls.openssl_tickets import TicketSecrets

VERSIONS = {
    "TLSv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "TLSv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "TLSv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "TLSv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}


class ContextBuilder:
    """Makes the contexts of one server. What can be wrong without a certificate is found when the first is made."""

    def __init__(
        self,
        tls: Tls,
        sessions: TlsSessions,
        clients: ClientCertificates,
        problems: Problems,
        full_name: Callable[[str], str],
        secrets: TicketSecrets | None = None,
    ) -> None:
        self.tls = tls
        self.sessions = sessions
        self.clients = clients
        self.problems = problems
        self.full_name = full_name
        self._secrets = secrets

    def fixed(self) -> ssl.SSLContext:
        """Make the context with certificates that are named in the configuration. Raises `ConfigError`."""
        tls = self.tls
        names = [self.full(template.text) for template in (*tls.certificates, *tls.keys[: len(tls.certificates)])]
        try:
            return self._with(names, self.problems)
        except CannotLoad as error:
            spans = tls.origins["keys" if error.key else "certificates"]
            raise ConfigError(str(error), spans[error.number], hint=error.hint) from None

    def at_handshake(self, most: int, inactive: float, valid: float) -> NamedAtHandshake:
        """Return what makes contexts once the names of certificates are known. Raises `ConfigError` for all the rest.
        """
        self._bare(self.problems)
        return NamedAtHandshake(lambda names: self._with(names, Problems()), most, inactive, valid)

    def full(self, name: str) -> str:
        """Complete the path in the name of a certificate."""
        return name if name.startswith(("data:", "engine:", "store:")) else self.full_name(name)

    def _with(self, names: Sequence[str], problems: Problems) -> ssl.SSLContext:
        context = self._bare(problems)
        half = len(names) // 2
        for number in range(half):
            try:
                load_pair(context, names[number], names[half + number], self.tls.passwords)
            except CannotLoad as error:
                error.number = number
                raise
        self._keep_sessions(context, names[:half], problems)
        if self.tls.commands:
            run_commands(context, self.tls.commands, self.full_name, self.tls.origin("commands"))
        return context

    def _bare(self, problems: Problems) -> ssl.SSLContext:
        """Everything but certificates and sessions."""
        tls = self.tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        set_protocols(context, tls.protocols)
        context.options |= ssl.OP_NO_RENEGOTIATION
        if not tls.prefer_server_ciphers:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        set_ciphers(context, tls.ciphers, tls.origin("ciphers"))
        if tls.offered:
            context.set_alpn_protocols(list(tls.offered))
        if tls.dhparam is not None:
            _load_dh_params(context, tls.dhparam, tls.origin("dhparam"))
        if tls.curves is not None:
            set_curves(context, tls.curves, tls.origin("curves"))
        if openssl.missing() is None:
            from penstock.net.tls.openssl_context import send_only_given_chain

            send_only_given_chain(context)
        self.clients.prepare(context, problems)
        return context

    def _keep_sessions(self, context: ssl.SSLContext, certificates: Sequence[str], problems: Problems) -> None:
        """A session is good for this server alone: for these certificates, and what clients are judged by, as they are
        now. What replaces a file under its name ends the sessions that stood on it."""
        if not self.sessions.tickets:
            context.options |= ssl.OP_NO_TICKET
        names = [name if name.startswith("data:") else contents(name) for name in certificates]
        identity = hashlib.sha256(repr([*names, *self.clients.evidence(), *self._commanded()]).encode())
        why = self.sessions.prepare(context, identity.digest(), self._secrets)
        if why is not None and self.sessions.origins:
            problems.warn(why, next(iter(self.sessions.origins.values()))[0])

    def _commanded(self) -> list[object]:
        """What `ssl_conf_command` says, and what is in the files that it names."""
        found: list[object] = []
        for name, value in self.tls.commands:
            found += (name, value)
            if name.lower().endswith("file"):
                with suppress(OSError):  # said when the command is carried out
                    found.append(contents(self.full_name(value)))
        return found


def set_protocols(context: ssl.SSLContext, names: frozenset[str]) -> None:
    """Allow these protocol versions and no others; of versions that OpenSSL has lost nothing is left."""
    wanted = [name for name in VERSIONS if name in names]
    with warnings.catch_warnings():
        # Old versions are deprecated, and this is for who has to name them all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        if wanted:
            context.minimum_version = VERSIONS[wanted[0]][0]
            context.maximum_version = VERSIONS[wanted[-1]][0]
        for name, (_, denied) in VERSIONS.items():
            if name not in names:
                context.options |= denied


def set_ciphers(context: ssl.SSLContext, names: str, span: Span | None) -> None:
    """Set OpenSSL's list of ciphers for TLS up to 1.2. Raises `ConfigError`."""
    try:
        context.set_ciphers(names)
    except ssl.SSLError:
        raise ConfigError(
            f'SSL_CTX_set_cipher_list("{names}") failed (SSL: SSL routines::no cipher match)',
            span,
            hint="openssl ciphers LIST shows what a list stands for",
        ) from None


def set_curves(context: ssl.SSLContext, names: str, span: Span | None) -> None:
    """Set the groups for key exchange; only the first that is known where OpenSSL can not be reached. Raises
    `ConfigError`."""
    if openssl.missing() is None:
        from penstock.net.tls.openssl_context import set_groups

        try:
            set_groups(context, names)
        except ValueError as error:
            raise ConfigError(str(error), span) from None
        return
    for name in names.split(":"):
        try:
            context.set_ecdh_curve({"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}.get(name, name))
            return
        except (ValueError, ssl.SSLError):
            continue
    raise ConfigError(f'SSL_CTX_set1_curves_list("{names}") failed', span)


def run_commands(
    context: ssl.SSLContext, commands: Sequence[tuple[str, str]], full_name: Callable[[str], str], span: Span | None
) -> None:
    """Run the commands of `ssl_conf_command`. Raises `ConfigError`."""
    why = openssl.missing()
    if why is not None:
        raise ConfigError("SSL_CONF_cmd() is not available on this platform", span, hint=why)
    from penstock.net.tls import openssl_context

    try:
        openssl_context.run_commands(context, commands, full_name)
    except ValueError as error:
        raise ConfigError(str(error), span) from None


def _load_dh_params(context: ssl.SSLContext, path: str, span: Span | None) -> None:
    try:
        with as_path(path) as name:
            context.load_dh_params(name)
    except ssl.SSLError as error:
        raise ConfigError(f'PEM_read_bio_DHparams("{path}") failed ({openssl_words(error)})', span) from None
    except OSError as error:
        raise ConfigError(os_failure(f'BIO_new_file("{path}")', error), span) from None
