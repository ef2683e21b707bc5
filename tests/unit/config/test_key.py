"""Keys belong to who defines them: two of one name are two."""

from penstock.config.key import Key, KeyedValues

NAMES: Key[list[str]] = Key("names")
OTHERS: Key[list[str]] = Key("names")


def test_a_value_is_found_by_its_key_alone() -> None:
    kept = KeyedValues()
    kept[NAMES] = ["a"]
    assert kept[NAMES] == ["a"]
    assert kept.get(OTHERS) is None
    assert NAMES in kept
    assert OTHERS not in kept


def test_what_is_kept_first_stays() -> None:
    kept = KeyedValues()
    kept.setdefault(NAMES, []).append("a")
    kept.setdefault(NAMES, []).append("b")
    assert kept[NAMES] == ["a", "b"]


def test_a_key_says_its_name() -> None:
    assert repr(NAMES) == "<key names>"
