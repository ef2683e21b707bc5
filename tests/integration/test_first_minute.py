"""The commands of docs/first-minute.md, typed anew."""

import subprocess
import sys
from pathlib import Path

from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_the_first_minute_still_goes_like_that() -> None:
    front, back = free_port(), free_port()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "first_minute.py"), "--print", "--ports", str(front), str(back)],
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace(str(front), "8080").replace(str(back), "3000")
    for words in (
        "$ penstock proxy --from :8080 --to localhost:3000",
        "101, the WebSocket is open",
        "a message comes back as it was",
        "survives 3 s of silence",
        "got no usable answer from the application",
        "nothing found",
        "^C",
    ):
        assert words in shown
    assert "Traceback" not in shown
    recorded = (ROOT / "docs" / "first-minute.md").read_text("utf-8")
    assert commands(recorded) == commands(shown)


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("$ ")]
