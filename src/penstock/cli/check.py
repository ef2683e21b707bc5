"""`penstock check`: find what is wrong with a configuration, and put it right."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.cli.colour import Ink, add_colour, ink_for
from penstock.cli.parsing import USAGE_ERROR, Parser

if TYPE_CHECKING:
    from penstock.doctor.check import Report
    from penstock.doctor.finding import Finding
    from penstock.process.launch import Launch

FORMATS = ("text", "json", "sarif", "github")
LEVELS = ("note", "warning", "error")


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "check",
        "Find what is wrong with a configuration: what nginx -t says and what it does not, above all what keeps\n"
        "WebSockets from working. Works on any nginx.conf, and on a piece of one. Nothing is started, nobody is asked.",
        examples=(
            ("penstock check", "the configuration that would run"),
            ("penstock check -c nginx.conf --fix --dry-run", "show what would be changed"),
            ("penstock check -c nginx.conf --for nginx/1.24", "for who stays with that nginx"),
            ("penstock check -c nginx.conf --format sarif > check.sarif", "for a code host"),
        ),
        exits=(
            "0  nothing as bad as --fail-on says (by default: no warning, no error)",
            "1  something was found",
            "2  the arguments make no sense, or there is no such file",
        ),
    )
    add_places(made)
    made.add_argument("name", nargs="?", metavar="FILE", help="the configuration, as with -c")
    made.add_argument("--for", dest="target", metavar="SERVER", default="penstock", help="penstock, nginx, nginx/1.24")
    made.add_argument("--format", choices=FORMATS, default="text", help="how to say it")
    made.add_argument("--level", choices=LEVELS, default="warning", help="show nothing less than this")
    made.add_argument("--fail-on", choices=(*LEVELS, "never"), default="warning", help="from where on to exit with 1")
    made.add_argument("--fix", action="store_true", help="put right what can be put right, and show the changes")
    made.add_argument("--dry-run", action="store_true", help="with --fix: show the changes without making them")
    made.add_argument("--rules", action="store_true", help="list the rules and exit")
    add_colour(made)
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    if given.rules:
        return _list_rules()
    if given.file is not None and given.name is not None:
        reader.error("the configuration is named twice")
    if given.dry_run and not given.fix:
        reader.error("--dry-run belongs to --fix")
    version = re.fullmatch(r"(penstock|nginx)(?:/([0-9]+(?:\.[0-9]+)*))?", given.target)
    if version is None or (version[1] == "penstock" and version[2]):
        reader.error(f'invalid --for "{given.target}": it may be penstock, nginx, or nginx/VERSION such as nginx/1.24')
    return _check(given, version[1] == "nginx", version[2])


def _check(given: Any, nginx: bool, version: str | None) -> int:
    from penstock.cli.reading import launch_of, read
    from penstock.doctor.check import check
    from penstock.doctor.finding import Severity
    from penstock.doctor.machine import this_machine
    from penstock.doctor.repair import repair
    from penstock.doctor.site import Target

    launch = launch_of(given.file or given.name, given.prefix)
    if not _readable(launch):
        return USAGE_ERROR
    target = Target(nginx, None if version is None else tuple(int(part) for part in version.split(".")))
    machine = this_machine()

    def examine(texts: Mapping[str, str]) -> Report:
        found = read(launch, texts)
        return check(found.tree, found.sources, found.problems, target=target, machine=machine, torn=found.torn)

    least = Severity[given.level.upper()]
    if given.fix:
        before = {source.path: source.text for source in examine({}).sources}
        texts, done, report = repair(examine, least)
        if not _write(before, texts, done, given, ink_for(sys.stderr, given.color)):
            return USAGE_ERROR
    else:
        report = examine({})
    _say(report, least, given)
    if given.fail_on == "never":
        return 0
    return int(bool(report.at_least(Severity[given.fail_on.upper()])))


def _readable(launch: Launch) -> bool:
    from penstock.config.source import shown

    try:
        with open(launch.path.encode("latin-1"), "rb"):  # noqa: PTH123  bytes
            return True
    except OSError as error:
        sys.stderr.write(f'penstock check: can not read "{shown(launch.path)}": {os.strerror(error.errno or 0)}\n')
        return False


def _say(report: Report, least: Any, given: Any) -> None:
    from penstock.doctor.report import as_github, as_json, as_text
    from penstock.doctor.sarif import as_sarif

    if given.format == "text":
        sys.stdout.write(as_text(report, least, ink_for(sys.stdout, given.color)))
        return
    make = {"json": as_json, "sarif": as_sarif, "github": as_github}[given.format]
    sys.stdout.write(make(report, least))


def _write(before: Mapping[str, str], texts: Mapping[str, str], done: list[Finding], given: Any, ink: Ink) -> bool:
    """Show what changes, on standard error so that reports stay what they are, and write it."""
    from penstock.config.source import shown
    from penstock.doctor.repair import difference

    for path, text in texts.items():
        for line in difference(path, before.get(path, ""), text).split("\n"):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            sys.stderr.write(f"{ink(style, line) if style else line}\n")
    for finding in done:
        assert finding.fix is not None
        sys.stderr.write(f"{'would be ' if given.dry_run else ''}fixed [{finding.rule}]: {shown(finding.fix.title)}\n")
    if given.dry_run:
        return True
    for path, text in texts.items():
        try:
            _replace(path, text)
        except OSError as error:
            sys.stderr.write(f'penstock check: can not write "{shown(path)}": {os.strerror(error.errno or 0)}\n')
            return False
    return True


def _replace(path: str, text: str) -> None:
    """Write a file whole or not at all, with its mode and owner, through links to where it is."""
    real = os.path.realpath(path.encode("latin-1"))
    beside = real + b".penstock-fix"
    kept = os.stat(real)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123  a descriptor
            file.write(text.encode("latin-1"))
        os.chmod(beside, kept.st_mode & 0o7777)  # noqa: PTH101  bytes
        if os.geteuid() == 0:
            os.chown(beside, kept.st_uid, kept.st_gid)
        os.replace(beside, real)  # noqa: PTH105  bytes
    except BaseException:
        os.unlink(beside)  # noqa: PTH108  bytes
        raise


def _list_rules() -> int:
    from penstock.doctor.rules import TABLE

    for rule in TABLE:
        sys.stdout.write(f"{rule.id:<22} {rule.severity.word:<8} {rule.title}\n")
    return 0
