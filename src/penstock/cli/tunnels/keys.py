"""Keys that are pressed at a terminal, one at a time, without Enter."""

from __future__ import annotations

import os
import select
import termios
import tty
from time import monotonic
from types import TracebackType
from typing import Any

ESCAPE, ENTER, BACKSPACE = "\x1b", "\n", "\x7f"


class Keyboard:
    """The keys of a terminal while it is entered; -1 for none, which is silent. What was set before is set again."""

    def __init__(self, fd: int) -> None:
        self._fd = fd if fd >= 0 and os.isatty(fd) else -1
        self._before: list[Any] | None = None  # Any: as termios has it

    def __enter__(self) -> Keyboard:
        if self._fd >= 0:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """Wait for a key, so long at most; "" for none. Keys that send several characters (arrows) are none."""
        deadline = monotonic() + seconds
        while True:
            left = deadline - monotonic()
            watched = [self._fd] if self._fd >= 0 else []
            ready, _, _ = select.select(watched, [], [], max(0.0, left))
            if not ready:
                return ""
            text = os.read(self._fd, 64).decode("utf-8", "ignore")
            if not text:  # the terminal is gone
                self._fd = -1
            elif text == "\r":
                return ENTER
            elif text == "\b":
                return BACKSPACE
            elif len(text) == 1:
                return text
