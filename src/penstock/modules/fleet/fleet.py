"""What several machines agree on over Redis or Valkey: `fleet`. What takes part in it says `sync`.

https://docs.nginx.com/nginx/admin-guide/high-availability/zone_sync/ has the word `sync`; the rest is our own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from penstock.config.errors import ConfigError, duplicate
from penstock.config.inputs import fresh_bytes, read_file
from penstock.config.os_errors import os_failure
from penstock.config.registry import MAIN, command
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import seconds
from penstock.modules.fleet.membership import CLOSED, FLEET, LOCAL, OPEN, Fleet, FleetOptions
from penstock.net.redis.opening import RedisAddress

MODULE = "fleet"
SYNTAX = (
    "redis://[user@]host[:port][/database] [name=name] [timeout=time] [lease=time] [on_error=local | open | closed] "
    "[user=name] [password_file=file] [tls] [ca=file] [sentinel=host:port,...] [sentinel_user=name] "
    "[sentinel_password_file=file] [sentinel_tls] [cluster]"
)
SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
PORT, SENTINEL_PORT = 6379, 26379
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@command("fleet", where=MAIN, least=1, most=None, syntax=SYNTAX)
def fleet(scope: Scope, directive: Directive) -> None:
    """Redis or Valkey, over which several machines agree on what `sync` zones hold, on a drain's budget, and by which
    `penstock tunnels --fleet` asks them all. Machines with the same `name` belong together. An answer is waited for as
    long as `timeout` says (50ms); after that `on_error` counts: `local`, this machine's share of the limit; `open`, its
    own zone with the whole limit; `closed`, refused. A machine that is gone keeps its places for one `lease` (15s).
    No tunnel depends on it. Needs the extra `penstock[fleet]`. See the page on fleets."""
    compilation = scope.compilation
    known = compilation.shared.get(FLEET)
    if known is not None:
        raise duplicate("fleet", directive.span, known.span)
    _need_library(directive)
    given = _Given(scope, directive)
    before = compilation.previous.get(FLEET)
    node = before.options.node if before is not None else fresh_bytes("fleet", _fresh_node).decode("ascii")
    options = FleetOptions(
        given.address(directive.args[0]),
        given.name,
        given.timeout,
        given.lease,
        given.on_error,
        node,
    )
    if options.timeout * 3 > options.lease:
        raise ConfigError(
            '"lease" of "fleet" is too short', directive.span, hint="it takes three times the timeout at least"
        )
    compilation.shared[FLEET] = Fleet(options, directive.span)


def _fresh_node() -> bytes:
    return os.urandom(6).hex().encode("ascii")


def _need_library(directive: Directive) -> None:
    try:
        # Here, where the master imports it for its workers: it takes a while, and they may not be able to read it.
        import redis
        import redis.cluster
        import redis.sentinel  # noqa: F401
    except ImportError:
        raise ConfigError(
            "fleet needs the library redis", directive.span, hint="pip install 'penstock[fleet]'"
        ) from None


class _Given:
    """The words of the directive, read one after the other."""

    def __init__(self, scope: Scope, directive: Directive) -> None:
        self._scope = scope
        self._seen: set[str] = set()
        self.name, self.timeout, self.lease, self.on_error = "penstock", 0.05, 15.0, LOCAL
        self.user: str | None = None
        self.password: str | None = None
        self.tls = self.cluster = self.sentinel_tls = False
        self.sentinel_user: str | None = None
        self.sentinel_password: str | None = None
        self.trusted: str | None = None
        self.sentinels: tuple[tuple[str, int], ...] = ()
        readers: dict[str, Callable[[Word, str], None]] = {
            "name": self._name,
            "timeout": self._timeout,
            "lease": self._lease,
            "on_error": self._on_error,
            "user": self._user,
            "password_file": self._password,
            "ca": self._ca,
            "sentinel": self._sentinel,
            "sentinel_user": self._sentinel_user,
            "sentinel_password_file": self._sentinel_password,
        }
        for word in directive.args[1:]:
            key, equals, value = word.text.partition("=")
            if key in self._seen:
                raise ConfigError(f'duplicate parameter "{key}" of "fleet"', word.span)
            self._seen.add(key)
            if not equals and key == "tls":
                self.tls = True
            elif not equals and key == "cluster":
                self.cluster = True
            elif not equals and key == "sentinel_tls":
                self.sentinel_tls = True
            elif equals and key in readers and value:
                readers[key](word, value)
            elif key in ("password", "sentinel_password"):
                hint = f"put it into a file that only root reads: {key}_file=/etc/penstock/redis.password"
                raise ConfigError('"fleet" takes no password here', word.span, hint=hint, secret=value)
            else:
                raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint=f"syntax: fleet {SYNTAX};")
            if key.startswith("sentinel_") and not any(each.text.startswith("sentinel=") for each in directive.args):
                hint = "name them: sentinel=host:26379"
                raise ConfigError(f'"{key}" of "fleet" without Sentinels', word.span, hint=hint)

    def address(self, word: Word) -> RedisAddress:
        """Read the address. Raises `ConfigError`."""
        parts = urlsplit(word.text)
        wrong = ConfigError(f'invalid address of "fleet": "{word.text}"', word.span, hint="write: redis://host:6379/0")
        if parts.password is not None:
            hint = "put it into a file that only root reads: password_file=/etc/penstock/redis.password"
            words = '"fleet" takes no password in its address'
            raise ConfigError(words, word.span, hint=hint, secret=parts.password)
        if parts.query or parts.fragment:
            raise wrong
        secure = SCHEMES.get(parts.scheme)
        user = self.user if self.user is not None else (unquote(parts.username) if parts.username else None)
        if parts.scheme == "unix":
            if not parts.path or parts.netloc:
                raise wrong
            return RedisAddress("", 0, 0, parts.path, False, None, user, self.password, tag=f"penstock:{self.name}")
        try:
            port = parts.port
        except ValueError:
            raise wrong from None
        database = parts.path.strip("/")
        if secure is None or not parts.hostname or (database and not (database.isascii() and database.isdigit())):
            raise wrong
        if self.cluster and int(database or 0):
            raise ConfigError("a cluster has the database 0 alone", word.span)
        if self.sentinels and port is not None:
            hint = "with sentinel= the host is the name by which they know the master: redis://mymaster/0"
            raise ConfigError(f'invalid address of "fleet": "{word.text}"', word.span, hint=hint)
        return RedisAddress(
            parts.hostname,
            port or PORT,
            int(database or 0),
            "",
            secure or self.tls,
            self.trusted,
            user,
            self.password,
            parts.netloc.rpartition("@")[2] if self.sentinels else "",
            self.sentinels,
            self.cluster,
            f"penstock:{self.name}",
            self.sentinel_user,
            self.sentinel_password,
            self.sentinel_tls,
        )

    def _name(self, word: Word, value: str) -> None:
        if not NAME.issuperset(value) or len(value) > 64:
            raise ConfigError(f'invalid name "{value}" of a fleet', word.span, hint="letters, digits, . _ and -")
        self.name = value

    def _timeout(self, word: Word, value: str) -> None:
        self.timeout = _time(word, value)

    def _lease(self, word: Word, value: str) -> None:
        self.lease = _time(word, value)
        if not 0.3 <= self.lease <= 3600:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint="a lease is from 300ms to an hour")

    def _on_error(self, word: Word, value: str) -> None:
        if value not in (LOCAL, OPEN, CLOSED):
            raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint="local, open or closed")
        self.on_error = value

    def _user(self, word: Word, value: str) -> None:
        self.user = value

    def _password(self, word: Word, value: str) -> None:
        self.password = self._secret(word, value)

    def _sentinel_user(self, word: Word, value: str) -> None:
        self.sentinel_user = value

    def _sentinel_password(self, word: Word, value: str) -> None:
        self.sentinel_password = self._secret(word, value)

    def _secret(self, word: Word, value: str) -> str:
        found = self._read(word, value).strip("\r\n")
        if not found:
            raise ConfigError(f'there is no password in "{value}"', word.span)
        return found

    def _ca(self, word: Word, value: str) -> None:
        self.trusted = self._read(word, value)

    def _read(self, word: Word, value: str) -> str:
        path = self._scope.compilation.conf_path(value)
        try:
            return read_file(path).decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f'"{path}" is no text in UTF-8', word.span) from None
        except OSError as error:
            raise ConfigError(os_failure("open()", error, path), word.span) from None

    def _sentinel(self, word: Word, value: str) -> None:
        found: list[tuple[str, int]] = []
        for each in value.split(","):
            parts = urlsplit(f"//{each}")
            try:
                host, port = parts.hostname, parts.port
            except ValueError:
                host = None
            if not host:
                hint = "write: sentinel=10.0.0.1:26379,10.0.0.2:26379"
                raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint=hint)
            found.append((host, port or SENTINEL_PORT))
        self.sentinels = tuple(found)


def _time(word: Word, value: str) -> float:
    try:
        found = seconds(value)
    except ValueError as error:
        raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint=str(error)) from None
    if not found:
        raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint="a time is wanted, such as 50ms")
    return found
