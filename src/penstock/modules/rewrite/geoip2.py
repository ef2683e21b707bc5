"""Variables out of MaxMind's databases by the client's address: `geoip2` (the module of that name by others).

    geoip2 country.mmdb { $country default=XX source=$remote_addr country iso_code; $built metadata build_epoch; }

A database is read once and shared by all workers; a reload reads it again. The library that understands it,
`maxminddb`, is an extra, and imported where a database is named.
"""

from __future__ import annotations

import os
from functools import partial
from time import time
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.config.inputs import gathered
from penstock.config.key import Key
from penstock.config.kinds import custom, flag
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP, block
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import Settings, directive, directives
from penstock.config.tree import Directive, Word
from penstock.config.values import Network, network
from penstock.http.fields import all_values
from penstock.http.request import Request
from penstock.modules.core.forwarded import forwarded, is_address
from penstock.modules.rewrite.computed import declare, variable_name
from penstock.shared.memory import SharedMemory

if TYPE_CHECKING:
    from maxminddb.reader import Reader
    from maxminddb.types import Record

    from penstock.config.variables import Template

PAGE = "https://github.com/leev/ngx_http_geoip2_module"
REMEMBERED = 4096
"""Records of one database that a worker remembers by address: the variables of one request ask for the same."""
PIECE = 1 << 20
END = 16


class GeoDatabase:
    """One database, and what has been looked up in it of late."""

    __slots__ = ("_known", "_memory", "_reader", "changed", "opened")

    def __init__(self, reader: Reader, memory: SharedMemory, changed: int, opened: int) -> None:
        self._reader = reader
        self._memory = memory  # it goes to workers that begin later
        self._known: dict[str, Record | None] = {}
        self.changed = changed
        self.opened = opened

    def find(self, address: str, path: tuple[str, ...]) -> str:
        """Return what stands at a path of the record for an address; "" where nothing does."""
        known = self._known
        if address in known:
            record = known[address]
        else:
            if len(known) >= REMEMBERED:
                known.clear()
            try:
                record = self._reader.get(address)
            except ValueError:  # an address of another family than the database's, or a broken database
                record = None
            known[address] = record
        return _shown(_inside(record, path))

    def about(self, name: str) -> str:
        """Return a fact about the database itself."""
        if name == "build_epoch":
            return str(self._reader.metadata().build_epoch)
        return str(self.changed if name == "last_change" else self.opened)


ABOUT = ("build_epoch", "last_check", "last_change")
_databases: Key[dict[str, GeoDatabase]] = Key("geoip2 databases")


def _inside(record: Record | None, path: tuple[str, ...]) -> object:
    found: object = record
    for name in path:
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(int(value))
        case str():
            return value.encode("utf-8").decode("latin-1")
        case int():
            return str(value)
        case float():
            return f"{value:.5f}"
    return ""


def _network(call: Call) -> Network:
    word = call.args[0]
    try:
        found = network(word.text)
        if found.family in ("all", "unix"):
            raise ValueError("takes an address or a network such as 10.0.0.0/8")
    except ValueError as error:
        raise call.fail(f'invalid network "{word.text}"', word, hint=str(error)) from None
    return found


class GeoProxies(Settings):
    """Proxies whose X-Forwarded-For tells the client's address to `geoip2`."""

    proxies: tuple[Network, ...] = directives(
        "geoip2_proxy",
        where=HTTP,
        takes=custom(_network, syntax="address | CIDR"),
        nginx=PAGE,
        doc="Who is believed.",
    )
    recursive: bool = directive("geoip2_proxy_recursive", where=HTTP, takes=flag, default=False, nginx=PAGE)


@block("geoip2", where=HTTP, least=1, most=1, syntax="file { ... }", nginx=PAGE)
def geoip2(scope: Scope, directive: Directive) -> None:
    """Variables out of a database: `$name [default=value] [source=$variable] path ...;`."""
    compilation = scope.compilation
    database = _opened(compilation, directive.args[0])
    for line in directive.block or ():
        with compilation.collecting():
            _line(scope, database, line)


def _opened(compilation: Compilation, word: Word) -> GeoDatabase:
    path = compilation.conf_path(word.text)
    known = compilation.shared.setdefault(_databases, {})
    if path not in known:
        try:
            import maxminddb
        except ImportError:
            raise ConfigError(
                "geoip2 needs the library maxminddb", word.span, hint="pip install 'penstock[geoip]'"
            ) from None
        try:
            memory, changed, read = _shared(path)
            reader = maxminddb.open_database(memory.path, maxminddb.MODE_AUTO)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise ConfigError(f'"{word.text}" is no database of MaxMind\'s format: {error}', word.span) from None
        except OSError as error:
            raise ConfigError(os_failure("open()", error, path), word.span) from None
        known[path] = GeoDatabase(reader, memory, changed, read)
    return known[path]


def _shared(path: str) -> tuple[SharedMemory, int, int]:
    """The file's content in memory that all workers share, when it was changed, and when it was read. Raises `OSError`
    and, of an empty file, `ValueError`."""
    name = path.encode("latin-1")

    def about() -> tuple[int, int, int]:
        found = os.stat(name)
        return found.st_size, int(found.st_mtime), int(time())

    size, changed, read = gathered("geoip2", path, about)
    made = SharedMemory(f"geoip2 {path}", size)
    if not made.memory[-END:].strip(b"\0"):  # a database ends with words about itself; this is new
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            at = 0
            while at < size and (piece := os.pread(file, min(PIECE, size - at), at)):
                made.memory[at : at + len(piece)] = piece
                at += len(piece)
        finally:
            os.close(file)
    return made, changed, read


def _line(scope: Scope, database: GeoDatabase, line: Directive) -> None:
    compilation = scope.compilation
    if line.name.text == "auto_reload" and len(line.args) == 1:
        compilation.problems.warn(
            '"auto_reload" does nothing', line.span, hint="a reload reads databases again: who fetches them sends HUP"
        )
        return
    variable_name(line.name)
    words = [word.text for word in line.args]
    if words[:1] == ["metadata"]:
        if len(words) != 2 or words[1] not in ABOUT:
            raise ConfigError("invalid metadata field", line.span, hint=f"it may be: {', '.join(ABOUT)}")
        value = partial(database.about, words[1])
        declare(compilation, line.name, lambda request: value(), (), remember=True, clean=True)
        return
    default = ""
    source: Template | None = None
    while words and words[0].startswith(("default=", "source=")):
        key, _, given = words.pop(0).partition("=")
        if key == "default":
            default = given
        else:
            variable_name(Word(given, line.span, False))
            source = compilation.variables.template(given, line.span)
    if not words:
        raise ConfigError("no path into the database", line.span, hint="write for example: $country country iso_code;")
    path = tuple(words)

    def compute(request: Request) -> str:
        address = _address(request, source)
        return (database.find(address, path) if address else "") or default

    declare(compilation, line.name, compute, source.names if source is not None else (), remember=True)


def _address(request: Request, source: Template | None) -> str:
    """The address to look for; "" where it is none."""
    if source is not None:
        text = source.evaluate(request)
        return text if is_address(text) else ""
    client: str = request.connection.client_address
    proxies = request.location[GeoProxies]
    if proxies.proxies and "x-forwarded-for" in request.head.fields:
        values = all_values(request.head.headers, "x-forwarded-for")
        client, _ = forwarded(client, values, proxies.proxies, recursive=proxies.recursive)
    return client if is_address(client) else ""
