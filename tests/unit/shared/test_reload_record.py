"""The last reload, as the master tells it."""

from penstock.shared.reload_record import ReloadMemory, ReloadRecord


def test_from_the_start_to_a_bad_reload() -> None:
    memory = ReloadMemory()
    assert memory.read() == ReloadRecord()
    memory.begin(100.0)
    memory.begin(200.0)
    assert memory.read().time == 100.0, "a start is noted once"
    memory.ended(2, 300.0, 0.25, succeeded=True)
    memory.ended(2, 400.0, 0.5, succeeded=False)
    assert memory.read() == ReloadRecord(2, 1, 1, 400.0, 0.5, succeeded=False)
