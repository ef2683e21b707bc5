"""`penstock check`: find what is wrong with a configuration, and put it right."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.cli.check.fixes import STDIN
from penstock.cli.colour import add_colour, ink_for
from penstock.cli.parsing import USAGE_ERROR, Parser

if TYPE_CHECKING:
    from penstock.doctor.check import Report
    from penstock.process.startup.launch import Launch

FORMATS = ("text", "json", "sarif", "github")
LEVELS = ("note", "warning", "error")


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "check",
        "Find what is wrong with a configuration: what nginx -t says and what it does not, above all what keeps\n"
        "WebSockets from working. Works on any nginx.conf, and on a piece of one. It starts\n"
        "nothing and connects to nothing.",
        examples=(
            ("penstock check", "the configuration that would run"),
            ("penstock check -c nginx.conf --fix --dry-run", "show what would be changed, as a patch"),
            ("penstock check - < piece.conf", "a configuration, or a piece of one, from standard input"),
            ("penstock check --explain upgrade-missing", "the page of a rule"),
            ("penstock check -c nginx.conf --for nginx/1.24", "what this version of nginx would do"),
            ("penstock check -c nginx.conf --format sarif > check.sarif", "for a code host"),
        ),
        exits=(
            "0  nothing as bad as --fail-on says (by default: no warning, no error)",
            "1  something was found",
            "2  the arguments make no sense, or there is no such file",
        ),
    )
    add_places(made)
    made.add_argument("name", nargs="?", metavar="FILE", help="the configuration, as with -c; - reads standard input")
    made.add_argument("--for", dest="target", metavar="SERVER", default="penstock", help="penstock, nginx, nginx/1.24")
    made.add_argument("--format", choices=FORMATS, default="text", help="the form of the report")
    made.add_argument(
        "--level", choices=LEVELS, help="show nothing less than this (warning, and notes that everybody should see)"
    )
    made.add_argument(
        "--fail-on",
        choices=(*LEVELS, "never"),
        default="warning",
        help="exit with 1 for a finding of this level or a worse one",
    )
    made.add_argument(
        "--performance", action="store_true", help="name the lines that keep requests off the shortest way to a backend"
    )
    made.add_argument("--fix", action="store_true", help="put right what can be put right, and show the changes")
    made.add_argument("--dry-run", action="store_true", help="with --fix: show the changes without making them")
    made.add_argument("--rules", action="store_true", help="list the rules and exit")
    made.add_argument("--explain", metavar="RULE", help="what a rule is about: symptom, cause and cure")
    add_colour(made)
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    if given.rules:
        return _list_rules()
    if given.explain is not None:
        return _explain(given.explain)
    if given.file is not None and given.name is not None:
        reader.error("the configuration is named twice")
    if given.dry_run and not given.fix:
        reader.error("--dry-run belongs to --fix")
    if given.fix and not given.dry_run and given.format != "text" and "-" in (given.file, given.name):
        reader.error("--fix of standard input writes to standard output, and so does --format; take --dry-run")
    version = re.fullmatch(r"(penstock|nginx)(?:/([0-9]+(?:\.[0-9]+)*))?", given.target)
    if version is None or (version[1] == "penstock" and version[2]):
        reader.error(f'invalid --for "{given.target}": it may be penstock, nginx, or nginx/VERSION such as nginx/1.24')
    return _check(given, version[1] == "nginx", version[2])


# Any: what argparse makes has the attributes that the options name.
def _check(given: Any, nginx: bool, version: str | None) -> int:
    from penstock.cli.check.dry_run import rehearser
    from penstock.cli.check.fixes import show, write
    from penstock.cli.check.performance import ways_of
    from penstock.cli.reading import read
    from penstock.doctor.check import check
    from penstock.doctor.finding import Severity
    from penstock.doctor.repair.repair import repair
    from penstock.doctor.site.machine import this_machine
    from penstock.doctor.site.site import CheckedProgram

    named = given.file is not None or given.name is not None
    found = _opened(given)
    if found is None:
        return USAGE_ERROR
    launch, first = found
    target = CheckedProgram(nginx, None if version is None else tuple(int(part) for part in version.split(".")))
    machine = this_machine()

    def examine(texts: Mapping[str, str]) -> Report:
        texts = {**first, **texts}
        found = read(launch, texts, named=named)
        return check(
            found.tree,
            found.sources,
            found.problems,
            target=target,
            machine=machine,
            torn=found.torn,
            piece=found.piece,
            rehearse=rehearser(launch, texts, found),
            ways=ways_of(launch, texts, found) if given.performance else None,
        )

    least = None if given.level is None else Severity[given.level.upper()]
    if given.fix:
        before = {source.path: source.text for source in examine({}).sources}
        texts, done, report = repair(examine, Severity.WARNING if least is None else least)
        show(before, texts, done, given)
        if not given.dry_run and not write(texts):
            return USAGE_ERROR
    else:
        report = examine({})
    _say(report, least, given)
    if given.fail_on == "never":
        return 0
    return int(report.fails(Severity[given.fail_on.upper()]))


def _opened(given: Any) -> tuple[Launch, dict[str, str]] | None:
    """Where the configuration is, and its text where it came by standard input; None where it can not be read."""
    from dataclasses import replace

    from penstock.cli.paths import unnamed
    from penstock.cli.reading import launch_of
    from penstock.config.source import shown

    name = given.file or given.name
    if name == "-":
        text = sys.stdin.buffer.read().decode("latin-1")
        return replace(launch_of("nginx.conf", given.prefix), path=STDIN), {STDIN: text}
    launch = launch_of(name, given.prefix)
    if name is None and given.prefix is None and given.format == "text":
        sys.stderr.write(f"penstock check: {shown(unnamed(launch, 'penstock check nginx.conf'))}\n")
    try:
        with open(launch.path.encode("latin-1"), "rb"):  # noqa: PTH123  bytes
            return launch, {}
    except OSError as error:
        sys.stderr.write(f'penstock check: can not read "{shown(launch.path)}": {os.strerror(error.errno or 0)}\n')
        return None


def _say(report: Report, least: Any, given: Any) -> None:
    from penstock.cli.check.fixes import own_output
    from penstock.doctor.finding import WARNING
    from penstock.doctor.reports.report import as_github, as_json, as_text
    from penstock.doctor.reports.sarif import as_sarif

    if given.format == "text":
        stream = sys.stderr if own_output(given) else sys.stdout
        stream.write(as_text(report, least, ink_for(stream, given.color)))
        return
    make = {"json": as_json, "sarif": as_sarif, "github": as_github}[given.format]
    sys.stdout.write(make(report, WARNING if least is None else least))


def _list_rules() -> int:
    from penstock.doctor.rules import TABLE

    for rule in TABLE:
        sys.stdout.write(f"{rule.id:<22} {rule.severity.word:<8} {rule.title}\n")
    return 0


def _explain(rule: str) -> int:
    from penstock.config.errors import suggest
    from penstock.doctor.check import OTHER_IDS
    from penstock.doctor.reports.pages import page_of
    from penstock.doctor.rules import BY_ID

    text = page_of(rule) if rule in BY_ID else OTHER_IDS.get(rule, "")
    if text:
        sys.stdout.write(text.rstrip("\n") + "\n")
        return 0
    close = suggest(rule, BY_ID)
    hint = f"did you mean: {close}" if close else "penstock check --rules lists them"
    said = "".join(char if char.isprintable() else "?" for char in rule)
    sys.stderr.write(f'penstock check: there is no rule "{said}"; {hint}\n')
    return USAGE_ERROR
