"""Frames that somebody looks at: each told once, whole, in its order, however its bytes come; and where nobody knows
where one begins, none that is none."""

import random

from hypothesis import given
from hypothesis import strategies as st

from penstock.websocket.frames import FrameSender
from penstock.websocket.watcher import FrameWatcher, SeenFrame, Synchroniser, unmasked

MASK = b"\x11\x92\xf3\x04"


def frame(payload: bytes, opcode: int = 1, *, final: bool = True, rsv: int = 0, mask: bytes = b"") -> bytes:
    size = len(payload)
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if final else 0) | rsv | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 0x10000:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + mask + (unmasked(payload, mask) if mask else payload)


SIZES = st.sampled_from([0, 1, 5, 125, 126, 300, 70_000])
FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 2, 8, 9, 10]), SIZES, st.booleans(), st.sampled_from([0, 0x40])))


@given(FRAMES, st.booleans(), st.randoms(use_true_random=False))
def test_every_frame_once(script: list[tuple[int, int, bool, int]], client: bool, chance: random.Random) -> None:
    mask = MASK if client else b""
    wanted, data = [], b""
    for opcode, size, final, rsv in script:
        if opcode >= 8:
            size, final, rsv = min(size, 125), True, 0
        payload = bytes(index % 251 for index in range(size))
        data += frame(payload, opcode, final=final, rsv=rsv, mask=mask)
        wanted.append((opcode, final, rsv, size, payload))
    watcher = FrameWatcher(FrameSender.CLIENT if client else FrameSender.SERVER, 200, 1000)
    seen: list[SeenFrame] = []
    at = 0
    while at < len(data):
        step = chance.choice([1, 2, 3, 50, 40_000])
        seen += watcher.feed(memoryview(data)[at : at + step])
        at += step
    assert [each[:4] for each in seen] == [each[:4] for each in wanted]
    for found, (*_, payload) in zip(seen, wanted, strict=True):
        assert found.payload in (payload[:200], payload[:1000]) and len(found.payload) >= min(200, len(payload), 125)
    assert watcher.at_boundary and not watcher.lost


def test_from_the_middle_of_a_frame() -> None:
    data = frame(b"x" * 50) + frame(b"next")
    watcher = FrameWatcher(FrameSender.SERVER, 100, 100, skip=30)
    assert watcher.feed(data[22:]) == [SeenFrame(1, True, 0, 4, b"next")]
    # Half a header was kept by who looked before.
    watcher = FrameWatcher(FrameSender.SERVER, 100, 100, held=data[:1])
    assert [each.size for each in watcher.feed(data[1:])] == [50, 4]


def test_what_can_be_no_frame_is_not_told() -> None:
    for data in (b"\x83\x00", b"\x81\xfe\x00\x05aaaa", b"\x89\x7e\x00\xff", b"\x09\x00", b"\xc9\x00"):
        watcher = FrameWatcher(FrameSender.SERVER, 100, 100)
        assert watcher.feed(data) == [] and watcher.lost


def test_a_boundary_is_found_where_a_read_is_whole_frames() -> None:
    found = Synchroniser(FrameSender.CLIENT, 100, 100)
    whole = frame(b"hello", mask=MASK) + frame(b"again", mask=MASK)
    assert found.feed(whole[9:]) == []  # from the middle of one: nobody can tell
    assert found.take_unseen() == len(whole) - 9
    assert [each.payload for each in found.feed(whole)] == [b"hello", b"again"]
    # From here on it is known, wherever reads are cut.
    assert found.feed(whole[:5]) == []
    assert [each.payload for each in found.feed(whole[5:])] == [b"hello", b"again"]


def test_a_boundary_is_found_after_three_headers_in_a_row() -> None:
    found = Synchroniser(FrameSender.SERVER, 100, 100)
    frames = [frame(b"%d" % number * 40) for number in range(4)]
    data = b"".join(frames)
    assert found.feed(data[:60]) == [] and found.feed(data[60:100]) == []
    assert len(found.feed(data[100:])) == 4


@given(st.binary(min_size=20, max_size=2000))
def test_noise_is_hardly_taken_for_frames(noise: bytes) -> None:
    """Whatever comes, it ends, and what is counted as bytes is not told as frames."""
    found = Synchroniser(FrameSender.CLIENT, 10, 10)
    for at in range(0, len(noise), 97):
        found.feed(noise[at : at + 97])
    assert 0 <= found.take_unseen() <= len(noise)


def test_random_pieces_of_large_messages_are_no_frames() -> None:
    chance = random.Random(7)
    found = Synchroniser(FrameSender.CLIENT, 10, 10)
    told = sum(len(found.feed(chance.randbytes(chance.randrange(1000, 5000)))) for _ in range(2000))
    assert told <= 6
