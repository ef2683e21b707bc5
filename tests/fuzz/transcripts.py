"""Play the conversations of tests/transcripts in small pieces, and spoiled: `make fuzz`.

    python tests/fuzz/transcripts.py [seconds] [seed]

What a client sends may come in pieces, however small, and the conversation is the same. Spoiled, with one byte changed,
left out or put in, or all that follows it cut off, it may become another; but the proxy survives: the next good one
comes true, no log has an internal error, and no connection and no descriptor is left. A round has a seed, which is
printed when something is wrong; given again, the round is repeated.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.waiting import eventually
from transcripts.player import Departed, Player
from transcripts.script import Transcript, transcripts
from transcripts.site import Site

AT_ONCE = 0.25
"""Seconds for which a spoiled conversation waits for anything: it mostly waits in vain."""
BETWEEN = 20
"""Spoiled conversations before the proxy is looked at."""


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    chosen = [each for each in transcripts() if not each.alone and not anywhere(each)]
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with Site(chosen) as site:
        while time.monotonic() < until or not done:
            try:
                one_round(random.Random(seed), chosen, site, done)
            except BaseException:
                print(f"seed {seed}: python {sys.argv[0]} 0 {seed}", file=sys.stderr)
                raise
            seed += 1
    print(f"{done['pieces']} conversations in pieces, {done['spoiled']} spoiled: the proxy is as it was")
    return 0


def anywhere(transcript: Transcript) -> bool:
    """Whether its client says where the proxy shall connect to, which a changed byte would make any place."""
    return "tunnel_pass;" in "".join(transcript.sections.values())


def one_round(chance: random.Random, chosen: list[Transcript], site: Site, done: Counter[str]) -> None:
    for _ in range(BETWEEN):
        transcript = chance.choice(chosen)
        with suppress(Departed):
            Player(transcript, site, AT_ONCE, spoil=Spoiler(chance, sent_in(transcript, site))).play()
        done["spoiled"] += 1
    site.settled()
    # What the first round has left open once, such as a temporary file, is there for good.
    most = done["descriptors"] = done["descriptors"] or site.descriptors()
    eventually(lambda: site.descriptors() <= most, why=f"{site.descriptors()} descriptors are open, not {most}")
    assert not site.troubles(), "\n".join(site.troubles())
    transcript = chance.choice(chosen)
    Player(transcript, site, pieces=chance.choice((1, 1, 2, 3, 7))).play()
    done["pieces"] += 1


class Spoiler:
    """Spoils one byte of all that the clients send, or the backends, wherever it comes."""

    def __init__(self, chance: random.Random, sizes: tuple[int, int]) -> None:
        self.chance = chance
        self.clients = chance.random() < 0.7
        size = sizes[self.clients]
        self.left = chance.randrange(size) if size else -1
        self.cut = False

    def __call__(self, name: str, data: bytes) -> bytes:
        if name.startswith("client") is not self.clients:
            return data
        if self.cut:
            return b""
        at, self.left = self.left, self.left - len(data)
        if not 0 <= at < len(data):
            return data
        before, one, behind = data[:at], data[at : at + 1], data[at + 1 :]
        match self.chance.randrange(5):
            case 0:
                return before + behind
            case 1:
                return before + one + self.chance.choice((one, b"\0", b"\r", b"\n", b" ", b"\xff")) + behind
            case 2:
                self.cut = True
                return before
            case 3:
                return before + bytes((one[0] ^ 1 << self.chance.randrange(8),)) + behind
        return before + self.chance.choice((b"\0", b"\r", b"\n", b" ", b":", b"\x7f", b"\x80", b"\xff")) + behind


_sizes: dict[str, tuple[int, int]] = {}


def sent_in(transcript: Transcript, site: Site) -> tuple[int, int]:
    """How many bytes the backends send in it, and the clients. It is played for that, once, and must come true."""
    if transcript.name not in _sizes:
        sizes = [0, 0]

        def note(name: str, data: bytes) -> bytes:
            sizes[name.startswith("client")] += len(data)
            return data

        Player(transcript, site, spoil=note).play()
        _sizes[transcript.name] = sizes[0], sizes[1]
    return _sizes[transcript.name]


if __name__ == "__main__":
    sys.exit(main())
