"""What Redis is told: never less than there is."""

import struct

from penstock.modules.fleet.holdings import BATCH, Holdings

A, B = b"a" * 16, b"b" * 16


def told(packed):
    return dict(struct.iter_unpack("<16sI", packed))


def test_places_that_are_held() -> None:
    holdings = Holdings()
    holdings.hold((A,))
    holdings.hold((A,))
    holdings.leave((A,))
    assert told(holdings.pack([A, B])) == {A: 1, B: 0}
    holdings.leave((A,))
    assert holdings.held == {}
    holdings.leave((A,))
    assert told(holdings.pack([A])) == {A: 0}


def test_what_is_asked_for_counts_and_stays_in_doubt() -> None:
    holdings = Holdings()
    holdings.ask((A,))
    holdings.doubtful.add(A)
    assert told(holdings.pack([A])) == {A: 1}
    assert holdings.doubtful == {A}
    holdings.hear((A,))
    assert holdings.asked == {}
    assert told(holdings.pack([A])) == {A: 0}
    assert holdings.doubtful == set()


def test_batches_hold_everything_once() -> None:
    holdings = Holdings()
    digests = [number.to_bytes(16, "big") for number in range(BATCH * 2 + 1)]
    for digest in digests:
        holdings.hold((digest,))
        holdings.doubtful.add(digest)
    batches = list(holdings.batches())
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1]
    assert sorted(digest for batch in batches for digest in batch) == digests
    assert len(holdings.some_doubtful()) == BATCH
    assert list(Holdings().batches()) == [[]]
