"""What a project's folder says of itself: which packages it asks for, which commands start it, which ports it names.

Files are only read, never run, and none further than its first 200,000 characters.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

_LONGEST = 200_000
_MOST_SOURCES = 60
_MOST_PROJECTS = 12
_QUOTED = r"[\"']?([1-9][0-9]{1,4})\b"
COMPOSE = "a compose file"
_COMMANDS = (
    *("Procfile*", "Dockerfile*", "*/Dockerfile*", "docker-compose*.y*ml", "compose*.y*ml", "Makefile", "*.sh", ".env"),
    *("justfile", "Justfile", "Taskfile.y*ml", "ecosystem.config.*", "fly.toml", "*.service", "*/*.service"),
    *("supervisord*.conf", "*/supervisord*.conf", "bin/*.sh", "scripts/*.sh", "docker/*.sh"),
)
_FETCHED = re.compile(
    r"(?m)^\s+image:\s*[\"']?(?:[\w.:-]+/)*(?:nginx|traefik|caddy|haproxy|httpd|envoy|postgres|postgis|mysql|mariadb|"
    r"mongo|redis|valkey|memcached|rabbitmq|nats|kafka|zookeeper|elasticsearch|opensearch|minio|mailhog|mailpit|adminer|"
    r"pgadmin4?|phpmyadmin|prometheus|grafana|jaeger|keycloak|eclipse-mosquitto)\b"
)
_DEPTHS = ("", "*/", "*/*/", "*/*/*/")
_TESTS = re.compile(r"\.(?:test|spec|d)\.\w+$|(?:^|/)(?:test_|conftest)|_test\.py$|\.config\.\w+$")
_SKIPPED = frozenset(("node_modules", "venv", "env", "site-packages", "tests", "test", "dist", "build", "__pycache__"))

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.ASCII)
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_][^\n#]*)", re.ASCII | re.MULTILINE)


class FolderFile(NamedTuple):
    """A file: its name below the folder, and its beginning."""

    name: str
    content: str


class Folder:
    """packages: (name, where it stands), lower case with dashes; node and others alike. commands: files that say how it
    is started; processes: the lines of its Procfile. sources: programs at the top and below. environment: variables
    with ports, and environment_from where they are set; values: programs and settings that others may ask for a port;
    published: ports of containers, and what they are outside, by the word of publisher.
    projects: folders below with a list of packages of their own."""

    def __init__(self, path: Path, *, top: bool = True) -> None:
        self.path = path
        self.name = path.name
        self.packages: dict[str, str] = {}
        self.node: dict[str, str] = {}
        self.others: dict[str, str] = {}
        self.scripts: list[tuple[str, str]] = []
        self.commands: list[FolderFile] = []
        self.sources: list[FolderFile] = []
        self.projects: list[Folder] = self._read_projects() if top else []
        self._read_python()
        self._read_node()
        self._read_others()
        self._read_commands()
        self._read_sources()
        self.processes = self._read_processes()
        self.environment: dict[str, int] = {}
        self.environment_from: dict[str, str] = {}
        self._read_environment()
        self.published: dict[int, int] = {}
        self.publisher = COMPOSE
        for text in self.commands:
            if "compose" in text.name:
                self.published.update(published(text.content, self.environment))
            elif text.name.endswith((".sh", "Makefile", "ustfile")):
                self._read_runs(text)

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> FolderFile | None:
        """Read the beginning of a file, None where there is none."""
        try:
            with (self.path / name).open("r", encoding="utf-8", errors="replace") as file:
                return FolderFile(name, file.read(_LONGEST))
        except OSError:
            return None

    def _below(self, *patterns: str) -> Iterator[FolderFile]:
        for pattern in patterns:
            paths = (path.relative_to(self.path) for path in sorted(self.path.glob(pattern)) if path.is_file())
            for path in islice((path for path in paths if _SKIPPED.isdisjoint(path.parts)), _MOST_SOURCES):
                found = self.read(str(path))
                if found is not None:
                    yield found

    def _read_python(self) -> None:
        for text in self._below("requirements*.txt", "requirements/*.txt"):
            self._add(text.content.splitlines(), text.name)
        for name in ("pyproject.toml", "Pipfile"):
            found = self.read(name)
            if found is None:
                continue
            try:
                self._add(_wanted(tomllib.loads(found.content)), name)
            except tomllib.TOMLDecodeError:
                continue
            self._add_tasks(name, tasks(tomllib.loads(found.content)))

    def _add_tasks(self, name: str, lines: Iterable[str]) -> None:
        if text := "\n".join(lines):
            self.commands.append(FolderFile(name, text))

    def _add(self, lines: Iterable[str], where: str) -> None:
        for line in lines:
            found = _REQUIREMENT.match(line)
            if found is not None:
                self.packages.setdefault(re.sub(r"[._]+", "-", found[1].lower()), where)

    def _read_node(self) -> None:
        text = self.read("package.json")
        if text is None:
            return
        try:
            found = json.loads(text.content)
        except ValueError:
            return
        if not isinstance(found, dict):
            return
        for part in ("dependencies", "devDependencies"):
            for name in _table(found, part):
                self.node.setdefault(str(name), "package.json")
        self.scripts = [(str(name), str(line)) for name, line in _table(found, "scripts").items()]
        self.commands.append(FolderFile("package.json", "\n".join(line for _, line in self.scripts)))

    def _read_others(self) -> None:
        for name, pattern in (("Gemfile", r"^\s*gem\s+[\"']([\w-]+)[\"']"), ("mix.exs", r"\{\s*:(\w+)\s*,")):
            found = self.read(name)
            for package in re.findall(pattern, found.content, re.MULTILINE) if found is not None else ():
                self.others.setdefault(package, name)
        for name in ("deno.json", "deno.jsonc", "deno.lock", "bunfig.toml", "bun.lockb", "bun.lock"):
            if self.has(name):
                self.others.setdefault(name, name)
        for name in ("deno.json", "deno.jsonc"):
            text = self.read(name)
            if text is not None:
                self._add_tasks(name, re.findall(r"\"[\w:-]+\"\s*:\s*\"(deno [^\"]+)\"", text.content))

    def _read_projects(self) -> list[Folder]:
        try:
            below = sorted(each for each in self.path.iterdir() if each.is_dir())
        except OSError:
            return []
        below = [each for each in below if each.name not in _SKIPPED and not each.name.startswith(".")]
        nested = [each for each in below if each.name in ("apps", "packages", "services")]
        below += [one for each in nested for one in sorted(each.iterdir()) if one.is_dir() and one.name not in _SKIPPED]
        lists = ("package.json", "pyproject.toml", "requirements.txt", "Pipfile", "Gemfile", "mix.exs", "Procfile")
        found = [each for each in below[:_MOST_SOURCES] if any((each / name).is_file() for name in lists)]
        return [Folder(each, top=False) for each in found[:_MOST_PROJECTS]]

    def _read_processes(self) -> list[tuple[str, str]]:
        text = self.read("Procfile")
        lines = [] if text is None else re.findall(r"(?m)^([\w-]+):[ \t]*(\S.*)$", text.content)
        return [(name, line) for name, line in lines if name not in ("release", "worker", "beat", "clock", "cron")]

    def _read_environment(self) -> None:
        """The last word has what starts the program; then `.env`, then what an image sets."""
        for text in self.commands:
            if text.name.startswith("Dockerfile"):
                for line in re.findall(r"(?mi)^(?:ENV|ARG)\s+(.*)$", text.content):
                    self._set(text.name, re.findall(rf"(?<![\w$])(\w*PORT)[ =]+{_QUOTED}", line))
            elif "compose" in text.name or text.name.startswith("ecosystem."):
                lines = rf"(?m)(?:^|[\s{{,])-?\s*[\"']?(\w*PORT)\s*[:=]\s*{_QUOTED}"
                self._set(text.name, re.findall(lines, text.content))
            elif text.name.endswith((".sh", "Makefile", "ustfile")):
                set_there = rf"(?m)^\s*(?:export\s+)?(\w*PORT)\s*(?:[?:]?=|:=)\s*(?:\$\{{\w+:?-)?{_QUOTED}"
                self._set(text.name, re.findall(set_there, text.content))
        for name in (".flaskenv", ".env", ".env.local"):
            found = self.read(name)
            if found is not None:
                self._set(name, re.findall(rf"(?m)^\s*(?:export\s+)?(\w*PORT)\s*=\s*{_QUOTED}", found.content))
        for script in ("dev", "serve", "start"):
            for name, line in self.scripts:
                if name == script:
                    self._set("package.json", re.findall(rf"(?:^|[\s;&])(\w*PORT)={_QUOTED}", line))

    def _set(self, where: str, found: Iterable[tuple[str, str]]) -> None:
        for name, number in found:
            if 80 <= int(number) <= 65535:
                self.environment[name], self.environment_from[name] = int(number), where

    def _read_runs(self, text: FolderFile) -> None:
        """What `docker run -p 9000:8000` publishes."""
        for run in re.findall(r"docker run\b[^\n]*", text.content.replace("\\\n", " ")):
            for outside, inside in re.findall(r"\s(?:-p|--publish)[ =](?:[\d.]+:)?(\d{2,5}):(\d{2,5})\b", run):
                self.published.setdefault(int(inside), int(outside))
                self.publisher = f"docker run in {text.name}"

    def source(self, name: str) -> FolderFile | None:
        """Read the program of a name, as commands write it: with or without `./`."""
        plain = name.removeprefix("./").rstrip("/")
        whole = (plain, *(f"{plain}{end}" for end in (".js", ".mjs", ".ts", "/index.js", "/index.ts")))
        return next((each for each in self.sources if each.name in whole), None)

    def texts(self, pattern: str) -> list[FolderFile]:
        """Return the files of a pattern."""
        return list(self._below(pattern))

    def _read_commands(self) -> None:
        self.commands += self._below(*_COMMANDS)

    def _read_sources(self) -> None:
        ends = ("py", "js", "mjs", "cjs", "ts")
        found = [*self._below(*(f"{depth}*.{end}" for depth in _DEPTHS for end in ends), "bin/www")]
        own = [each for each in found if not any(each.name.startswith(f"{one.name}/") for one in self.projects)]
        self.sources = [each for each in own if not _TESTS.search(each.name)][:_MOST_SOURCES]
        self.values = [*self.sources, *self._below("config*.json", "config/*.json", "*/config.json")]
        for text in self.sources:
            if text.name.endswith(".py"):
                for names in _IMPORT.findall(text.content):
                    for name in re.findall(r"(?:^|,)\s*(\w+)", names.partition(" import ")[0]):
                        self.packages.setdefault(re.sub(r"_", "-", name.lower()), text.name)


# Any: TOML that anybody may have written.
def _wanted(found: dict[str, Any]) -> Iterator[str]:
    """The requirements in a pyproject.toml or a Pipfile, development's left out."""
    project = _table(found, "project")
    yield from (str(each) for each in project.get("dependencies") or ())
    for name, group in _table(project, "optional-dependencies").items():
        if "dev" not in name and "test" not in name:
            yield from (str(each) for each in group)
    yield from _table(_table(_table(found, "tool"), "poetry"), "dependencies")
    yield from _table(found, "packages")


