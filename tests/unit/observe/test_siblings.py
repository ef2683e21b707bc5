"""What several workers say of their tunnels, put together."""

from time import monotonic

from penstock.observe.siblings import oldest_first


def test_the_order_does_not_depend_on_who_was_asked_first() -> None:
    began = monotonic() - 100

    def answers(late: float, *, turned: bool) -> list[dict]:
        """Two workers; the second is asked `late` seconds after the first, and so its tunnels seem older."""
        first = {
            "pid": 1,
            "tunnels": [
                {"id": "1-1", "age": 100.000, "opened": began},
                {"id": "1-2", "age": 99.998, "opened": began + 0.002},
                {"id": "1-3", "age": 99.998, "opened": began + 0.002},
            ],
        }
        second = {
            "pid": 2,
            "tunnels": [
                {"id": "2-1", "age": 99.999 + late, "opened": began + 0.001},
                {"id": "2-2", "age": 99.998 + late, "opened": began + 0.002},
            ],
        }
        return [second, first] if turned else [first, second]

    for late in (0.0, 0.5):
        for turned in (False, True):
            found = oldest_first(answers(late, turned=turned))
            assert [entry["id"] for entry in found] == ["1-1", "2-1", "1-2", "1-3", "2-2"]
            assert all(99 < entry["age"] < 160 and "opened" not in entry for entry in found)


def test_a_worker_of_an_older_version_says_no_more_than_the_age() -> None:
    old = {"pid": 1, "tunnels": [{"id": "1-1", "age": 7.0}, {"id": "1-2", "age": 1.0}]}
    new = {"pid": 2, "tunnels": [{"id": "2-1", "age": 3.0, "opened": monotonic() - 3.0}]}
    assert [entry["id"] for entry in oldest_first([old, new])] == ["1-1", "2-1", "1-2"]
