"""`stream`, its `server` and `listen` (nginx: ngx_stream_core_module). `server_name` is in `core/server_blocks.py`."""

from __future__ import annotations

from dataclasses import replace

from penstock.config.errors import ConfigError, Problems
from penstock.config.key import Key
from penstock.config.registry import MAIN, STREAM, STREAM_SERVER, block, command
from penstock.config.scope import Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.config.vocabulary import STREAM_WORDS
from penstock.modules.core.error_log import FILES, ON_STDERR, log_files
from penstock.modules.core.locations import REGEXES, complete
from penstock.modules.core.server_blocks import (
    LISTENS,
    ListenOptions,
    addresses,
    addresses_of,
    begin_server,
    bind_to,
    option,
)
from penstock.modules.tls.ssl import secure
from penstock.plan.location import SERVERS, Listen
from penstock.plan.plan import STREAM_PART

MODULE = "stream_core"
PAGE = "ngx_stream_core_module.html"

STREAM_SCOPE: Key[Scope] = Key("streams")
_OF_HTTP = ("http2", "default", "quic")
_OF_TCP = ("backlog", "fastopen", "deferred", "multipath", "ssl", "so_keepalive", "proxy_protocol")


@block("stream", where=MAIN, nginx=PAGE)
def stream(scope: Scope, directive: Directive) -> None:
    """Connections that are passed on as they are."""
    if STREAM_SCOPE in scope.data:
        raise ConfigError('"stream" directive is duplicate', directive.name.span)
    outer = scope.compilation
    compilation = outer.beside(STREAM_WORDS, outer.previous.get(STREAM_PART))
    outer.shared[STREAM_PART] = compilation.shared
    compilation.shared[FILES] = log_files(outer)
    compilation.shared[REGEXES] = outer.shared.setdefault(REGEXES, [])
    inner = scope.data[STREAM_SCOPE] = Scope(compilation, STREAM, scope, directive)
    inner.walk(directive.block or ())
    if ON_STDERR in compilation.shared:
        outer.shared[ON_STDERR] = True


@block("server", where=STREAM, nginx=PAGE)
def server(scope: Scope, directive: Directive) -> None:
    """A server of streams: addresses to listen on, and what becomes of connections there."""
    inner = begin_server(scope, directive, STREAM_SERVER, "stream")
    inner.walk(directive.block or ())
    if not inner.data[LISTENS] and not any(line.name.text == "listen" for line in directive.block or ()):
        span = directive.span
        raise ConfigError(
            f'no "listen" is defined for server in {span.file}:{span.line}',
            directive.name.span,
            hint="a stream has no port of its own: listen 1883;",
        )


@command("listen", where=STREAM_SERVER, most=None, syntax="address:port [parameters]", nginx=PAGE)
def listen(scope: Scope, directive: Directive) -> None:
    """An address and port, or a unix socket, to accept connections on."""
    first = directive.args[0]
    if not first.text.startswith("unix:") and not first.text.rpartition(":")[2].rstrip("0123456789-") == "":
        raise ConfigError(f'no port in "{first.text}" of the "listen" directive', first.span, hint="listen 1883;")
    options = ListenOptions()
    for word in directive.args[1:]:
        options = _option(scope, directive, options, word)
    if options.udp:
        _check_datagrams(directive)
    bind_to(scope, directive, addresses_of(directive), options)


def _check_datagrams(directive: Directive) -> None:
    """Refuse what has no meaning where there are no connections."""
    for word in directive.args:
        name = word.text.partition("=")[0]
        if name in _OF_TCP or word.text.startswith("unix:"):
            raise ConfigError(f'"{name}" parameter is incompatible with "udp"', word.span)


def _option(scope: Scope, directive: Directive, options: ListenOptions, word: Word) -> ListenOptions:
    if word.text in _OF_HTTP:
        raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint="that is for servers of HTTP")
    if word.text == "udp":
        return replace(options, udp=True)
    return option(scope, directive, options, word)


def stream_listens(main: Scope, others: list[Listen]) -> list[Listen]:
    """Complete the servers of streams: the addresses they listen on. `others` are those of HTTP, which are others."""
    scope = main.data.get(STREAM_SCOPE)
    if scope is None:
        return []
    compilation = scope.compilation
    servers = compilation.shared.setdefault(SERVERS, [])
    made = addresses(scope, servers)
    taken: dict[object, Listen] = {each.address: each for each in others}
    for each in made:
        each.stream = True
        _alone(each, taken, compilation.problems)
        each.options = replace(each.options, http2=False)
    for one in servers:
        complete(one.root, one)
    _secured(compilation, made)
    return made


def _secured(compilation: Compilation, listens: list[Listen]) -> None:
    secure(compilation, listens)


def _alone(listen: Listen, taken: dict[object, Listen], problems: Problems) -> None:
    other = taken.get(listen.address)
    if other is not None and listen.span is not None:
        where = f" in {other.span.file}:{other.span.line}" if other.span is not None else ""
        problems.error(
            "a server of streams listens where one of HTTP does", listen.span, hint=f"the other one is{where}"
        )
