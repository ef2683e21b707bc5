"""Reading a configuration without a mind to run it: its tree, and what compiling it says."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from penstock.cli.check.pieces import is_piece, may_compile, whole
from penstock.cli.options import CommandLine
from penstock.cli.parsing import Parser
from penstock.cli.paths import launch_for
from penstock.config.errors import ConfigError, ConfigFailed, Problems
from penstock.config.inputs import FILE, using
from penstock.config.parser import parse_file
from penstock.config.registry import REGISTRY
from penstock.config.source import Source
from penstock.config.tree import Directive
from penstock.doctor.site.level import PLACEHOLDERS
from penstock.modules.load import known, load
from penstock.plan.plan import Plan
from penstock.process.startup.launch import Launch

T = TypeVar("T")

NOBODY = "192.0.2.1"
"""Stands for every host name: nobody is asked (RFC 5737 keeps it free)."""
CERTIFICATES = frozenset(
    f"{prefix}{name}"
    for prefix in ("", "proxy_", "uwsgi_")
    for name in ("ssl_certificate", "ssl_certificate_key", "ssl_client_certificate", "ssl_trusted_certificate")
)


class Unasked:
    """Texts in place of files, and an address in place of what name servers would say. `absent` are files in whose
    place another stands where they can not be read: certificates and keys, which who only explains has no use for.
    `forgiving`: any file that can not be read is empty."""

    def __init__(self, texts: Mapping[str, str], absent: Container[str] = (), *, forgiving: bool = False) -> None:
        self._texts = texts
        self._absent = absent
        self._forgiving = forgiving
        self._files: dict[str, bytes] = {}
        """What was read. Each is read once: a pipe (`/dev/stdin`) has nothing more to say."""

    def give(self, kind: str, name: str, obtain: Callable[[], T]) -> T:
        if kind == FILE and name in self._texts:
            return self._texts[name].encode("latin-1")  # type: ignore[return-value]
        if kind == FILE and name in self._files:
            return self._files[name]  # type: ignore[return-value]
        if kind == "host":
            return [NOBODY]  # type: ignore[return-value]
        try:
            found = obtain()
            if isinstance(found, bytes):
                self._files[name] = found
            return found
        except OSError:
            if kind == FILE and name in self._absent:
                from penstock.cli.explain.certificate import stand_in

                return stand_in()  # type: ignore[return-value]
            if kind == FILE and self._forgiving:
                return b""  # type: ignore[return-value]
            raise

    def memory(self, name: str, make: Callable[[], int]) -> int:
        return make()


@dataclass(frozen=True, slots=True)
class Read:
    """`torn` are the files whose braces or quotes do not add up. `piece`: it is no whole configuration, and was
    compiled within what it may be a piece of. `plan` is None where compiling failed, or made no sense."""

    tree: tuple[Directive, ...]
    sources: tuple[Source, ...]
    problems: tuple[ConfigError, ...]
    torn: frozenset[str]
    plan: Plan | None
    piece: bool = False


def read(
    launch: Launch,
    texts: Mapping[str, str],
    absent: Container[str] = (),
    *,
    named: bool = True,
    forgiving: bool = False,
    stand_ins: Sequence[str] = (),
) -> Read:
    """Parse and compile, with `texts` in place of files of these names. Raises nothing: problems are collected.

    `named`: somebody has named the file, which may be a piece then; `stand_ins` are lines around a piece.
    """
    known()
    with using(Unasked(texts, absent, forgiving=forgiving)):
        problems = Problems()
        sources: list[Source] = []
        folder = str(PurePosixPath(launch.path).parent)
        tree = parse_file(launch.path, problems, base=folder, known=REGISTRY.__contains__, loaded=sources)
        torn = torn_by(problems)
        piece = is_piece(tree, named=named)
        if piece and not may_compile(tree):
            return Read(tree, tuple(sources), tuple(problems), torn, None, piece)
        around = partial(whole, stand_ins=tuple(stand_ins)) if piece else None
        try:
            plan = load(launch.path, prefix=launch.prefix, globals_text=launch.globals_text, around=around)
        except ConfigFailed as failed:
            return Read(tree, tuple(sources), tuple(failed.problems), torn, None, piece)
        return Read(tree, tuple(sources), tuple(plan.problems), torn, plan, piece)


def torn_by(problems: Problems) -> frozenset[str]:
    """Return the files in which parsing itself found mistakes, other than a file to include that is not there."""
    wrong = [each for each in problems if each.level == "emerg" and not each.message.startswith("open() ")]
    return frozenset(each.span.file for each in wrong if each.span is not None and not _dots(each))


def _dots(problem: ConfigError) -> bool:
    span = problem.span
    return span is not None and span.source.line(span.line).strip() in PLACEHOLDERS


def plan_of(launch: Launch) -> Read:
    """Read as `read` does, for who needs the plan, but not the certificates. Raises `ConfigFailed`."""
    found = read(launch, {})
    if found.plan is None:
        absent = certificates(found.tree, launch)
        found = read(launch, {}, absent) if absent else found
    if found.plan is None:
        problems = Problems()
        for each in found.problems:
            problems.add(each)
        if not problems.failed:
            problems.error("this is a piece of a configuration", hint="put it into: events { } http { ... }")
        raise ConfigFailed(problems)
    return found


def certificates(tree: Iterable[Directive], launch: Launch) -> set[str]:
    """Return the files of certificates, keys and authorities, as they are opened."""
    return set(_certificates(tree, str(PurePosixPath(launch.path).parent)))


def _certificates(tree: Iterable[Directive], folder: str) -> Iterator[str]:
    for each in tree:
        if each.name.text in CERTIFICATES and each.args and "$" not in each.words[0]:
            path = each.words[0]
            yield path if path.startswith("/") else f"{folder.rstrip('/')}/{path}"
            yield str(PurePosixPath(folder) / path)
        yield from _certificates(each.block or (), folder)


def add_places(parser: Parser) -> None:
    """Add the options that say which configuration is meant, as nginx has them."""
    parser.add_argument("-c", metavar="FILE", dest="file", help="the configuration; otherwise the one that would run")
    parser.add_argument("-p", metavar="PREFIX", dest="prefix", help="the prefix that its paths are relative to")


def launch_of(file: str | None, prefix: str | None) -> Launch:
    """Return where that configuration is."""
    options = CommandLine()
    options.prefix = prefix
    options.configuration = file
    launch = launch_for(options)
    if file is None or prefix is not None:
        return launch
    # As every other program does: a name on the command line is looked for here.
    return replace(launch, path=file)
