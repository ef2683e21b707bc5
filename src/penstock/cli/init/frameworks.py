"""What is in a project's folder: which of the known frameworks, how many programs of each, where they listen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from penstock.cli.init.folder import Folder
from penstock.cli.init.framework import Framework
from penstock.cli.init.known import FRAMEWORKS
from penstock.cli.init.languages import guess
from penstock.cli.init.ports import programs, starts

_FIRST = {"Flask-SocketIO": "python-socketio", "Django Channels": "python-socketio"}
"""Who has the one has the other with it."""
_DEVELOPMENT = ("vite", "angular", "astro")
"""What serves a developer beside the program itself."""
_PACKAGERS = ("bun.lockb", "bun.lock", "bunfig.toml")
"""What tells who installs packages, and not yet who runs the program."""
_INSTEAD = {
    "Django Channels": ("Django",),
    "python-socketio": ("FastAPI", "aiohttp", "Tornado"),
    "Socket.IO (Node)": ("NestJS",),
    "NestJS": ("a Node server with ws",),
    "Gradio": ("FastAPI",),
    "Streamlit": ("Tornado",),
    "Jupyter": ("Tornado",),
}
"""One program serves both: the first is spoken of."""


class FoundFramework(NamedTuple):
    """A program of a folder: `because` is what gave its framework away, `port` where it listens and `port_from` who
    says so; `sure` is False where that is a guess. `name` is its upstream's."""

    framework: Framework
    because: str
    port: int
    port_from: str
    sure: bool
    name: str


def find(folder: Folder) -> list[FoundFramework]:
    """Find what is in a folder and in the projects below it; strong evidence first, and weak evidence only where there
    is no other. No two have one port but by accident, which is said."""
    found: list[FoundFramework] = []
    evident = list(_evident(folder))
    first = [one for place, (framework, _) in evident for one in programs(framework, place, set())]
    sure = {one.port for one in first if one.sure}
    for place, each in evident:
        framework, because = each
        taken = sure | {one.port for one in found}
        for program in programs(framework, place, taken):
            parts = (framework.name, place.name if place is not folder else "", program.process)
            name = _free("_".join(part for part in parts if part), {one.name for one in found})
            said = program.said
            if program.port in {one.port for one in found}:
                said += "; another program here has it, too"
            found.append(FoundFramework(framework, because, program.port, said, program.sure, name))
    guessed = guess(folder) if not found else None
    if guessed is not None:
        framework, because, program = guessed
        found.append(FoundFramework(framework, because, program.port, program.said, False, framework.name))
    return found


def _evident(folder: Folder) -> Iterator[tuple[Folder, tuple[Framework, str]]]:
    places = [(folder, _chosen(folder)), *((below, _chosen(below)) for below in folder.projects)]
    found = [(place, one) for place, chosen in places for one in chosen]
    if any(place is not folder and not one[0].weak for place, one in found):
        found = [(place, one) for place, one in found if not one[0].weak or place is not folder]
    served = [(place, one) for place, one in found if one[0].name not in _DEVELOPMENT]
    yield from served or found


def _chosen(folder: Folder) -> list[tuple[Framework, str]]:
    found = [(each, because) for each in FRAMEWORKS if (because := _evidence(each, folder))]
    names = {each.title for each, _ in found}
    strong = [(each, because) for each, because in found if not each.weak]
    without = {_FIRST[name] for name in names if name in _FIRST}
    for name in names - without:
        without |= set(_INSTEAD.get(name, ()))
    strong = [one for one in strong if one[0].title not in without]
    weak = [one for one in found if one[0].weak and one[0].title not in without]
    if not strong:
        return weak[:1]
    return strong + [one for one in weak if _has_own_process(one[0], strong, folder)][:1]


def _has_own_process(framework: Framework, others: list[tuple[Framework, str]], folder: Folder) -> bool:
    """Whether a line of the Procfile starts it, and none of the others."""
    lines = [line for _, line in folder.processes if starts(framework, line, folder)]
    return any(not any(starts(other, line, folder) for other, _ in others) for line in lines)


def _evidence(framework: Framework, folder: Folder) -> str:
    """Why a framework is believed to be there; "" if it is not."""
    for name in framework.packages:
        if name in folder.packages and (not framework.signs or _signed(framework, folder)):
            return f"{name} in {folder.packages[name]}"
    for name in framework.node:
        if name in folder.node and (not framework.signs or _signed(framework, folder) or not folder.sources):
            return f"{name} in {folder.node[name]}"
    for name in framework.others:
        if name in folder.others and (name not in _PACKAGERS or not folder.node or _signed(framework, folder)):
            return f"{name} in {folder.others[name]}" if folder.others[name] != name else name
    for word in framework.words:
        for text in folder.commands:
            if re.search(rf"\b{re.escape(word)}\b", text.content):
                return f'"{word}" in {text.name}'
    if framework.name == "django" and folder.has("manage.py"):
        return "manage.py"
    if framework.name in ("bun", "deno") and _signed(framework, folder, f"{framework.title}.serve"):
        return f"{framework.title}.serve in the sources"
    return ""


def _signed(framework: Framework, folder: Folder, pattern: str = "") -> bool:
    """Whether a program does what servers of this framework do."""
    return any(re.search(pattern or framework.signs, each.content) for each in folder.sources)


def _free(name: str, taken: set[str]) -> str:
    """A name for an upstream that no other has."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "app"
    number = 2
    found = plain
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    return found
