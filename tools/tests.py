"""Run the tests in parts, and end with one line that counts them all: `N passed, N failed`.

    python tools/tests.py [--part NAME] ... [--again N] [--times N] [arguments of pytest]

Parts: `together` (most tests, one more at a time than there are processors: half of a test's time is waiting, and
13,200 took 7.5 minutes so on two instead of 13), `alone` (those marked so, which measure time or memory and have the
machine to themselves), `relay` (those about tunnels once more, with the relay in Python where the compiled one is
built). Without `--part`, together and alone.

Every part runs, whatever became of those before it. A test that fails is run again only with `--again N`: up to N of a
part (with all their parameters), one after another, and what fails then once more; each that passes so is named in the
summary with its try. `--times N` runs everything N times, for a look at tests that need luck. All temporary files of a
run are in one folder, which goes at the end; what is left in it by then, and a process that a test left behind, is a
failure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NONE_SELECTED = 5
_TUNNELS = ("tests/unit/net", "tests/integration/test_*tunnel*.py", "tests/integration/test_proxy_upgrade.py")
_TUNNELS += ("tests/integration/test_applications.py", "tests/integration/test_tls.py", "tests/transcripts")
# pytest's own folder for tmp_path, the ports that tests have taken, and what new processes need not compile.
_KNOWN = ("pytest-of-", "penstock-test-port-locks-", "report-", "bytecode")


_TRIES = ("second", "third")
"""What `--again` gives to a test that failed. One that fails for a reason fails in each."""

_AT_ONCE = str((os.cpu_count() or 1) + 1)


@dataclass(frozen=True, slots=True)
class Part:
    """Say how a part calls pytest, and how long it takes on two processors."""

    name: str
    minutes: float
    options: tuple[str, ...]
    paths: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


PARTS = {
    part.name: part
    for part in (
        Part("together", 8, ("-n", _AT_ONCE, "--dist", "worksteal", "-m", "not alone")),
        Part("alone", 2.5, ("-n", "0", "-m", "alone")),
        Part("relay", 1, ("-n", _AT_ONCE, "--dist", "worksteal"), _TUNNELS, (("PENSTOCK_RELAY", "python"),)),
    )
}


@dataclass(slots=True)
class Tally:
    """Count what became of the tests; `failed` holds their names, `again` those that passed later with their try."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    again: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.again += other.again
        self.skipped += other.skipped
        self.trouble += other.trouble


def main() -> int:
    """Return the exit code: 0 if something passed and nothing failed."""
    options, others = _options()
    parts = [PARTS[name] for name in options.part or ("together", "alone")]
    minutes = sum(part.minutes for part in parts) * options.times
    if not _names_paths(others):
        print(f"== {', '.join(part.name for part in parts)}: about {minutes:g} minutes on two processors", flush=True)
    total = Tally()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="tests-"))
    # Workers of a root master, who are nobody, find their way through it.
    folder.chmod(0o711)
    try:
        for turn in range(options.times):
            for part in parts:
                total.add(_run(part, others, folder, options.again))
                total.trouble += [f"{part.name} left {name}" for name in _left(folder)]
            if options.times > 1:
                print(f"== turn {turn + 1} of {options.times}: {len(total.failed)} failed so far", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _say(total, time.monotonic() - began)


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="Run the tests; unknown arguments go to pytest.", allow_abbrev=False)
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="may be given several times")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="give N failed ones of a part more tries")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="run everything N times")
    return parser.parse_known_args()


def _run(part: Part, others: Sequence[str], folder: Path, again: int) -> Tally:
    print(f"== {part.name}", flush=True)
    paths = [] if _names_paths(others) else _paths(part)
    arguments = [*part.options, *others, *paths]
    tally = _pytest(part, arguments, folder)
    for which in _TRIES:
        # A server that many share and that did not start is one failure, for all parameters of a test.
        functions = {name.partition("[")[0] for name in tally.failed}
        if not functions or tally.trouble or len(functions) > again:
            break
        print(f"== {len(tally.failed)} failed, and have a {which} try, one after another", flush=True)
        late = _pytest(part, [*arguments, "-n", "0", "--last-failed", "--last-failed-no-failures", "none"], folder)
        tally.passed += late.passed
        tally.again += [(name, which) for name in tally.failed if name not in late.failed]
        tally.failed, tally.trouble = late.failed, late.trouble
    return tally


def _names_paths(arguments: Sequence[str]) -> bool:
    return any((ROOT / argument.partition("::")[0]).exists() for argument in arguments if argument)


def _paths(part: Part) -> list[str]:
    return [str(path.relative_to(ROOT)) for pattern in part.paths for path in sorted(ROOT.glob(pattern))]


def _pytest(part: Part, arguments: Sequence[str], folder: Path) -> Tally:
    report = folder / f"report-{part.name}.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, **dict(part.environment), "TMPDIR": str(folder)}
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        # It shall not lie beside the sources. Without any, each of a thousand new processes would compile them all.
        environment.setdefault("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
    command = [sys.executable, "-m", "pytest", "-rfE", f"--junitxml={report}", *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode
    tally = _read(report)
    if code not in (0, _NONE_SELECTED) and not tally.failed:
        tally.trouble.append(f"pytest ended with {code} in the part {part.name}, and named no test")
    return tally


def _read(report: Path) -> Tally:
    tally = Tally()
    if not report.exists():
        return tally
    # A test that fails in its setup and again in its end has two entries.
    for name, case in _cases(report):
        wrong = case.find("failure") is not None or case.find("error") is not None
        left_out = case.find("skipped")
        if wrong:
            if name not in tally.failed:
                tally.failed.append(name)
        elif left_out is not None:
            tally.skipped[left_out.get("message") or "no reason"] += 1
        else:
            tally.passed += 1
    return tally


def _cases(report: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    for case in ElementTree.parse(report).iter("testcase"):
        yield f"{case.get('classname')}::{case.get('name')}", case


def _left(folder: Path) -> list[str]:
    """Name what a part left behind, and take it away: files, and processes that have this folder for theirs."""
    # A process that is about to end, as a browser's helpers are, has a moment for it.
    until = time.monotonic() + 5
    while (processes := list(_processes(folder))) and time.monotonic() < until:
        time.sleep(0.1)
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(_KNOWN)]
    for path in found:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return [path.name for path in found] + processes


def _processes(folder: Path) -> Iterator[str]:
    # A browser's temporary folder is one of its own below this one.
    own, below = f"TMPDIR={folder}".encode(), f"TMPDIR={folder}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            if any(variable == own or variable.startswith(below) for variable in variables):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                if words:
                    yield f"the process {process.name}: {words}"
        except OSError:
            continue


def _say(total: Tally, seconds: float) -> int:
    print("\n== all parts")
    for reason, count in sorted(total.skipped.items()):
        print(f"skipped {count}: {reason}")
    for name, which in total.again:
        print(f"passed at the {which} try only, and worth an issue: {name}")
    for what in total.trouble:
        print(f"trouble: {what}")
    for name in total.failed:
        print(f"failed: {name}")
    if not total.passed and not total.failed:
        print("no test ran")
    print(f"{int(seconds) // 60} min {int(seconds) % 60} s")
    failed = len(total.failed) + len(total.trouble)
    print(f"{total.passed} passed, {failed} failed" + (f", {total.skipped.total()} skipped" if total.skipped else ""))
    return 1 if failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
