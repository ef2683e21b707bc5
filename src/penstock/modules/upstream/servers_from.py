"""Groups whose servers are found where they are: `servers_from` (Penstock's own).

A source yields whole lists; a process beside the workers follows it (`process/discovery`), and workers take each new
list up without a reload. The last good list is kept on disk, for a start at which the source is not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.registry import STREAM_UPSTREAM, UPSTREAM, command
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import seconds
from penstock.modules.upstream.server_list import BadList, read_list, read_plain
from penstock.modules.upstream.upstream import DRAFT, UPSTREAMS, upstreams_of
from penstock.net.names import lookup
from penstock.shared.server_lists import ServerLists
from penstock.upstream.names.listed import ListedMember, ListedServer

FILE, CONSUL, CONSUL_TLS, DOCKER, REDIS, REDIS_TLS = "file", "consul", "consul+https", "docker", "redis", "rediss"
PARAMETERS: Mapping[str, frozenset[str]] = {
    FILE: frozenset(),
    CONSUL: frozenset(("tag", "passing", "dc", "token_file")),
    CONSUL_TLS: frozenset(("tag", "passing", "dc", "token_file")),
    DOCKER: frozenset(("label", "virtual_host", "port", "network")),
    REDIS: frozenset(("db", "user", "password_file")),
    REDIS_TLS: frozenset(("db", "user", "password_file")),
}
PORTS = {CONSUL: 8500, CONSUL_TLS: 8501, REDIS: 6379, REDIS_TLS: 6379}
STATE_OF_ROOT = "/var/lib/penstock/"
"""Where lists of a program of root's are kept; those of others are below the prefix."""


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A source of lists. `text` is how it is written; `place` a path or the name of a service or key; `options` are the
    parameters behind the question mark, in their order.

    `may_be_empty`: an empty list counts. `debounce` are seconds in which changes are gathered. `kept` is the file of
    the last good list, "" for none.
    """

    text: str
    kind: str
    host: str
    port: int
    place: str
    options: tuple[tuple[str, str], ...]
    may_be_empty: bool = False
    debounce: float = 0.1
    kept: str = ""

    def option(self, name: str) -> str:
        """Return a parameter; "" if it was not given."""
        return next((value for key, value in self.options if key == name), "")


@command(
    "servers_from",
    where=UPSTREAM | STREAM_UPSTREAM,
    most=4,
    syntax="source [empty=keep | allow] [debounce=time] [keep=file | off]",
)
def servers_from(scope: Scope, directive: Directive) -> None:
    """Servers by a list from elsewhere, which is followed while the program runs: no reload, no tunnel touched.

    A source is `file:///path`, `consul://host[:port]/service[?passing&tag=name&dc=name&token_file=path]`,
    `docker:///var/run/docker.sock?label=key=value` or `redis://host[:port]/key`. An empty list is not taken, unless
    `empty=allow`. Penstock's own.
    """
    draft = scope.data[DRAFT]
    if draft.state_file:
        hint = 'the servers are in the file of "state": take one of the two out'
        raise ConfigError('"servers_from" is not allowed beside "state"', directive.span, hint=hint)
    source = _source(scope, directive)
    if any(each.source == source for each in draft.listed):
        raise ConfigError(f'duplicate source "{source.text}"', directive.span)
    compilation = scope.compilation
    upstreams = upstreams_of(compilation)
    for other in (*draft.listed, *upstreams.listed):
        if other.text == source.text and other.source != source:
            hint = "it is followed once for all: give it the same parameters everywhere"
            raise ConfigError(f'source "{source.text}" has other parameters elsewhere', directive.span, hint=hint)
    if source.kind in (REDIS, REDIS_TLS) and find_spec("redis") is None:
        hint = "pip install 'penstock[fleet]'"
        raise ConfigError("a list in Redis needs the library redis", directive.args[0].span, hint=hint)
    before = compilation.previous.get(UPSTREAMS)
    known = None if before is None else before.lists
    if upstreams.lists is None:
        upstreams.lists = ServerLists() if known is None else known
    member = ListedMember(source.text, source)
    member.first = _newest(known, source) or _at_hand(source)
    draft.members.append(member)
    draft.listed.append(member)


def _newest(lists: ServerLists | None, source: ServerSource) -> tuple[ListedServer, ...]:
    """Return the list that the configuration in force goes by."""
    if lists is None:
        return ()
    with lists:
        found = lists.read().get(source.text)
    return () if found is None else read_plain(found["servers"])


def _at_hand(source: ServerSource) -> tuple[ListedServer, ...]:
    """Return what a file says, of the source or of the last good list; nothing if none does."""
    for path in (source.place if source.kind == FILE else "", source.kept):
        if path:
            try:
                return read_list(read_file(path).decode("latin-1"), path, lookup)
            except (OSError, BadList):
                continue  # who follows the source will say what is wrong
    return ()


def _source(scope: Scope, directive: Directive) -> ServerSource:
    word = directive.args[0]
    parts = urlsplit(word.text)
    allowed = PARAMETERS.get(parts.scheme)
    if allowed is None:
        hint = "file:///path, consul://host:8500/service, docker:///var/run/docker.sock?label=..., redis://host/key"
        raise ConfigError(f'invalid source "{word.text}"', word.span, hint=hint)
    if parts.password or parts.username:
        raise ConfigError(
            "a source has no password in it, as it is shown and logged",
            word.span,
            hint="put it into a file: ?password_file=/path, or token_file=/path",
            secret=parts.password or "",
        )
    place = unquote(parts.path, "latin-1")
    if parts.scheme not in (FILE, DOCKER):
        place = place.removeprefix("/")
    try:
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise ConfigError(f'invalid port in "{word.text}"', word.span) from None
    local = parts.scheme in (FILE, DOCKER)
    if not place.strip("/") or local == bool(host):
        wanted = "a path, as in file:///etc/servers.json" if local else "a host, and a name behind it"
        raise ConfigError(f'invalid source "{word.text}"', word.span, hint=f"it takes {wanted}")
    options = tuple(parse_qsl(parts.query, keep_blank_values=True, encoding="latin-1"))
    for name, value in options:
        if name not in allowed:
            hint = f"{parts.scheme} knows: {', '.join(sorted(allowed))}" if allowed else "it has none"
            secret = value if name in ("password", "token") else ""
            raise ConfigError(f'unknown parameter "{name}" of the source', word.span, hint=hint, secret=secret)
    source = ServerSource(word.text, parts.scheme, host, port, place, options)
    if source.kind == DOCKER and not (source.option("label") or source.option("virtual_host")):
        hint = "add: ?label=penstock.upstream=chat"
        raise ConfigError("a label, or a virtual_host, says which containers are meant", word.span, hint=hint)
    return _with_parameters(scope, source, directive.args[1:])


def _with_parameters(scope: Scope, source: ServerSource, words: tuple[Word, ...]) -> ServerSource:
    empty, debounce = False, 0.1
    name = f"servers-{blake2b(source.text.encode('latin-1'), digest_size=8).hexdigest()}.json"
    kept = f"{STATE_OF_ROOT}{name}" if os.geteuid() == 0 else scope.compilation.logs_path(name)
    for word in words:
        key, _, value = word.text.partition("=")
        if word.text in ("empty=keep", "empty=allow"):
            empty = value == "allow"
        elif key == "debounce" and value:
            try:
                debounce = seconds(value)
            except ValueError as error:
                raise ConfigError(f'invalid time "{value}"', word.span, hint=str(error)) from None
        elif key == "keep" and value:
            kept = "" if value == "off" else scope.compilation.logs_path(value)
        else:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span)
    kind, host, port = source.kind, source.host, source.port
    return ServerSource(source.text, kind, host, port, source.place, source.options, empty, debounce, kept)
