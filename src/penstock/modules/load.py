"""From a file to a plan: read it, walk it, check it, complete it. Raises `ConfigFailed` with every mistake found."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module

from penstock.config.errors import ConfigFailed, Problems
from penstock.config.on_demand import ON_DEMAND
from penstock.config.parser import parse_file, parse_parameter
from penstock.config.regex.pcre import make_ready
from penstock.config.regex.pcre2 import NoLibrary
from penstock.config.regex.regex import use_bound
from penstock.config.registry import MAIN, REGISTRY
from penstock.config.scope import Compilation, Scope
from penstock.config.settings import KINDS
from penstock.config.source import Source
from penstock.config.tree import Directive
from penstock.modules import ORDER, RARE, WORDS
from penstock.modules.core.http_core import HTTP_SCOPE
from penstock.modules.core.locations import complete
from penstock.modules.core.main import EVENTS_SCOPE
from penstock.modules.core.pcre_jit import make_machine_code
from penstock.modules.core.server_blocks import addresses
from penstock.modules.tls.ssl import secure
from penstock.modules.unsupported import inert_arguments as inert_arguments
from penstock.net.match_time import within
from penstock.plan.location import SERVERS
from penstock.plan.plan import STREAM_PART, Plan

_ROOT = "penstock.modules."

Around = Callable[[tuple[Directive, ...]], tuple[Directive, ...]]
"""Makes a whole configuration of what a file holds."""


@cache
def prepare() -> None:
    """Import every module that is not on demand, and offer the others; once."""
    for name in ORDER:
        if name not in WORDS and name not in RARE:
            import_module(_full(name))
    ON_DEMAND.offer({_full(name): words for name, words in WORDS.items()}, map(_full, RARE))


def known() -> None:
    """Import every module, so that the registry and the vocabularies are whole."""
    prepare()
    ON_DEMAND.bring_all()


def put_in_order() -> None:
    """Put what has handlers into the order of `ORDER`."""
    KINDS.sort(key=lambda kind: ORDER.index(kind.__module__.removeprefix(_ROOT)))


def _full(name: str) -> str:
    return _ROOT + name


def load(
    path: str, *, prefix: str, globals_text: str = "", previous: Plan | None = None, around: Around | None = None
) -> Plan:
    """Compile the configuration at `path`. `globals_text` is what `-g` gave; `previous` the plan in force,
    whose shared memory goes on to be used. `around` puts a piece of a configuration into what it is a piece of."""
    prepare()
    use_bound(within)
    problems = Problems()
    try:
        make_ready()  # in the master: workers may read next to nothing
    except NoLibrary as error:
        problems.error(str(error))
    sources: list[Source] = []
    folder = os.path.dirname(path) or "."
    kept = None if previous is None else previous.shared
    compilation = Compilation(problems, prefix=prefix, folder=folder, previous=kept)
    main = Scope(compilation, MAIN)
    if globals_text:
        main.walk(parse_parameter(globals_text, problems, known=REGISTRY.__contains__))
    tree = parse_file(path, problems, base=folder, known=REGISTRY.__contains__, loaded=sources)
    main.walk(tree if around is None else around(tree))
    put_in_order()
    if EVENTS_SCOPE not in main.data and not problems.failed:
        problems.error('no "events" section in configuration', hint="add: events { }")
    servers = compilation.shared.setdefault(SERVERS, [])
    listens = []
    if HTTP_SCOPE in main.data:
        listens = addresses(main.data[HTTP_SCOPE], servers)
    for server in servers:
        complete(server.root, server)
        server.locations = server.root.nested
    secure(compilation, listens)
    if STREAM_PART in compilation.shared:
        from penstock.modules.stream.blocks import stream_listens

        listens += stream_listens(main, listens)
    make_machine_code(main)
    compilation.finish()
    if problems.failed:
        raise ConfigFailed(problems)
    return Plan(
        main=main,
        events=main.data.get(EVENTS_SCOPE),
        http=main.data.get(HTTP_SCOPE),
        servers=servers,
        listens=listens,
        problems=problems,
        sources=sources,
        prefix=prefix,
        path=path,
        shared=compilation.shared,
    )