def _table(found: Any, name: str) -> dict[str, Any]:
    inside = found.get(name) if isinstance(found, dict) else None
    return inside if isinstance(inside, dict) else {}


def tasks(found: dict[str, Any]) -> Iterator[str]:
    """Return the commands that a pyproject.toml or a Pipfile names: those of poe, pdm, taskipy, hatch, pipenv and the
    like."""
    places: list[Any] = [found.get("scripts"), *(_table(found, "tool").values())]
    for place in places:
        for name in ("tasks", "scripts", "envs", "default"):
            if isinstance(place, dict) and isinstance(place.get(name), dict):
                places.append(place[name])
        lines = place.values() if isinstance(place, dict) else ()
        for line in lines:
            command = line.get("cmd") or line.get("shell") if isinstance(line, dict) else line
            if isinstance(command, str) and " " in command:
                yield command


def published(compose: str, environment: Mapping[str, int]) -> dict[int, int]:
    """Find which port of a container a compose file publishes as which: `"9000:8000"`, by a variable, and in long form.
    Servers that are only fetched, as databases and other proxies, are not this project."""
    services = re.split(r"(?m)^(?=  [\w.-]+:[ \t]*(?:#.*)?$)", compose)
    compose = "".join(each for each in services if re.search(r"(?m)^\s+build:", each) or not _FETCHED.search(each))
    for name, default in re.findall(r"\$\{?(\w*PORT\w*)(?::?-(\d+))?\}?", compose):
        value = str(environment.get(name, default or ""))
        compose = re.sub(rf"\$(?:\{{{name}(?::?-\d+)?\}}|{name}\b)", value, compose)
    found: dict[int, int] = {}
    short = r"(?m)^\s*-\s*[\"']?(?:[\d.]+:|\$\{[^}]*\}:)?(\d{2,5}):(\d{2,5})(?:/tcp)?[\"']?\s*(?:#.*)?$"
    for outside, inside in re.findall(short, compose):
        found.setdefault(int(inside), int(outside))
    for inside, outside in re.findall(r"target:\s*[\"']?(\d{2,5})[\"']?\s+published:\s*[\"']?(\d{2,5})", compose):
        found.setdefault(int(inside), int(outside))
    for line in re.findall(r"ports:\s*\[([^\]]*)\]", compose):
        for outside, inside in re.findall(r"(\d{2,5}):(\d{2,5})", line):
            found.setdefault(int(inside), int(outside))
    return {inside: outside for inside, outside in found.items() if 80 <= outside <= 65535}
