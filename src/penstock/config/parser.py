"""Configuration files -> one tree: puts what `include` names in its place, reports every mistake."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.config.blocks import read_blocks
from penstock.config.builder import DEEPEST
from penstock.config.errors import Problems, suggest
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
    """Reads a configuration and all it includes. Mistakes go to `problems`; returned is what is understood.

    `base` is the folder relative includes start from: that of the main configuration. `known` says whether a
    word is the name of some directive, which finds more forgotten semicolons. `loaded` receives each source
    once, in the order they were opened. Paths are latin-1 text, as in `read_source`.
    """
    return _Loader(problems, base, known, loaded).open(path, None, 0)


def parse_text(
    text: str,
    path: str,
    problems: Problems,
    *,
    base: str = "",
    known: Known | None = None,
    loaded: list[Source] | None = None,
) -> tuple[Directive, ...]:
    """As `parse_file`, for text that is already there and calls itself `path`."""
    return _Loader(problems, base, known, loaded).parse(Source(path, text), 0)


def parse_parameter(text: str, problems: Problems, *, known: Known | None = None) -> tuple[Directive, ...]:
    """The directives of the command line's `-g`, where nginx allows no blocks."""
    parsed = parse_text(text, COMMAND_LINE, problems, known=known)
    for directive in parsed:
        if directive.block is not None:
            problems.error("block directives are not supported in -g option", directive.span)
    return tuple(directive for directive in parsed if directive.block is None)


class _Loader:
    """The files being read (`chain`, outermost first); those read before, with the height of their trees."""

    def __init__(
        self, problems: Problems, base: str, known: Known | None, loaded: list[Source] | None
    ) -> None:
        self.problems = problems
        self.base = base
        self.known = known or _knows_nothing
        self.loaded = loaded
        self.chain: list[str] = []
        self.done: dict[str, tuple[tuple[Directive, ...], int]] = {}
        self.directives = 0

    def open(self, path: str, at: Span | None, depth: int) -> tuple[Directive, ...]:
        # A file included fifty times (proxy_params) is parsed once, and its mistakes are reported once.
        if path not in self.done:
            if path in self.chain or len(self.chain) >= DEEPEST_INCLUDE:
                self._endless(path, at)
                return ()
            try:
                source = read_source(path)
            except OSError as error:
                self._unreadable(path, at, error)
                return ()
            self.parse(source, depth)
        directives, height = self.done[path]
        if depth + height > DEEPEST:
            self.problems.error(f"blocks are nested more than {DEEPEST} deep", at)
            return ()
        return directives

    def parse(self, source: Source, depth: int) -> tuple[Directive, ...]:
        if self.loaded is not None:
            self.loaded.append(source)
        self.chain.append(source.path)
        directives = read_blocks(source, self.problems, self.known, self._include)
        self.chain.pop()
        self.done[source.path] = directives, _height(directives)
        return directives

    def _include(self, directive: Directive, depth: int) -> Sequence[Directive]:
        wanted, at = directive.args[0].text, directive.args[0].span
        path = wanted if wanted.startswith("/") or not self.base else f"{self.base.rstrip('/')}/{wanted}"
        if not any(magic in path for magic in "*?["):
            paths = [path]
        else:
            names = sorted(glob.glob(path.encode("latin-1")))  # noqa: PTH207  pathlib knows no bytes
            paths = [name.decode("latin-1") for name in names]
        found = [item for each in paths for item in self.open(each, at, depth)]
        self.directives += len(found)
        if self.directives > MOST_DIRECTIVES:
            self.problems.error(f"more than {MOST_DIRECTIVES} directives by way of include", at)
            return ()
        return found

    def _endless(self, path: str, at: Span | None) -> None:
        if path in self.chain:
            way = [*self.chain[self.chain.index(path) :], path]
            self.problems.error(f'include of "{path}" never ends', at, hint=" includes ".join(way[:10]))
        else:
            self.problems.error(f"files are included more than {DEEPEST_INCLUDE} deep", at)

    def _unreadable(self, path: str, at: Span | None, error: OSError) -> None:
        code = error.errno or 0
        call = "pread" if isinstance(error, IsADirectoryError) else "open"
        self.problems.error(
            f'{call}() "{path}" failed ({code}: {os.strerror(code)})', at, hint=_near_name(path)
        )


def _near_name(path: str) -> str | None:
    """The neighbour whose name is nearest, for a file that does not exist."""
    missing = Path(os.fsdecode(path.encode("latin-1")))
    try:
        names = [entry.name for entry in os.scandir(missing.parent)]
    except OSError:
        return None
    near = suggest(missing.name, names)
    if near is None or near == missing.name:
        return None
    return "did you mean: " + os.fsencode(missing.parent / near).decode("latin-1")


def _height(directives: Sequence[Directive]) -> int:
    height = 0
    level = [directive.block for directive in directives if directive.block is not None]
    while level:
        height += 1
        level = [inner.block for block in level for inner in block if inner.block is not None]
    return height


def _knows_nothing(name: str) -> bool:
    return False
