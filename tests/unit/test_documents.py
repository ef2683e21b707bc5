"""What the documents show is what the repository holds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_readme_shows_the_demo_s_configuration() -> None:
    shown = re.search(r"(?s)```nginx\n(.*?)```", (ROOT / "README.md").read_text("utf-8"))
    assert shown is not None
    assert shown[1] == (ROOT / "demo" / "nginx.conf").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("command", ["run", "test", "lint", "bench", "clean"])
def test_the_five_commands_exist(command: str) -> None:
    assert f"`make {command}`" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.search(rf"(?m)^{command}:", (ROOT / "Makefile").read_text("utf-8"))
