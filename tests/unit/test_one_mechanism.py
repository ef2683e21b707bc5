"""What several rooms need is made in one of them: a second copy would drift away from the first."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "penstock"

ONE_ROOM = {
    "the words for an error of the system": (r"\{[\w.]+\}: \{os\.strerror|errno[^{}]*\}: \{", {"config/os_errors.py"}),
    "the name of a socket": (r"\}\]:\{|\[\{[\w.]*(?:host|address)[^}]*\}\]", {"config/addresses.py"}),
    "whether a process is alive": (r"os\.kill\([^()]*(?:\([^()]*\)[^()]*)*, 0\)", {"shared/processes.py"}),
    "memory that processes share": (r"\bmmap\.mmap\(", {"shared/memory.py"}),
    "waiting for a child": (r"\bos\.(?:waitpid|wait|wait3|wait4|waitid)\(", {"process/children.py"}),
}


@pytest.mark.parametrize("what", ONE_ROOM)
def test_is_made_in_one_room_only(what: str) -> None:
    pattern, rooms = ONE_ROOM[what]
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found == rooms
