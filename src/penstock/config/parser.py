"""Configuration files -> one tree: puts what `include` names in its place, reports every mistake."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence

from penstock.config.blocks import read_blocks
from penstock.config.builder import DEEPEST
from penstock.config.errors import Problems, suggest
from penstock.config.inputs import gathered
from penstock.config.os_errors import os_failure
from penstock.config.source import COMMAND_LINE, Source, Span, read_source
from penstock.config.tree import Directive

DEEPEST_INCLUDE = 64
MOST_DIRECTIVES = 1_000_000

Known = Callable[[str], bool]


def parse_file(
    path: str,
    problems: Problems,
    *,
    base: str,
    known: Known | None = None,
    loaded: list[Source] | None = None,
) -> tuple[Directive, ...]:
    """Read a configuration and all it includes. Mistakes go to `problems`; what is understood is returned.

    `base` is the folder relative includes start from: that of the main configuration. `known` says whether a
    word is the name of some directive, which finds more forgotten semicolons. `loaded` receives each source
    once, in the order they were opened. Paths are latin-1 text, as in `read_source`.
    """
    return _Loader(base, known, loaded).open(path, None, 0, problems)


def parse_text(
    text: str,
    path: str,
    problems: Problems,
    *,
    base: str = "",
    known: Known | None = None,
    loaded: list[Source] | None = None,
) -> tuple[Directive, ...]:
    """Read text that is already there and calls itself `path`, as `parse_file` reads a file."""
    return _Loader(base, known, loaded).parse(Source(path, text), problems)


def parse_parameter(text: str, problems: Problems, *, known: Known | None = None) -> tuple[Directive, ...]:
    """Read the directives of the command line's `-g`, where nginx allows no blocks."""
    parsed = parse_text(text, COMMAND_LINE, problems, known=known)
    for directive in parsed:
        if directive.block is not None:
            problems.error("block directives are not supported in -g option", directive.span)
    return tuple(directive for directive in parsed if directive.block is None)


class _Loader:
    """The files being read (`chain`, outermost first); those read before, with the height of their trees."""

    def __init__(self, base: str, known: Known | None, loaded: list[Source] | None) -> None:
        self.base = base
        self.known = known or _knows_nothing
        self.loaded = loaded
        self.chain: list[str] = []
        self.done: dict[str, tuple[tuple[Directive, ...], int]] = {}
        self.directives = 0

    def open(self, path: str, at: Span | None, depth: int, problems: Problems) -> tuple[Directive, ...]:
        # A file included fifty times (proxy_params) is parsed once, and its mistakes are reported once.
        if path not in self.done:
            if path in self.chain or len(self.chain) >= DEEPEST_INCLUDE:
                self._endless(path, at, problems)
                return ()
            try:
                source = read_source(path)
            except OSError as error:
                _unreadable(path, at, error, problems)
                return ()
            self.parse(source, problems)
        directives, height = self.done[path]
        if depth + height > DEEPEST:
            problems.error(f"blocks are nested more than {DEEPEST} deep", at)
            return ()
        return directives

    def parse(self, source: Source, problems: Problems) -> tuple[Directive, ...]:
        if self.loaded is not None:
            self.loaded.append(source)
        self.chain.append(source.path)
        directives = read_blocks(source, problems, self.known, self._include)
        self.chain.pop()
        self.done[source.path] = directives, _height(directives)
        return directives

    def _include(self, directive: Directive, depth: int, problems: Problems) -> Sequence[Directive]:
        wanted, at = directive.args[0].text, directive.args[0].span
        path = wanted if wanted.startswith("/") or not self.base else f"{self.base.rstrip('/')}/{wanted}"
        paths = gathered("glob", path, lambda: _matching(path)) if any(magic in path for magic in "*?[") else [path]
        found = [item for each in paths for item in self.open(each, at, depth, problems)]
        self.directives += len(found)
        if self.directives > MOST_DIRECTIVES:
            problems.error(f"more than {MOST_DIRECTIVES} directives by way of include", at)
            return ()
        return found

    def _endless(self, path: str, at: Span | None, problems: Problems) -> None:
        if path in self.chain:
            way = [*self.chain[self.chain.index(path) :], path]
            problems.error(f'include of "{path}" never ends', at, hint=" includes ".join(way[:10]))
        else:
            problems.error(f"files are included more than {DEEPEST_INCLUDE} deep", at)


def _matching(pattern: str) -> list[str]:
    names = sorted(glob.glob(pattern.encode("latin-1")))  # noqa: PTH207  pathlib knows no bytes
    return [name.decode("latin-1") for name in names]


def _unreadable(path: str, at: Span | None, error: OSError, problems: Problems) -> None:
    call = "pread()" if isinstance(error, IsADirectoryError) else "open()"
    problems.error(os_failure(call, error, path), at, hint=_near_name(path))


def _near_name(path: str) -> str | None:
    """Find the neighbour whose name is nearest, for a file that does not exist."""
    folder, slash, missing = os.fsdecode(path.encode("latin-1")).rpartition("/")
    try:
        names = [entry.name for entry in os.scandir((folder + slash) or ".")]
    except OSError:
        return None
    near = suggest(missing, names)
    if near is None or near == missing:
        return None
    return "did you mean: " + os.fsencode(folder + slash + near).decode("latin-1")


def _height(directives: Sequence[Directive]) -> int:
    height = 0
    level = [directive.block for directive in directives if directive.block is not None]
    while level:
        height += 1
        level = [inner.block for block in level for inner in block if inner.block is not None]
    return height


def _knows_nothing(name: str) -> bool:
    return False
