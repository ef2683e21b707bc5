"""What has been said lately, by whichever worker and by whichever configuration: a hint is for a person, who reads it
once."""

from __future__ import annotations

import struct

from penstock.config.key import Key
from penstock.shared.zone import Zone

HINTS: Key[Hints] = Key("hints")
"""The key of the plan's `shared` under which they are."""

SIZE = 32768
_when = struct.Struct("<dd")


class Hints(Zone):
    """Shared memory that knows when which hint was given last, on the clock that all processes share. Of very many the
    oldest are forgotten."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(HINTS.name, SIZE)

    def may_say(self, key: str, now: float, pause: float) -> bool:
        """Return whether nobody has said it for `pause` seconds; from now on somebody has."""
        digest = self.digest(key)
        said = _when.pack(now, 0.0)
        with self:
            at = self.find(digest)
            if at >= 0:
                if 0 <= now - self.read(at, _when)[0] < pause:
                    return False
                self.write(at, said)
            elif self.put(digest, said) < 0:
                oldest = min(self.neighbours(digest), key=lambda record: _when.unpack(record[1])[0])
                self.remove(oldest[0])
                self.put(digest, said)
        return True
