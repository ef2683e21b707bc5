"""Memory that processes share: records, windows, locks."""

import os
import signal
import struct
import time

import pytest

from penstock.shared.zone import RECORD, WINDOW, Zone

PAIR = struct.Struct("<Qq")


def test_records_are_found_changed_and_removed() -> None:
    zone = Zone("one", 1 << 15)
    digests = [zone.digest(f"key {number}") for number in range(200)]
    with zone:
        for number, digest in enumerate(digests):
            assert zone.find(digest) == -1
            assert zone.put(digest, PAIR.pack(number, -number)) >= 0
        for number, digest in enumerate(digests):
            at = zone.find(digest)
            assert zone.read(at, PAIR) == (number, -number)
            zone.write(at, PAIR.pack(number + 1, 7))
            assert zone.read(at, PAIR) == (number + 1, 7)
        zone.remove(zone.find(digests[0]))
        assert zone.find(digests[0]) == -1
        assert zone.find(digests[1]) >= 0


def test_a_digest_in_the_value_of_another_is_not_taken_for_a_record() -> None:
    zone = Zone("one", RECORD * WINDOW)
    wanted, other = zone.digest("wanted"), zone.digest("other")
    zone.put(other, wanted)
    assert zone.find(wanted) == -1
    zone.put(wanted, bytes(16))
    assert zone.find(wanted) == RECORD


def test_it_never_grows() -> None:
    zone = Zone("one", RECORD * WINDOW)
    for number in range(WINDOW):
        assert zone.put(zone.digest(str(number)), bytes(16)) == number * RECORD
    assert zone.put(zone.digest("one more"), bytes(16)) == -1
    assert len(list(zone.neighbours(zone.digest("any")))) == WINDOW
    assert len(zone.memory) == RECORD * WINDOW


def test_keys_are_spread_so_that_half_a_zone_can_be_filled() -> None:
    zone = Zone("one", 1 << 18)
    records = len(zone.memory) // RECORD
    places = [zone.put(zone.digest(f"10.0.0.{number}"), bytes(16)) for number in range(records // 2)]
    # Digests are others each time: now and then a window is full, but not that of one key in a hundred.
    assert places.count(-1) < records // 200


def test_too_small() -> None:
    with pytest.raises(ValueError, match="at least 1024 bytes"):
        Zone("one", RECORD * WINDOW - 1)


def in_child(action) -> int:
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            os._exit(0)
    return pid


def test_processes_see_the_same_and_exclude_each_other() -> None:
    zone = Zone("counter", 1 << 12)
    digest = zone.digest("k")
    at = zone.put(digest, PAIR.pack(0, 0))

    def count() -> None:
        for _ in range(500):
            with zone:
                seen, _ = zone.read(at, PAIR)
                zone.write(at, PAIR.pack(seen + 1, 0))

    for pid in [in_child(count) for _ in range(3)]:
        os.waitpid(pid, 0)
    assert zone.read(at, PAIR) == (1500, 0)


def test_the_lock_of_who_is_killed_is_free() -> None:
    zone = Zone("one", 1 << 12)
    digest = zone.digest("held")

    def hold() -> None:
        with zone:
            zone.put(digest, bytes(16))
            time.sleep(20)

    pid = in_child(hold)
    deadline = time.monotonic() + 15
    while zone.find(digest) < 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    with zone:
        assert time.monotonic() - started < 15
    os.waitpid(pid, 0)
