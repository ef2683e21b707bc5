"""What is imported before workers are forked is all that this program imports while it serves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import penstock
from penstock.process.startup.early_imports import COMMANDS, EXTRAS, FLOORS

SOURCE = Path(penstock.__file__).parent
LATE = {
    *("prometheus_client.core", "prometheus_client.exposition", "prometheus_client.registry", "maxminddb"),
    *("redis", "redis.cluster", "redis.sentinel"),
}
"""Libraries that a configuration asks for (`metrics`, `geoip2`, `fleet`): the master imports them as it reads that."""

LOADED = (
    "import sys; from penstock.modules.load import known; from penstock.process.startup.early_imports import provide;"
    "import penstock.process.master.master; known(); provide(); print(*sys.modules)"
)


def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def late_imports(path: Path) -> Iterator[str]:
    """Modules that functions of a file import."""
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                yield node.module


def test_nothing_is_left_for_later() -> None:
    there = loaded()
    missing = set()
    for floor in FLOORS:
        for path in (SOURCE / floor).rglob("*.py"):
            place = path.relative_to(SOURCE).with_suffix("")
            if f"penstock.{'.'.join(place.parts)}" not in COMMANDS | EXTRAS:
                missing |= {f"{place}: {name}" for name in set(late_imports(path)) - there - LATE - EXTRAS}
    assert missing == set()


def test_libraries_that_only_some_configurations_need_stay_out() -> None:
    there = {name.partition(".")[0] for name in loaded()}
    assert there & {"prometheus_client", "cryptography", "rich", "argparse", "email", "http", "html"} == set()
    assert there & {"h2", "hpack", "hyperframe"} == set(), "`penstock probe` alone speaks HTTP/2 with them"
