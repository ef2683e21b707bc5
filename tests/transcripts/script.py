"""A file of a conversation, read: what it is about, its configuration, its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parent
ENDING = ".wire"
SECTIONS = ("main", "http", "server")
ALONE = ("proxy gets", "proxy reloads")
"""Lines after which a proxy is not what it was."""

_LINE = re.compile(r"([a-z][a-z0-9]*)([<>:]?)(?: +(.*))?")
_SECTION = re.compile(rf"({'|'.join(SECTIONS)}):")


@dataclass(slots=True)
class Line:
    """`who` and `sign` as in `client> ...`, `log: ...`, `proxy gets ...`; `text` is the rest, `more` the indented lines
    behind it."""

    number: int
    who: str
    sign: str
    text: str
    more: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Transcript:
    """`name` is FOLDER/FILE. The sections hold pieces of configuration, with placeholders."""

    path: Path
    about: str
    sections: dict[str, str]
    lines: list[Line]

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def word(self) -> str:
        """The name as one word, for files and upstreams."""
        return self.name.replace("/", "_").replace("-", "_")

    @property
    def alone(self) -> bool:
        """Whether it needs a proxy of its own."""
        return "main" in self.sections or any(f"{line.who} {line.text}".startswith(ALONE) for line in self.lines)

    @property
    def watched(self) -> bool:
        """Whether it says how its tunnel ends. Frames are looked at then, whatever else the configuration says."""
        return any(line.who == "ended" for line in self.lines)


def transcripts() -> list[Transcript]:
    """Read every file."""
    return [read(path) for path in sorted(DIRECTORY.glob(f"*/*{ENDING}"))]


def read(path: Path) -> Transcript:
    """Read a file; `ValueError` names the line that is wrong."""
    about: list[str] = []
    sections: dict[str, str] = {}
    lines: list[Line] = []
    section = ""
    for number, raw in enumerate(path.read_text("ascii").splitlines(), 1):
        text = raw.rstrip()
        if not text or text.startswith("#"):
            continue
        if text[0].isspace():
            if section:
                sections[section] += text + "\n"
            elif lines:
                lines[-1].more.append(text.strip())
            else:
                raise ValueError(f"{path}:{number}: what does this line belong to?")
            continue
        if found := _SECTION.fullmatch(text):
            section = found[1]
            sections[section] = ""
            continue
        if not sections:
            about.append(text)
            continue
        section = ""
        parts = _LINE.fullmatch(text)
        if parts is None:
            raise ValueError(f"{path}:{number}: this is no line of a conversation: {text}")
        lines.append(Line(number, parts[1], parts[2], parts[3] or ""))
    if not about or not lines or "server" not in sections:
        raise ValueError(f"{path}: a conversation has words on what it shows, a `server:` and lines")
    return Transcript(path, " ".join(about), sections, lines)
