"""Random conversations through both relays, good and spoiled, cut anywhere: `make fuzz`.

    python tests/fuzz/watched.py [seconds] [seed]

Each round has a seed, which is printed when something is wrong; given again, the round is repeated. What is asked for
is in tests/unit/server/websocket/test_watching.py: the same bytes, figures and ends, whichever relay it was.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest

from unit.server.websocket.test_watching import test_good_streams, test_slow_readers, test_spoiled_streams


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    until = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < until or not rounds:
        seed = first + rounds
        for play in (test_good_streams, test_spoiled_streams, test_slow_readers):
            with pytest.MonkeyPatch.context() as patched:
                try:
                    play(patched, seed)
                except BaseException:
                    print(f"{play.__name__}, seed {seed}: python {sys.argv[0]} 0 {seed}", file=sys.stderr)
                    raise
        rounds += 1
    print(f"{rounds} rounds from seed {first}: no difference between the relays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
