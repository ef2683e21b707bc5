"""Healths that lie side by side in shared memory, and are taken by others later."""

from penstock.upstream.peers.zone_table import RECORD, PeerTable


def test_neighbours_in_a_zone_do_not_touch() -> None:
    table = PeerTable("z", 8 * RECORD)
    healths = [table.health(table.record(str(at))) for at in range(7)]
    for at, each in enumerate(healths):
        each.missed(float(at), f"reason {at} " * 10)
        each.time(at, at)
    assert [(each.last_at, each.why[:8], each.timed) for each in healths] == [
        (float(at), f"reason {at}", 1) for at in range(7)
    ]


def test_a_record_that_is_taken_again_begins_without_a_past() -> None:
    table = PeerTable("z", 3 * RECORD)
    number = table.record("a")
    table.health(number).put_out(1.0)
    table.retire(lambda number, key: False)
    assert table.record("b") == number
    assert table.health(number).usable
