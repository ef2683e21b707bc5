"""Names of hosts, whole and with masks, as nginx looks them up."""

import pytest

from penstock.config.host_names import HostNames, is_mask_or_name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.b", "a.b"),
        ("x.a.b", "*.a.b"),
        (".a.b", "*.a.b"),
        ("y.x.a.b", "*.x.a.b"),
        ("c.x", "c.*"),
        ("c.", "c.*"),
        (".c.x", None),
        ("c.d.x", "c.d.*"),
        ("d.e", ".d.e"),
        ("x.d.e", ".d.e"),
        ("b", None),
        ("", None),
    ],
)
def test_the_longest_counts(host: str, expected: str | None) -> None:
    names: HostNames[str] = HostNames()
    for name in ("a.b", "*.a.b", "*.x.a.b", "c.*", "c.d.*", ".d.e"):
        assert names.add(name, name) is None
    assert names.find(host) == expected


def test_who_comes_first_keeps_a_name() -> None:
    names: HostNames[str] = HostNames()
    assert not names
    assert names.add(".a.b", "first") is None
    assert names.add("a.b", "second") == names.add("*.a.b", "second") == names.add(".a.b", "second") == "first"
    assert names.add("c.d", "third") is None
    assert names.add(".c.d", "fourth") == "third"
    assert names.find("x.c.d") is None, "not half of two names in one"
    assert set(names.values()) == {"first", "third"}
    assert names


@pytest.mark.parametrize(
    ("name", "good"),
    [(name, True) for name in ("a.b", "*.a", "a.*", ".a", "")]
    + [(name, False) for name in ("a..b", "*", "a*", "*a", "a.*.b", "*.a.*", "a\0")],
)
def test_masks(name: str, good: bool) -> None:
    assert is_mask_or_name(name) is good
