"""The house keeps its shape: folders that can be read at a glance, floors within `modules/`, one class of a name, no
circle of imports, `Any` as a rarity, and a test beside every room with logic.

`test_floors.py` has the floors themselves. What is let off here is named, with the reason.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "penstock"
MOST_FILES = 20
MOST_LINES = 400
MOST_ANY = 4.0
"""Uses of `Any` in 1,000 lines."""

ROOMS = (
    *("core", "fleet", "acme filters", "access content logs rewrite tls", "tracing", "upstream", "websocket"),
    *("events", "cache"),
    *("proxy", "gateways", "checks", "control", "stream", "unsupported"),
)
"""The floors within `modules/`, the lowest first; rooms of one floor may not import one another. What answers stands
above the filters: `autoindex` has to know the character set that its page will have."""

ACROSS: dict[tuple[str, str], str] = {}
"""From (room/file) and to (module) of imports that do not point down, each with the reason."""

TABLES = {"doctor/rules/__init__.py": "the rules of `penstock check`, in the order in which they look"}
"""Folders whose own file holds more than a sentence, each with the reason."""

DESCRIBED = ("block", "command", "variable", "family")
"""Decorators of what stands for a directive or a variable: its docstring describes that. The reference quotes it."""

VERBS = frozenset(
    """
    accept add allow answer append apply arm ask be begin bind build call carry change check choose claim clear
    close combine compile complete compress compute connect copy count create cut deal decide declare decode derive
    describe do draw drop encode end escape expect explain fill find follow forget forgive free freeze gather give
    go guess hand hash have hear hold import join judge keep learn leave let limit list load lock log look make mark
    match measure mend merge move name note offer open order pack paint parse pass pin ping poll prepare print put
    queue raise reach read reap refuse release remember remove rename render reopen repair replace reset restore
    return rewrite run say seal search see send serve set shorten show skip sort speak split stand start step stop store
    sum suspect take tell test throw time translate trust try turn unpack update use verify wait warn watch work
    write
    """.split()
)
"""Words that a docstring of a public function may begin with. A new one is welcome, if it says what is done."""

TWICE: dict[str, str] = {}
"""Names that two classes may have, each with its reason."""


@cache
def files() -> dict[Path, ast.Module]:
    return {
        file.relative_to(SOURCE): ast.parse(file.read_text("utf-8"), str(file)) for file in sorted(SOURCE.rglob("*.py"))
    }


def dotted(path: Path) -> str:
    parts = ["penstock", *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_folder_is_too_full() -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in files():
        if path.name != "__init__.py":
            counts[path.parent.as_posix()] += 1
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_no_file_is_too_long() -> None:
    lengths = {path.as_posix(): (SOURCE / path).read_text("utf-8").count("\n") for path in files()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_prefix_that_repeats_is_a_folder() -> None:
    """Three files of a folder that begin alike are a folder; a file never repeats the name of its own."""
    begins: dict[tuple[str, str], list[str]] = defaultdict(list)
    repeated = []
    for path in files():
        prefix, bar, _ = path.stem.partition("_")
        if bar and prefix:
            begins[path.parent.as_posix(), prefix].append(path.stem)
        if path.parent.name and path.stem.startswith(f"{path.parent.name}_"):
            repeated.append(path.as_posix())
    assert repeated == []
    assert {key: names for key, names in begins.items() if len(names) > 2 and key[0] != "net/tls"} == {}


def test_folders_say_what_they_are_and_hand_nothing_on() -> None:
    wrong = []
    for path, tree in files().items():
        if path.name != "__init__.py" or path.parent == Path() or path.as_posix() in TABLES:
            continue
        taken = [_module(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if set(taken) - {"__future__"} or not ast.get_docstring(tree):
            wrong.append(path.as_posix())
    assert wrong == []


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name


def test_rooms_of_modules_import_downward() -> None:
    ranks = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms.split()}
    upward = []
    for path, tree in files().items():
        if path.parts[0] != "modules" or len(path.parts) < 3:
            continue
        own = path.parts[1]
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("penstock.modules."):
                continue
            assert node.module is not None
            other = node.module.split(".")[2]
            if other == own or other not in ranks or ranks[other] < ranks[own]:
                continue
            if (f"{own}/{path.stem}", node.module.removeprefix("penstock.modules.")) not in ACROSS:
                upward.append(f"{path} imports {node.module}")
    assert upward == []


def test_every_exception_among_the_rooms_is_needed() -> None:
    seen = set()
    for path, tree in files().items():
        if path.parts[0] == "modules" and len(path.parts) > 2:
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penstock.modules."):
                    seen.add((f"{path.parts[1]}/{path.stem}", (node.module or "").removeprefix("penstock.modules.")))
    assert set(ACROSS) - seen == set()


def test_a_class_has_its_name_for_itself() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for path, tree in files().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                owners[node.name].append(path.as_posix())
    shared = {name: places for name, places in owners.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in TWICE} == {}
    assert set(TWICE) - set(shared) == set(), "no longer shared: take it off the list"


def test_nothing_is_imported_in_a_circle() -> None:
    """At run time, while modules are loaded; what a function imports when it is called does not count."""
    edges: dict[str, set[str]] = defaultdict(set)
    names = {dotted(path) for path in files()}
    for path, tree in files().items():
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    target = whole if whole in names else node.module
                    if target in names:
                        edges[dotted(path)].add(target)
            elif isinstance(node, ast.Import):
                edges[dotted(path)] |= {alias.name for alias in node.names} & names
    assert _circle(edges) is None


def _circle(edges: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        for other in sorted(edges.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return None

    for name in sorted(edges):
        if found := walk(name, []):
            return found
    return None


def test_any_is_a_rarity() -> None:
    uses = lines = 0
    for path in files():
        text = (SOURCE / path).read_text("utf-8")
        lines += text.count("\n")
        uses += sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(files()[path]))
    assert uses / lines * 1000 <= MOST_ANY


def test_the_request_knows_what_it_holds() -> None:
    tree = files()[Path("http/request.py")]
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Any"] == []


def _functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The public functions and methods of a module or class, by their names."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield prefix + node.name, node


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list]


def docstrings() -> Iterator[tuple[str, str]]:
    """Where a public function is, and its docstring; without those that describe a directive or a variable."""
    for path, tree in files().items():
        for name, node in _functions(tree.body):
            text = ast.get_docstring(node)
            if text and not set(_decorators(node)) & set(DESCRIBED):
                yield f"{path}: {name}", text


def test_docstrings_say_in_the_imperative_what_is_done() -> None:
    wrong = [f"{where}: {text.split()[0]} ..." for where, text in docstrings() if not _imperative(text)]
    assert wrong == [], "begin with what is done: a verb in the imperative, from VERBS or new there"


def _imperative(text: str) -> bool:
    return text.split()[0].rstrip(",;:.").lower() in VERBS and text[0].isupper()


def test_the_first_sentence_of_a_docstring_is_one_line() -> None:
    firsts = {where: re.split(r"(?<=[.;:])\s", text.split("\n\n")[0])[0] for where, text in docstrings()}
    assert [where for where, first in firsts.items() if "\n" in first] == []


def _test_of(path: Path) -> Path:
    return ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"


MIRRORED_FROM = 40
"""Lines from which a module wants a test of its own name."""


def untested() -> dict[str, str]:
    """Rooms, and folders of them, without a test of their name, and what tests them: `tests/unit/mirror.txt`."""
    found = {}
    for line in (ROOT / "tests" / "unit" / "mirror.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(": ")
            assert name not in found, f"{name} is listed twice"
            found[name] = reason
    return found


def unmirrored() -> set[str]:
    return {
        path.as_posix()
        for path in files()
        if path.name != "__init__.py"
        and (SOURCE / path).read_text("utf-8").count("\n") >= MIRRORED_FROM
        and not _test_of(path).exists()
    }


def _listed_as(room: str, listed: dict[str, str]) -> str | None:
    """The line that stands for a room: its own, or that of the nearest folder."""
    names = [room, *(f"{folder.as_posix()}/" for folder in Path(room).parents)]
    return next((name for name in names if name in listed), None)


def test_every_room_with_logic_has_its_test() -> None:
    listed = untested()
    assert [room for room in sorted(unmirrored()) if _listed_as(room, listed) is None] == []


def test_the_list_of_rooms_without_a_test_is_short_and_true() -> None:
    listed = untested()
    used = {_listed_as(room, listed) for room in unmirrored()}
    assert set(listed) - used == set(), "these have a test of their name, or are gone: take them off the list"
    for name, reason in listed.items():
        tests = re.findall(r"[\w/]+\.py", reason)
        assert tests, f"{name}: say which test covers it"
        for test in tests:
            assert (ROOT / "tests" / test).exists(), f"{name}: there is no tests/{test}"
