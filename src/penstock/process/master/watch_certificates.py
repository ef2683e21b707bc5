"""Certificates that are renewed while the program runs (`ssl_certificate_watch`): their files are looked at once a
second, and read when they have changed and then stayed as they are for one look.

Nothing else of the configuration is read anew. What can not be used is reported, and the certificates before stay until
the files change again.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from penstock.config.inputs import Record, Stamp, stamp_of

EVERY = 1.0
"""Seconds between two looks."""

AT_ONCE = 500
"""Files that may be looked at in a second; of more each comes less often."""


class FileWatch:
    """Over files, by their names in latin-1, and the record of how they were read; `due` is when to look again, on
    the monotonic clock."""

    __slots__ = ("_every", "_last", "_read", "_tried", "due")

    def __init__(self, names: Iterable[str], record: Record) -> None:
        self._read = {name: record.stamp(name) for name in names}
        self._last = dict(self._read)
        self._tried: dict[str, Stamp] = {}
        self._every = max(EVERY, len(self._read) / AT_ONCE)
        self.due = monotonic() + self._every

    def changed(self) -> set[str]:
        """Return the files that are to be read anew: those that are not as they were read, once nothing changes any
        more. They are not named again before one of them has changed again."""
        self.due = monotonic() + self._every
        now = {name: stamp_of(name) for name in self._read}
        changed = {name: stamp for name, stamp in now.items() if stamp != self._read[name]}
        calm = now == self._last
        self._last = now
        if not changed or not calm or changed == self._tried or None in changed.values():
            return set()
        self._tried = changed
        return set(changed)

