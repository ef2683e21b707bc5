"""Who has more than its share of connections lets others go first, but waits for nobody who does not come."""

from penstock.server.balance import Balance
from penstock.shared.rows import LOADS, Rows


def test_is_ahead_of_who_has_fewer_until_that_one_takes_none() -> None:
    rows = Rows(LOADS.name, 1, 0)
    mine, other = rows.share(), rows.share()
    assert mine is not None and other is not None
    live = 100
    balance = Balance(mine, lambda: live)
    other.put((95,))
    assert not balance.ahead()
    other.put((50,))
    assert balance.ahead()
    assert not balance.ahead()  # it has taken nothing meanwhile
    other.put((58,))
    assert balance.ahead()
    live = 70
    assert not balance.ahead()


def test_an_eighth_of_many_is_nothing() -> None:
    rows = Rows(LOADS.name, 1, 0)
    mine, other = rows.share(), rows.share()
    assert mine is not None and other is not None
    other.put((1000,))
    assert not Balance(mine, lambda: 1130).ahead()
    assert Balance(mine, lambda: 1200).ahead()


def test_alone_nobody_is_ahead() -> None:
    row = Rows(LOADS.name, 1, 0).share()
    assert row is not None
    assert not Balance(row, lambda: 1000).ahead()
