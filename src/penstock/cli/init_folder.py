"""What a project's folder says of itself: which packages it asks for, which commands start it, which ports it names.

Files are only read, never run, and none further than its first 200,000 characters.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

_LONGEST = 200_000
_MOST_SOURCES = 60
_SKIPPED = frozenset(("node_modules", "venv", "env", "site-packages", "tests", "test", "dist", "build", "__pycache__"))

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.ASCII)
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.ASCII | re.MULTILINE)


class Text(NamedTuple):
    """A file: its name below the folder, and its beginning."""

    name: str
    content: str


class Folder:
    """packages: (name, where it stands), lower case with dashes. commands: files that say how it is started. sources:
    programs at the top and one level below."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packages: dict[str, str] = {}
        self.node: dict[str, str] = {}
        self.commands: list[Text] = []
        self.sources: list[Text] = []
        self._read_python()
        self._read_node()
        self._read_commands()
        self._read_sources()

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> Text | None:
        """The beginning of a file, None where there is none."""
        try:
            with (self.path / name).open("r", encoding="utf-8", errors="replace") as file:
                return Text(name, file.read(_LONGEST))
        except OSError:
            return None

    def _below(self, *patterns: str) -> Iterator[Text]:
        for pattern in patterns:
            paths = (path.relative_to(self.path) for path in sorted(self.path.glob(pattern)) if path.is_file())
            for path in islice((path for path in paths if path.parts[0] not in _SKIPPED), _MOST_SOURCES):
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
        scripts = "\n".join(str(line) for line in _table(found, "scripts").values())
        self.commands.append(Text("package.json", scripts))

    def _read_commands(self) -> None:
        self.commands += self._below(
            "Procfile*", "Dockerfile*", "docker-compose*.y*ml", "compose*.y*ml", "Makefile", "*.sh", ".env", "*.service"
        )
        self.commands += self._below(".streamlit/config.toml", "jupyter_*config.py")

    def _read_sources(self) -> None:
        found = [*self._below("*.py", "*.js", "*.mjs", "*.ts", "*/*.py", "*/*.js", "*/*.ts")]
        self.sources = found[:_MOST_SOURCES]
        for text in self.sources:
            if text.name.endswith(".py"):
                for name in _IMPORT.findall(text.content):
                    self.packages.setdefault(re.sub(r"_", "-", name.lower()), text.name)


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
