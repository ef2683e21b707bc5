"""The commands that the documents show: the blocks of shell in them, and the table of what stands for those that are
not typed by the test that types the others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "pages.txt"

_BLOCK = re.compile(r"(?ms)^ *```(sh|console)\n(.*?)^ *```")
_COMMENT = re.compile(r"(?:^|\s+)#\s.*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page, the `number`th of it. A `script` is run as a whole; else each of `lines` is typed."""

    page: str
    number: int
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.page}-{self.number}"

    def commands(self) -> tuple[str, ...]:
        """Its lines without the comments at their ends."""
        return tuple(found for line in self.lines if (found := _COMMENT.sub("", line).strip()))


@dataclass(frozen=True, slots=True)
class Exemption:
    """Commands of pages (patterns of file names) that `why` stands for: a test that runs them, or the reason why none
    can."""

    pages: str
    command: str
    why: str

    def covers(self, page: str, command: str) -> bool:
        return fnmatch(page, self.pages) and self.command in ("*", command)


def pages() -> list[Path]:
    """All that people read, the README first."""
    folders = ("docs", "examples", "bench", "experiments", "packaging")
    return [*sorted(ROOT.glob("*.md")), *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.md")))]


def blocks() -> Iterator[Block]:
    """Every block of every page."""
    for path in pages():
        page = str(path.relative_to(ROOT))
        for number, found in enumerate(_BLOCK.finditer(path.read_text("utf-8")), 1):
            lines = found[2].splitlines()
            if found[1] == "console":
                lines = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
            yield Block(page, number, tuple(lines))


def exemptions() -> list[Exemption]:
    """The table: `pages | command | why`, a line each."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [Exemption(*(part.strip() for part in line.split(" | "))) for line in lines]
