"""Random WebSocket streams, good, spoiled and made of noise, against two other implementations: `make fuzz`.

    python tests/fuzz/frames.py [seconds] [seed]

Each round has a seed, which is printed when something is wrong; given again, the round is repeated. What is asked for:
a good stream is passed on unchanged and counted alike; a spoiled one is refused exactly where others refuse it, and
nothing of the wrong frame is passed on; whatever comes, memory stays bounded, no exception is raised, and the pieces
it comes in do not matter.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.protocol import Protocol
from websockets.protocol import Side as TheirSide
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from penstock.websocket import direction
from penstock.websocket.direction import BLIND, OVER, Direction
from penstock.websocket.frames import FrameSender, control_frame
from penstock.websocket.terms import DirectionLimits
from unit.websocket.streams import good_frames, pieces

# A control frame of a client without a mask goes on with one, which is random: here as it came, to be compared.
direction.control_frame = lambda opcode, payload, mask: control_frame(opcode, payload, None)  # type: ignore[assignment]

LONGEST_HELD = 131
REST = bytes(70000)
"""Others look at a frame when all of it is there; this completes any."""


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    until = time.monotonic() + seconds
    rounds = frames = 0
    while time.monotonic() < until or not rounds:
        seed = first + rounds
        try:
            frames += one_round(seed)
        except BaseException:
            print(f"seed {seed}: python {sys.argv[0]} 0 {seed}", file=sys.stderr)
            raise
        rounds += 1
    print(f"{rounds} rounds from seed {first}, {frames} frames: no difference")
    return 0


def one_round(seed: int) -> int:
    """How many frames were looked at."""
    chance = random.Random(seed)
    side = chance.choice(list(FrameSender))
    frames = good_frames(seed, chance.randrange(1, 120), side)
    data = b"".join(frames)
    good(data, side, seed, len(frames))
    spoiled(chance, data, side, seed)
    noise(chance, side, seed)
    return len(frames)


def passed(way: Direction, data: bytes, seed: int) -> bytes:
    out = bytearray()
    for piece in pieces(data, seed):
        buffer = bytearray(piece)
        out += way.feed(memoryview(buffer), 0.0)
        buffer[:] = bytes(len(buffer))
        assert len(way._held) <= LONGEST_HELD
    return bytes(out)


def good(data: bytes, side: FrameSender, seed: int, count: int) -> None:
    way = Direction(side)
    assert passed(way, data, seed) == data
    assert (way.frames, way.broken) == (count, None)
    other = FrameProtocol(client=side is FrameSender.SERVER, extensions=[])
    other.receive_bytes(data)
    got = list(other.received_frames())
    assert way.messages == sum(not each.opcode.iscontrol() and each.message_finished for each in got)
    assert way.payload == sum(len(each.payload) for each in got if not each.opcode.iscontrol())


def spoiled(chance: random.Random, data: bytes, side: FrameSender, seed: int) -> None:
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(changed))
        changed[place] = chance.randrange(256)
    same_anywhere(bytes(changed), side, seed)
    theirs = Protocol(TheirSide.SERVER if side is FrameSender.CLIENT else TheirSide.CLIENT, max_size=None)
    theirs.receive_data(bytes(changed) + REST)
    way = Direction(side)
    out = passed(way, bytes(changed), seed)
    if way.broken is not None:
        assert changed.startswith(out)
        assert theirs.parser_exc is not None, way.wrong
        try:
            other = FrameProtocol(client=side is FrameSender.SERVER, extensions=[])
            other.receive_bytes(bytes(changed) + REST)
            assert any(each.opcode == 8 for each in other.received_frames()), way.wrong
        except ParseFailed:
            pass


def noise(chance: random.Random, side: FrameSender, seed: int) -> None:
    same_anywhere(chance.randbytes(chance.randrange(300)), side, seed)


def same_anywhere(data: bytes, side: FrameSender, seed: int) -> None:
    for options in (
        {},
        {"rsv": 0x40},
        {"rsv": 0x70},
        {"limits": DirectionLimits(300, 200, 5.0, 50)},
        {"lenient": True},
    ):
        one, two = Direction(side, **options), Direction(side, **options)  # type: ignore[arg-type]
        out = bytes(one.feed(data, 0.0))
        assert passed(two, data, seed) == out
        for name in ("frames", "messages", "payload", "pings", "pongs", "close_code", "broken", "wrong", "mode"):
            assert getattr(one, name) == getattr(two, name), name
        assert data.startswith(out)
        if one.mode not in (OVER, BLIND):
            assert out + one._held == data


if __name__ == "__main__":
    sys.exit(main())
