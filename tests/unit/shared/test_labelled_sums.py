"""Sums under labels: those of all workers, of the dead, and of more labels than there is room for."""

from penstock.shared.labelled_sums import MOST, OTHER, LabelledSums, Sums

ONE, TWO = ("a.example", "app", "10.0.0.1:80"), ("a.example", "app", "10.0.0.2:80")


def table() -> LabelledSums:
    return LabelledSums("test", 2, 3)


def test_workers_add_up_and_the_dead_have_nothing_open() -> None:
    made = table()
    with made:
        place = made.add(ONE, [1, 2], 5, 1, -1, 0.0)
        made.add(ONE, [10, 0], 7, 2, -1, 0.0)
        made.add(TWO, [0, 1], 1, 2, place, 0.0)  # a hint that is wrong
        assert made.add(ONE, [0, 0], 4, 1, place, 1.0) == place
    assert made.sums([1, 2]) == [
        Sums((OTHER, OTHER, OTHER), [0, 0], 0), Sums(ONE, [11, 2], 11), Sums(TWO, [0, 1], 1),
    ]  # fmt: skip
    assert [each.open for each in made.sums([1])] == [0, 4, 0]
    made.begin(2)
    assert [each.open for each in made.sums([1, 2])] == [0, 4, 0]


def test_what_has_no_room_counts_as_other() -> None:
    """Who has been silent for longest makes room; nobody does who has something open."""
    made = table()
    with made:
        for number in range(1, MOST):
            made.add(("s", "u", str(number)), [1, 0], 1 if number != 7 else 0, 1, -1, float(number))
        made.add(("s", "u", "new"), [5, 0], 1, 1, -1, 5000.0)
        made.add(("s", "u", "newer"), [3, 0], 1, 1, -1, 5001.0)
        made.add(("s", "u", "x" * 600), [1, 0], 0, 1, -1, 5002.0)
    found = {each.labels: each.sums[0] for each in made.sums([1])}
    assert len(found) == MOST
    assert ("s", "u", "7") not in found
    assert found["s", "u", "new"] == 5
    assert found[OTHER, OTHER, OTHER] == 4
