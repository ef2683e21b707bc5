"""TLS sessions that clients resume: cache, tickets and their keys (nginx: ngx_http_ssl_module, ssl_session_...).

What ticket keys are made of comes from the master, so all workers share them; servers with the same `shared:name` share
them too, and keep them over a reload. The cache itself is OpenSSL's, one in each worker: a client that comes without a
ticket can resume at the worker it has met.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial, reduce
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.inputs import fresh_bytes, read_file
from penstock.config.key import Key
from penstock.config.kinds import custom, flag, whole_seconds
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP, SERVER, STREAM_LEVELS
from penstock.config.scope import Call, Compilation
from penstock.config.settings import Settings, directive, directives
from penstock.config.values import decimal, size

if TYPE_CHECKING:
    import ssl

    from penstock.net.tls.openssl_context import SessionCacheMode
    from penstock.net.tls.openssl_tickets import TicketSecrets, TurningSecrets

MODULE = "ssl_sessions"

PAGE = "ngx_http_ssl_module.html"
WHERE = HTTP | SERVER | STREAM_LEVELS
ZONES: Key[dict[str, tuple[float, TurningSecrets]]] = Key("ticket zones")
_SECRET = 32
_TIME = Struct("d")
_SESSION = 256
"""nginx's estimate of a session's size in its shared cache: 4000 sessions in a megabyte."""


@dataclass(frozen=True, slots=True)
class Cache:
    """`kind` is "off", "none" or "kept"; `sessions` how many (None: OpenSSL's 20480); `zone` what `shared:` names."""

    kind: str
    sessions: int | None = None
    zone: str = ""


def _cache(call: Call) -> Cache:
    """`builtin` beside `shared` comes to one cache."""
    words: list[Cache] = []
    for word in call.args:
        kind, given, rest = word.text.partition(":")
        zone, _, text = rest.partition(":")
        if kind in ("off", "none") and not given:
            words.append(Cache(kind))
        elif kind == "builtin" and (not given or decimal(rest) is not None):
            words.append(Cache("kept", decimal(rest) if given else None))
        elif kind == "shared" and zone and text:
            try:
                number = size(text)
            except ValueError:
                raise _bad(call, word.text) from None
            if number < 8 * os.sysconf("SC_PAGESIZE"):
                raise call.fail(f'session cache "{word.text}" is too small', word, hint="32k at least")
            words.append(Cache("kept", number // _SESSION, zone))
        else:
            raise _bad(call, word.text)
    return reduce(_together, words)


def _together(old: Cache, new: Cache) -> Cache:
    """What two words come to, or two lines: the last of `off`, `none`, `builtin` counts, and the last `shared`."""
    if new.zone:
        return Cache(old.kind, new.sessions, new.zone)
    if old.zone:
        return Cache(new.kind, old.sessions, old.zone)
    return new


def _bad(call: Call, text: str) -> Exception:
    return call.fail(f'invalid session cache "{text}"', hint="off, none, builtin[:sessions], shared:name:size")


def _ticket_secret(call: Call) -> bytes:
    word = call.args[0]
    path = call.compilation.conf_path(word.text)
    try:
        secret = read_file(path)
    except OSError as error:
        raise call.fail(os_failure("open()", error, path), word) from None
    if len(secret) not in (48, 80):
        raise call.fail(f'"{path}" must be 48 or 80 bytes', word, hint="make one with: openssl rand 80")
    return secret


class TlsSessions(Settings):
    """How long sessions live, where, and what encrypts their tickets."""

    cache: Cache = directive(
        "ssl_session_cache",
        where=WHERE,
        takes=custom(_cache, most=2, syntax="off | none | [builtin[:size]] [shared:name:size]"),
        default=Cache("none"),
        nginx=PAGE,
        shown="none",
        doc="Where sessions without tickets are kept: in each worker. Clients with tickets need no cache.",
        again=_together,
    )
    timeout: int = directive(
        "ssl_session_timeout", where=WHERE, takes=whole_seconds, default=300, nginx=PAGE, shown="5m"
    )
    tickets: bool = directive("ssl_session_tickets", where=WHERE, takes=flag, default=True, nginx=PAGE)
    ticket_secrets: tuple[bytes, ...] = directives(
        "ssl_session_ticket_key",
        where=WHERE,
        takes=custom(_ticket_secret, syntax="file"),
        nginx=PAGE,
        doc="A file of 48 or 80 random bytes. The first encrypts, all decrypt.",
    )

    def prepare(self, context: ssl.SSLContext, identity: bytes, secrets: TicketSecrets | None) -> str | None:
        """Make a context keep sessions this way. `identity` tells servers apart that share secrets; `secrets` are
        what ticket keys are made of where the configuration names none. Returns what can not be done here, in words."""
        from penstock.net.tls.openssl import missing

        why = missing()
        if why is not None:
            if not self.tickets and self.cache.kind != "kept":
                context.num_tickets = 0
            return f"sessions are kept as Python's ssl keeps them: {why}"
        from penstock.net.tls.openssl_context import keep_sessions
        from penstock.net.tls.openssl_tickets import GivenSecrets, set_ticket_keys

        mode, number = self._mode()
        keep_sessions(context, mode, number, self.timeout, identity)
        if self.ticket_secrets:
            secrets = GivenSecrets(self.ticket_secrets)
        if secrets is not None and self.tickets:
            set_ticket_keys(context, secrets, identity)
        return None

    def _mode(self) -> tuple[SessionCacheMode, int | None]:
        from penstock.net.tls.openssl_context import SessionCacheMode

        if self.cache.kind == "off":
            return SessionCacheMode.OFF, None
        if self.cache.kind == "none":  # nginx pretends to keep sessions: some clients can not do without
            return SessionCacheMode.SERVER | SessionCacheMode.NO_AUTO_CLEAR | SessionCacheMode.NO_STORE, 1
        return SessionCacheMode.SERVER, self.cache.sessions


def secrets_for(compilation: Compilation, sessions: TlsSessions) -> TicketSecrets | None:
    """Return what the ticket keys of a server are made of where it names none itself, alike in all workers: those of
    the zone, which outlive a reload, or its own. None where OpenSSL keeps its own, since they can not be set."""
    from penstock.net.tls.openssl import missing

    if missing() is not None:
        return None
    from penstock.net.tls.openssl_tickets import GivenSecrets, TurningSecrets

    zone, timeout = sessions.cache.zone, sessions.timeout
    if not zone:
        return GivenSecrets([fresh_bytes("ticket keys", partial(os.urandom, _SECRET))])
    zones = compilation.shared.setdefault(ZONES, {})
    known = zones.get(zone) or (compilation.previous.get(ZONES) or {}).get(zone)
    if known is None or known[0] != timeout:
        made = fresh_bytes(f"ticket keys of {zone}", _secret_and_time)
        known = timeout, TurningSecrets(timeout, made[:_SECRET], *_TIME.unpack(made[_SECRET:]))
    zones[zone] = known
    return known[1]


def _secret_and_time() -> bytes:
    return os.urandom(_SECRET) + _TIME.pack(monotonic())
