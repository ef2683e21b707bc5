"""From a file to a plan: read it, walk it, check it, complete it. Raises `ConfigFailed` with every mistake found."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import PurePosixPath

from penstock.config.errors import ConfigFailed, Problems
from penstock.config.parser import parse_file, parse_parameter
from penstock.config.regex.pcre import make_ready
from penstock.config.regex.pcre2 import NoLibrary
from penstock.config.regex.regex import use_bound
from penstock.config.registry import MAIN, REGISTRY
from penstock.config.scope import Compilation, Scope
from penstock.config.settings import KINDS, Settings
from penstock.config.source import Source
from penstock.config.tree import Directive
from penstock.modules import ORDER
from penstock.modules.core.http_core import HTTP_SCOPE
from penstock.modules.core.locations import complete
from penstock.modules.core.main import EVENTS_SCOPE
from penstock.modules.core.pcre_jit import make_machine_code
from penstock.modules.core.server_blocks import addresses
from penstock.modules.stream.blocks import stream_listens
from penstock.modules.tls.ssl import secure
from penstock.modules.unsupported.inert_arguments import declare_arguments
from penstock.net.match_time import within
from penstock.plan.location import SERVERS
from penstock.plan.plan import Plan

Around = Callable[[tuple[Directive, ...]], tuple[Directive, ...]]
"""Makes a whole configuration of what a file holds."""


@cache
def known() -> None:
    """Import every module, so that the registry is whole, and put what has handlers into the order of `ORDER`; once.

    A class in a file that is not named there has the place of the module that first needs it.
    """
    places = {name: place for place, name in enumerate(ORDER)}
    for place, name in enumerate(ORDER):
        import_module(f"penstock.modules.{name}")
        for kind in KINDS:
            places.setdefault(_file(kind), place)
    declare_arguments()
    KINDS.sort(key=lambda kind: places[_file(kind)])


def _file(kind: type[Settings]) -> str:
    return kind.__module__.removeprefix("penstock.modules.")


def load(
    path: str, *, prefix: str, globals_text: str = "", previous: Plan | None = None, around: Around | None = None
) -> Plan:
    """Compile the configuration at `path`. `globals_text` is what `-g` gave; `previous` the plan in force,
    whose shared memory goes on to be used. `around` puts a piece of a configuration into what it is a piece of."""
    known()
    use_bound(within)
    problems = Problems()
    try:
        make_ready()  # in the master: workers may read next to nothing
    except NoLibrary as error:
        problems.error(str(error))
    sources: list[Source] = []
    folder = str(PurePosixPath(path).parent)
    kept = None if previous is None else previous.shared
    compilation = Compilation(problems, prefix=prefix, folder=folder, previous=kept)
    main = Scope(compilation, MAIN)
    if globals_text:
        main.walk(parse_parameter(globals_text, problems, known=REGISTRY.__contains__))
    tree = parse_file(path, problems, base=folder, known=REGISTRY.__contains__, loaded=sources)
    main.walk(tree if around is None else around(tree))
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
