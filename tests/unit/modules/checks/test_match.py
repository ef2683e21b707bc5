"""What is said of mistakes in a `match`."""

from pathlib import Path

import pytest

from harness.site import mistakes


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("status;", 'invalid number of arguments in "status" directive'),
        ("status !;", 'invalid number of arguments in "status" directive'),
        ("status 2xx;", 'invalid parameter "2xx" in "status" directive'),
        ("status 300-200;", 'invalid parameter "300-200" in "status" directive'),
        ("header A == b;", 'invalid parameter "==" in "header" directive'),
        ("header A b;", 'invalid number of arguments in "header" directive'),
        ("body = ok;", 'invalid parameter "=" in "body" directive'),
        ("body ~ '(';", 'invalid regular expression "("'),
        ("require many;", 'invalid parameter "many" in "require" directive'),
        ("status 200; status 201;", '"status" directive is duplicate'),
        ("send x;", 'unknown directive "send" in "match"'),
    ],
)
def test_mistakes(inside: str, message: str, tmp_path: Path) -> None:
    found = mistakes(f"match m {{ {inside} }}", tmp_path)
    assert len(found) == 1
    assert found[0].startswith(message)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    assert mistakes("match m { } match m { }", tmp_path) == ['duplicate match "m"']
