"""The static table, beside another implementation's."""

from hpack.table import HeaderTable

from penstock.http.h2.static_table import STATIC


def test_every_field_has_its_number() -> None:
    assert STATIC[1:] == tuple((bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE)
