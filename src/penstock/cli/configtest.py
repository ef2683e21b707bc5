"""`-t` and `-T`: is the configuration good, and could it be put to use?"""

from __future__ import annotations

import sys

from penstock.cli.options import CommandLine
from penstock.config.source import shown
from penstock.observe.errorlog import set_fallback, use_console
from penstock.plan.plan import Plan
from penstock.process.startup.cycle import probe, read
from penstock.process.startup.launch import PROGRAM, Launch, NotStarted
from penstock.process.startup.logs import boot_log


def check(launch: Launch, options: CommandLine) -> int:
    """Test the configuration and say so; the exit code."""
    set_fallback(boot_log(launch))
    use_console(PROGRAM)
    path = launch.path
    try:
        plan = read(launch, console=True)
        if not options.quiet:
            _say(f"the configuration file {path} syntax is ok")
        probe(launch, plan, quiet=options.quiet)
    except NotStarted:
        _say(f"configuration file {path} test failed")
        return 1
    if not options.quiet:
        _say(f"configuration file {path} test is successful")
    if options.dump:
        _dump(plan)
    if options.compiled:
        from penstock.cli.compiled import compiled_text

        sys.stdout.buffer.write(compiled_text(plan).encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    return 0


def _say(words: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {shown(words)}\n")


def _dump(plan: Plan) -> None:
    """Every file once, in the order they were opened, byte for byte."""
    out = sys.stdout.buffer
    for source in plan.sources:
        out.write(f"# configuration file {source.path}:\n{source.text}\n".encode("latin-1"))
    out.flush()
