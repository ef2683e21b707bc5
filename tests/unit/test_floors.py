"""Imports point down only, sockets and clocks live where they may, and `-v` loads next to nothing.

`docs/internals/architecture.md` says what the floors are. An import for type checkers only is an edge between
floors all the same; for the rules on sockets and clocks it does not count, as it does nothing.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "penstock"
FLOORS = (
    "config",
    "shared",
    "plan",
    "websocket",
    "http",
    "net",
    "upstream",
    "observe",
    "doctor",
    "modules",
    "server",
    "process",
    "cli",
)
PURE_FLOORS = {"config", "shared", "plan", "websocket", "http"}
LOOPS_AND_SOCKETS = {
    "_socket",
    "_ssl",
    "asyncio",
    "multiprocessing",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "threading",
}
# Of `time`, a pure floor may only turn one form of a moment into another.
CONVERSIONS = {"gmtime", "localtime", "mktime", "strftime", "strptime", "struct_time"}
# Sockets and TLS beside net/ and process/: each with the reason why it is there.
ALLOWED = {
    ("modules/tls/context.py", "ssl"): "builds contexts in the master, before it forks",
    ("observe/syslog.py", "socket"): "a datagram socket that is only ever written to",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """One imported module: `names` what `from` takes of it, `typing` when under `if TYPE_CHECKING`."""

    path: str
    line: int
    module: str
    names: tuple[str, ...]
    typing: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"src/penstock/{self.path}:{self.line} imports {self.module}"


def edges() -> Iterator[Edge]:
    """Every import in the package, wherever in its file it stands."""
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"), str(file))
        yield from _edges(tree, file.relative_to(SOURCE).as_posix(), False)


def _edges(node: ast.AST, path: str, typing: bool) -> Iterator[Edge]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                for alias in names:
                    yield Edge(path, child.lineno, alias.name, (), typing)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(path, module, level)
                taken = tuple(alias.name for alias in names)
                if base == "penstock":
                    yield from (Edge(path, child.lineno, f"penstock.{name}", (), typing) for name in taken)
                else:
                    yield Edge(path, child.lineno, base, taken, typing)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=rest):
                for part in body:
                    yield from _edges(ast.Module([part], []), path, True)
                for part in rest:
                    yield from _edges(ast.Module([part], []), path, typing)
            case _:
                yield from _edges(child, path, typing)


def _absolute(path: str, module: str | None, level: int) -> str:
    if level == 0:
        return module or ""
    package = ["penstock", *path.split("/")[:-1]]
    return ".".join([*package[: len(package) - level + 1], *([module] if module else [])])


def _floor(path: str) -> str | None:
    return path.split("/")[0] if "/" in path else None


EDGES = list(edges())


def test_the_floors_are_those_of_the_architecture() -> None:
    text = (ROOT / "docs" / "internals" / "architecture.md").read_text("utf-8")
    order = re.search(r"(?m)^\s+(cli > .*)$", text)
    assert order is not None
    assert tuple(reversed(order[1].split(" > "))) == FLOORS
    folders = {entry.name for entry in SOURCE.iterdir() if (entry / "__init__.py").exists()}
    assert folders == set(FLOORS)


def test_imports_point_down() -> None:
    upward = []
    for edge in EDGES:
        own, parts = _floor(edge.path), edge.module.split(".")
        if own is None or parts[0] != "penstock" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        if FLOORS.index(parts[1]) > FLOORS.index(own):
            upward.append(str(edge))
    assert upward == []


def test_the_package_itself_imports_nothing() -> None:
    assert [str(edge) for edge in EDGES if edge.path == "__init__.py"] == []


def test_pure_floors_know_no_socket_no_loop_and_no_clock() -> None:
    wrong = []
    for edge in EDGES:
        if _floor(edge.path) not in PURE_FLOORS or edge.typing:
            continue
        clock = edge.top == "time" and not (edge.names and set(edge.names) <= CONVERSIONS)
        if edge.top in LOOPS_AND_SOCKETS or clock:
            wrong.append(str(edge))
    assert wrong == []


def test_sockets_live_in_net_and_process() -> None:
    wrong = []
    for edge in EDGES:
        if edge.typing or _floor(edge.path) in {"net", "process"} or (edge.path, edge.top) in ALLOWED:
            continue
        if edge.top in {"socket", "ssl", "_socket", "_ssl"}:
            wrong.append(str(edge))
    assert wrong == []


def test_nothing_forks_behind_our_back() -> None:
    """`multiprocessing` chooses its own start method, which breaks inherited sockets; fork explicitly."""
    assert [str(edge) for edge in EDGES if edge.top == "multiprocessing"] == []


@pytest.mark.skipif(not (SOURCE / "cli" / "main.py").exists(), reason="there is no command yet")
def test_the_version_is_told_without_loading_much() -> None:
    code = (
        "import sys\n"
        "from penstock.cli.main import main\n"
        "sys.argv = ['penstock', '-v']\n"
        "try:\n"
        "    code = main()\n"
        "except SystemExit as end:\n"
        "    code = end.code\n"
        "assert not code, code\n"
        "print('\\nmodules:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("modules:")[2].split())
    assert loaded & {"asyncio", "ssl", "socket", "selectors", "logging", "subprocess", "http.client"} == set()
