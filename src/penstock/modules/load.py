"""From a file to a plan: read it, walk it, check it, complete it. Raises `ConfigFailed` with every mistake found."""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePosixPath

from penstock.config.errors import ConfigFailed, Problems
from penstock.config.parser import parse_file, parse_parameter
from penstock.config.registry import MAIN, REGISTRY
from penstock.config.scope import Compilation, Scope
from penstock.config.settings import KINDS, Settings
from penstock.config.source import Source
from penstock.modules import ORDER
from penstock.modules.locations import complete
from penstock.modules.ssl import secure
from penstock.modules.virtual import addresses
from penstock.plan.location import Server
from penstock.plan.plan import Plan


def known() -> None:
    """Import every module, so that the registry is whole, and put what has handlers into the order of `ORDER`.

    A class in a file that is not named there has the place of the module that first needs it.
    """
    places = {name: place for place, name in enumerate(ORDER)}
    for place, name in enumerate(ORDER):
        import_module(f"penstock.modules.{name}")
        for kind in KINDS:
            places.setdefault(_file(kind), place)
    KINDS.sort(key=lambda kind: places[_file(kind)])


def _file(kind: type[Settings]) -> str:
    return kind.__module__.rpartition(".")[2]


def load(path: str, *, prefix: str, globals_text: str = "", previous: Plan | None = None) -> Plan:
    """Compile the configuration at `path`. `globals_text` is what `-g` gave; `previous` the plan in force,
    whose shared memory goes on to be used."""
    known()
    problems = Problems()
    sources: list[Source] = []
    folder = str(PurePosixPath(path).parent)
    kept = {} if previous is None else previous.shared
    compilation = Compilation(problems, prefix=prefix, folder=folder, previous=kept)
    main = Scope(compilation, MAIN)
    if globals_text:
        main.walk(parse_parameter(globals_text, problems, known=REGISTRY.__contains__))
    main.walk(parse_file(path, problems, base=folder, known=REGISTRY.__contains__, loaded=sources))
    if "events" not in main.data and not problems.failed:
        problems.error('no "events" section in configuration', hint="add: events { }")
    servers: list[Server] = compilation.shared.setdefault("servers", [])
    listens = []
    if "http" in main.data:
        listens = addresses(main.data["http"], servers)
    for server in servers:
        complete(server.root, server)
        server.locations = server.root.nested
    secure(compilation, listens)
    compilation.finish()
    if problems.failed:
        raise ConfigFailed(problems)
    return Plan(
        main=main,
        events=main.data.get("events"),
        http=main.data.get("http"),
        servers=servers,
        listens=listens,
        problems=problems,
        sources=sources,
        prefix=prefix,
        path=path,
        shared=compilation.shared,
    )
