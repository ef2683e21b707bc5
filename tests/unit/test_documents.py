"""What the documents show is what the repository holds."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from harness.site import mistakes
from penstock.modules.load import load
from penstock.plan import phases

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
INTERNALS = sorted((ROOT / "docs" / "internals").glob("*.md"))
LIFE = ROOT / "docs" / "internals" / "life-of-a-request.md"


def test_the_readme_s_configuration_is_accepted(tmp_path: Path) -> None:
    shown = re.search(r"(?s)```nginx\n(.*?)```", (ROOT / "README.md").read_text("utf-8"))
    assert shown is not None
    (tmp_path / "nginx.conf").write_text(shown[1])
    plan = load(str(tmp_path / "nginx.conf"), prefix=f"{tmp_path}/")
    assert list(plan.problems) == []


def _shown_in(document: str) -> list[str]:
    text = re.sub(r"(?s)```.*?```", "", (ROOT / document).read_text("utf-8"))
    return list(dict.fromkeys(re.findall(r"`([a-z_]+ [^`\n]*;)`", text)))


@pytest.mark.parametrize("line", [*_shown_in("README.md"), *_shown_in("docs/websocket.md"), *_shown_in("docs/faq.md")])
def test_lines_of_a_configuration_that_are_shown_are_accepted(tmp_path: Path, line: str) -> None:
    """In a location that passes requests on, at the level of `http`, or in an upstream."""
    texts = (
        f"upstream app {{ server 127.0.0.1:9; }} server {{ location / {{ {line} proxy_pass http://app; }} }}",
        f"{line} server {{ }}",
        f"upstream group {{ server 127.0.0.1:9; {line} }} server {{ }}",
    )
    assert any(mistakes(text, tmp_path) == [] for text in texts), mistakes(texts[0], tmp_path)


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").read_text("utf-8").count("\n") <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def paths_without_a_file(text: str) -> list[str]:
    """Find the paths in a document that lead to no file of ours. They are seen from the repository, the package, or the
    folder that the section's heading names (`## http/: sans-IO`)."""
    lost = []
    folder = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = re.match(r"## `?([a-z0-9/]+)/`?(:|$)", line)
            folder = heading[1] if heading else ""
        for path in re.findall(r"(?<![\w./*-])[\w./*-]+\.(?:py|c)\b(?![\w*])", line):
            places = (ROOT, ROOT / "src/penstock", ROOT / "src/penstock" / folder)
            if not any(any(place.glob(path)) for place in places):
                lost.append(path)
    return lost


@pytest.mark.parametrize("document", INTERNALS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    assert paths_without_a_file(document.read_text("utf-8")) == []


def names_that_are_gone(text: str) -> list[str]:
    """Find what a table of files says that they give (`name(...)`, `Name`, `.name`), and no file of that row has."""
    lost = []
    folder = ROOT / "src/penstock"
    for line in text.splitlines():
        if heading := re.match(r"## ([a-z]+)/", line):
            folder = ROOT / "src/penstock" / heading[1]
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        if not line.startswith("| `") or len(cells) != 2:
            continue
        files = [place for path in re.findall(r"`([\w/*]+\.py)`", cells[0]) for place in folder.glob(path)]
        held = "\n".join(file.read_text("utf-8") for file in files)
        for said in re.findall(r"`([^`]+)`", cells[1]) if files else ():
            name = re.match(r"\.?([a-z_]\w*)\(|([A-Z]\w*)(?![\w.])|\.([a-z_]\w*)", said)
            word = name and (name[1] or name[2] or name[3])
            if word and not re.search(rf"\b{word}\b", held) and word not in EVERYWHERE:
                lost.append(f"{cells[0].strip()}: {word}")
    return lost


EVERYWHERE = ("Exception", "ValueError", "ConfigError", "BadRequest")


def test_what_the_architecture_says_of_a_file_is_there() -> None:
    assert names_that_are_gone((ROOT / "docs/internals/architecture.md").read_text("utf-8")) == []


def test_a_name_that_is_gone_is_noticed() -> None:
    text = "## http/: sans-IO\n| `uri.py` | `normalize(path)`, `split_args(text)`, `Uri`, `.fragments` |"
    assert names_that_are_gone(text) == ["`uri.py`: split_args", "`uri.py`: Uri", "`uri.py`: fragments"]


def test_a_file_that_is_gone_is_noticed() -> None:
    text = "## http/: sans-IO\n`uri.py`, `http2_head.py`, server/engine.py, `server/http1.py`, tests/unit/nowhere/*.py"
    assert paths_without_a_file(text) == ["http2_head.py", "server/http1.py", "tests/unit/nowhere/*.py"]


def test_the_chart_of_the_phases_is_the_order_they_have() -> None:
    numbers = {name: value for name, value in vars(phases).items() if name.isupper() and name != "COUNT"}
    chart = re.search(r"(?s)## The phases\n(.*?)\n## |\Z", LIFE.read_text("utf-8"))
    assert chart is not None
    assert re.findall(r"(?m)^    ([A-Z_]+) ", chart[1]) == sorted(numbers, key=numbers.__getitem__)
    assert sorted(numbers.values()) == list(range(phases.COUNT))


@pytest.mark.parametrize("command", ["run", "test", "lint", "bench", "clean"])
def test_the_five_commands_exist(command: str) -> None:
    assert f"`make {command}`" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.search(rf"(?m)^{command}:", (ROOT / "Makefile").read_text("utf-8"))


def test_the_pages_of_the_rules_come_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`penstock check --explain` needs no clone."""
    setuptools = pytest.importorskip("setuptools")
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    about = setuptools.Distribution({"name": "x", "packages": ["penstock"], "package_dir": {"": "src"}})
    command = given["cmdclass"]["build_py"](about)
    command.build_lib = str(tmp_path)
    about.script_name = "setup.py"
    command.ensure_finalized()
    gone = tmp_path / "penstock" / "gone.py"
    gone.parent.mkdir()
    gone.write_text("import what_is_gone")
    command.run()
    assert not gone.exists()  # a module of an earlier build
    built = tmp_path / "penstock" / "data" / "rules"
    assert {page.name for page in built.iterdir()} == {page.name for page in (ROOT / "docs" / "rules").glob("*.md")}
    assert {str(page) for page in built.iterdir()} <= set(command.get_outputs())
    # A source distribution has what a distributor needs: the pages among it.
    given_out = (ROOT / "MANIFEST.in").read_text("utf-8").splitlines()
    assert {f"graft {folder}" for folder in ("docs", "packaging", "tests", "src")} <= set(given_out)
