"""Programs of which at most the language is known: where one listens is a guess."""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.cli.init.code import is_port
from penstock.cli.init.folder import Folder
from penstock.cli.init.framework import Framework
from penstock.cli.init.ports import Program, said


class Language(NamedTuple):
    """`lists` are the files that give it away, `sources` those that may name a port, after `listens`."""

    title: str
    lists: tuple[str, ...]
    sources: tuple[str, ...] = ()
    listens: str = ""


_ADDRESS = r"\(\s*(?:\"\w+\"\s*,\s*)?[\"'`][^\"'`\n]*:([1-9][0-9]{1,4})[\"'`]"
LANGUAGES = (
    Language(
        "a program in Go",
        ("go.mod",),
        ("*.go", "cmd/*/*.go"),
        rf"(?:Listen\w*|Run|Start){_ADDRESS}|(?i:port)\s*:?=\s*\":?(\d+)\"",
    ),
    Language("a program in Rust", ("Cargo.toml",), ("src/*.rs",), rf"(?:bind|parse|run|new){_ADDRESS}"),
    Language(
        "a program in Java or Kotlin",
        ("pom.xml", "build.gradle", "build.gradle.kts"),
        ("src/main/resources/application*", "src/main/java/**/*.java", "src/main/kotlin/**/*.kt"),
        r"(?m)^\s*(?:server\.|quarkus\.http\.)?port\s*[=:]\s*(?:\$\{\w+:)?([1-9][0-9]{1,4})|port\s*=\s*([1-9][0-9]{1,4})",
    ),
    Language(
        "a program in C# or F#",
        ("*.csproj", "*.fsproj", "*.sln"),
        ("appsettings*.json", "Properties/launchSettings.json", "Program.cs"),
        r"http://[\w*+.]+:([1-9][0-9]{1,4})",
    ),
    Language("a program in PHP", ("composer.json",), ("*.php",), r"(?:Server|App|run)\([^)\n]*?([1-9][0-9]{3,4})"),
    Language("a program in Elixir", ("mix.exs",), ("lib/**/*.ex", "config/*.exs"), r"\bport:\s*([1-9][0-9]{1,4})"),
    Language("a program in Ruby", ("Gemfile",), ("*.ru", "*.rb"), r"(?:\bport|Port)\b\D{0,12}([1-9][0-9]{1,4})"),
    Language("a program in C or C++", ("CMakeLists.txt", "meson.build")),
    Language("a program in Node", ("package.json",)),
    Language("a program in Python", ("pyproject.toml", "requirements.txt", "Pipfile", "setup.py")),
)
_STARTERS = ("Procfile", "Dockerfile", "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def language(folder: Folder) -> tuple[str, str]:
    """Name the language of a folder's program, and the file that says so; "" for both where none does."""
    for each in LANGUAGES:
        for pattern in each.lists:
            for path in sorted(folder.path.glob(pattern)):
                return each.title, path.name
    return "", ""


def guess(folder: Folder) -> tuple[Framework, str, Program] | None:
    """Guess at a program that is not known: why there seems to be one, and its port; None where nothing names a port.
    """
    title, because = language(folder)
    if not title:
        title = "a program of a kind that is not known here"
        because = next((name for name in _STARTERS if folder.has(name)), "")
        if not because:
            return None
    framework = Framework("app", title, 0)
    found = next(said(framework, folder), None) or _in_sources(folder, title)
    if found is None:
        return None
    return framework, because, found._replace(said=f"a guess: {found.said}", sure=False)


def _in_sources(folder: Folder, title: str) -> Program | None:
    for each in LANGUAGES:
        if each.title != title or not each.listens:
            continue
        for pattern in each.sources:
            for text in folder.texts(pattern):
                match = re.search(each.listens, text.content)
                number = next((part for part in match.groups() if part), "0") if match is not None else "0"
                if is_port(int(number)):
                    return Program("", int(number), f"it stands in {text.name}", False)
    return None
