"""Where a project's programs listen, as far as its folder says so, and what says it.

In this order: the line that starts the program (its options, then `PORT=` before it), the program's own text, settings
of the framework, the environment of the folder (`.env`, `ENV`), what a container publishes. What is left is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from penstock.cli.init.code import Reader, arguments, is_port, without_comments
from penstock.cli.init.folder import Folder, FolderFile
from penstock.cli.init.framework import Framework

_OPTION = re.compile(
    r"(?:--(?:server[._])?port|--http-port|--bind|--listen|-p|-b|-l)(?:[ =]+[\"']?|(?=[0-9]))"
    r"(?:[\w.\[\]*-]*:(?=[0-9$:\]]))*(?:([1-9][0-9]{1,4})(?![0-9.])|\$[{(]?(\w+)(?::?-([0-9]+))?[})]?)",
    re.ASCII,
)
_ENDPOINT = re.compile(r"\btcp6?:(?:port=)?([1-9][0-9]{1,4})\b", re.ASCII)
_RUNSERVER = re.compile(r"runserver(?:_plus)?\s+(?:--\S+\s+)*(?:[\w.\[\]:]*:)?([1-9][0-9]{1,4})(?![0-9.])", re.ASCII)
_WORDS = re.compile(r"(?m)^(\s*)(?:command|entrypoint|args):[ \t]*((?:\n\s+- [^\n]*)+)")
_PREFIX = re.compile(r"(?:^|[\s;&])(\w*PORT)=[\"']?([1-9][0-9]{1,4})\b", re.ASCII)
_RUNS = re.compile(
    r"(?:python[\d.]*|node|nodemon|tsx|ts-node|bun(?:\s+run)?|deno\s+(?:run|serve))\s+(?:-\S+\s+)*"
    r"([\w./-]+\.(?:py|m?js|cjs|ts)|(?<=node )[\w./-]+)",
    re.ASCII,
)
_MODULE = re.compile(r"(?:uvicorn|gunicorn|hypercorn|daphne|granian)\b.*?\s([A-Za-z_][\w.]*):\w+", re.ASCII)
_OTHERS = frozenset((3306, 5432, 5672, 6379, 9200, 11211, 15672, 27017, 1025, 8025))
"""Ports of other programs that composed applications have beside their own."""
_ASIDE = re.compile(r"(?:pre|post)?(?:test|lint|build|format|typecheck)")
_STARTED = ("start", "serve", "start:prod", "prod", "dev", "start:dev", "develop")


class Program(NamedTuple):
    """One application: the process of a Procfile it is ("" for the folder's only one), and its port."""

    process: str
    port: int
    said: str
    sure: bool


def programs(framework: Framework, folder: Folder, taken: set[int]) -> list[Program]:
    """Find every program of a framework. `taken` are ports that others have, which are no guess for this one."""
    lines = [(name, line) for name, line in folder.processes if starts(framework, line, folder)]
    found = []
    for name, line in lines:
        port, why = _of_line(framework, folder, FolderFile("Procfile", line)) or (0, "")
        found.append(Program(name if len(lines) > 1 else "", port, why, True))
    ports = {each.port for each in found if each.port}
    if len(ports) == len(found) and found:
        return [_published(folder, each) for each in found]
    only = next((each for each in found if each.port), None)
    if only is None:
        only = next((each for each in said(framework, folder) if each.sure or each.port not in taken), None)
    if only is None:
        port = framework.port
        return [Program("", port, "a guess: its usual one, for nothing in this folder says another", False)]
    return [_published(folder, only._replace(process=""))]


def said(framework: Framework, folder: Folder) -> Iterator[Program]:
    """Give what says where a framework's only program listens, the surest first."""
    for text in folder.commands:
        for line in _lines(folder, text):
            option = _option(framework, folder, line) if starts(framework, line, folder) else None
            if option is not None:
                yield Program("", option, f"said in {text.name}", True)
    for text in _main_first(framework, folder):
        found = _in_code(framework, folder, text)
        if found is not None:
            yield Program("", *found, True)
    for name, pattern in framework.settings:
        for text in folder.texts(name):
            match = re.search(pattern, text.content, re.ASCII | re.MULTILINE)
            port = None if match is None else Reader(text.content, folder.environment).port(match[1])
            if port is not None:
                yield Program("", port, f"said in {text.name}", True)
    for name, key in framework.blocks:
        for text in folder.texts(name):
            elixir = text.name.endswith(".exs")
            port = Reader(without_comments(text.content, elixir), folder.environment).settled(key)
            if port is not None:
                yield Program("", port, f"said in {text.name}", True)
    for name in (*framework.environment, "PORT"):
        if name in folder.environment:
            yield Program("", folder.environment[name], f"{name} in {folder.environment_from[name]}", name != "PORT")
    for inside, outside in folder.published.items():
        if inside not in _OTHERS:
            yield Program("", outside, f"published by {folder.publisher}", False)
    for text in folder.commands:
        for word, number in re.findall(r"(?mi)^\s*(EXPOSE\s|internal_port\s*=)\s*([1-9][0-9]{1,4})\b", text.content):
            if is_port(int(number)):
                yield Program("", int(number), f"{word.rstrip(' =')} in {text.name}", False)


def _published(folder: Folder, program: Program) -> Program:
    """What is reached from outside of the container that a compose file makes."""
    outside = folder.published.get(program.port)
    if outside is None or outside == program.port:
        return program
    return program._replace(port=outside, said=f"{program.said}, and published as {outside} by {folder.publisher}")


def starts(framework: Framework, line: str, folder: Folder) -> bool:
    """Return whether a command starts a program of this framework."""
    if "gunicorn" in framework.commands and "GUNICORN_CMD_ARGS" in line:
        return True
    if any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", line) for word in framework.commands):
        return True
    ran = _RUNS.search(line)
    if ran is None:
        return bool(framework.node) and re.search(r"\b(?:npm|yarn|pnpm)\s+(?:run\s+)?start\b", line) is not None
    text = folder.source(ran[1])
    if text is None:
        return bool(framework.node) and not ran[1].endswith(".py") and not folder.sources
    return _of_framework(framework, text)


def _of_framework(framework: Framework, text: FolderFile) -> bool:
    """Whether a program has to do with a framework at all."""
    if text.name.endswith(".py"):
        names = "|".join(re.escape(each.replace("-", "_")) for each in framework.packages) or "(?!)"
        return re.search(rf"(?m)^\s*(?:from|import)\s+(?:{names})\b", text.content, re.IGNORECASE) is not None
    return bool(framework.node) or framework.name in ("bun", "deno")


def _lines(folder: Folder, text: FolderFile) -> Iterator[str]:
    """The commands of a file, a line each, lists as the words they stand for; of package.json, `start` before `dev`."""
    content = text.content.replace("\\\n", " ")
    if "compose" in text.name:
        content = _WORDS.sub(lambda found: found[1] + re.sub(r"\n\s+- ", " ", found[2]), content)
    if text.name == "package.json":
        scripts = dict(folder.scripts)
        order = [name for name in _STARTED if name in scripts]
        rest = [name for name in scripts if name not in order and not _ASIDE.match(name)]
        content = "\n".join(scripts[name] for name in [*order, *rest])
    for line in content.split("\n"):
        if not line.lstrip().startswith(("#", "//")):
            yield re.sub(r"[\"',\[\]]+", " ", line) if re.search(r"\[\s*[\"']", line) else line


def _of_line(framework: Framework, folder: Folder, text: FolderFile) -> tuple[int, str] | None:
    """The port that a line of a Procfile gives its program, or that the program has by itself."""
    found = _option(framework, folder, text.content)
    if found is not None:
        return found, f"said in {text.name}"
    ran, module = _RUNS.search(text.content), _MODULE.search(text.content)
    name = ran[1] if ran is not None else module[1].replace(".", "/") + ".py" if module is not None else ""
    source = folder.source(name) if name else None
    return None if source is None else _in_code(framework, folder, source)


def _option(framework: Framework, folder: Folder, line: str) -> int | None:
    """The port of a command line."""
    prefix = {name: int(number) for name, number in _PREFIX.findall(line)}
    words = "|".join(re.escape(word) for word in framework.commands) or "(?!)"
    started = re.search(rf"(?<![\w-])(?:{words})(?![\w-])", line)
    rest = line[started.start() :] if started is not None else line
    for pattern in (_RUNSERVER, _OPTION, _ENDPOINT):
        for match in pattern.finditer(rest):
            number = match[1]
            if number is None and match[2] in {**folder.environment, **prefix}:
                number = str({**folder.environment, **prefix}[match[2]])
            number = number or match[3]
            if number and is_port(int(number)):
                return int(number)
    for name in (*framework.environment, "PORT"):
        if name in prefix and is_port(prefix[name]):
            return prefix[name]
    return None


def _main_first(framework: Framework, folder: Folder) -> list[FolderFile]:
    """The programs of a folder, those that a command names before the others."""
    named: list[str] = []
    for text in folder.commands:
        for line in _lines(folder, text):
            named += [match[1] for match in _RUNS.finditer(line)]
            named += [match[1].replace(".", "/") + ".py" for match in _MODULE.finditer(line)]
    first = [each for name in named if (each := folder.source(name)) is not None]
    texts = list(dict.fromkeys([*first, *folder.sources]))
    own = [each for each in texts if _of_framework(framework, each)]
    others = [each for each in texts if each not in own and each.name.endswith(".py") and framework.packages]
    return own + others


def _in_code(framework: Framework, folder: Folder, text: FolderFile) -> tuple[int, str] | None:
    """The port that a program gives itself."""
    python = text.name.endswith(".py")
    content = without_comments(text.content, python)
    beside = [without_comments(each.content, each.name.endswith(".py")) for each in folder.values if each is not text]
    reader = Reader(content, folder.environment, beside)
    for call in _calls(framework, content, python):
        for inside in arguments(content, call):
            found = reader.named(inside)
            if found is None:
                found = reader.placed(inside)
            if found is not None:
                return found, f"said in {text.name}"
    exported = None if python else reader.exported()
    return None if exported is None else (exported, f"said in {text.name}")


def _calls(framework: Framework, content: str, python: bool) -> Iterator[str]:
    """The calls that listen, as regular expressions; objects made by one of `makers` have a `run` of their own."""
    if not python:
        yield r"new\s+(?:[\w$]+\.)?(?:WebSocketServer|WSServer|Server)"
        for name in re.findall(r"\b(?:WebSocketServer|Server)(?:\s+as|\s*:)\s+([\w$]+)", content, re.ASCII):
            yield rf"new\s+{re.escape(name)}"
        yield r"(?:Bun|Deno)\.serve|serve"
        yield r"(?:[\w$]+\s*\.\s*)*listen|[^\n;]{0,200}?\)\s*\.listen"
        yield r"require\([\"']socket\.io[\"']\)"
        return
    for maker in framework.makers:
        made = rf"(?m)^\s*([A-Za-z_]\w*)\s*(?::[^=\n]+)?=\s*(?:[\w.]+\.)?{maker}\s*\("
        for name in re.findall(made, content, re.ASCII):
            yield rf"{re.escape(name)}\.(?:run|listen|launch|queue\(\)\.launch)"
    yield from framework.calls
