"""`json_set`: mistakes in its lines."""

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.config.errors import ConfigFailed


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("json_set a $uri b;", 'invalid variable name "a"'),
        ("json_set $a uri b;", 'invalid variable name "uri"'),
        ("json_set $a $uri '';", "empty json_set path"),
        ("json_set $a $uri a..b;", 'invalid json_set path "a..b"'),
        ("json_set $a $uri b; json_set $A $uri c;", 'json_set variable "a" is already defined'),
        ("json_set $uri $arg_a b;", 'the duplicate "uri" variable'),
        ("json_set $a $nothing b;", 'unknown "nothing" variable'),
        ("json_max_depth 0;", "value must be between 1 and 256"),
        ("json_max_depth 257;", "value must be between 1 and 256"),
        ("json_max_depth x;", "invalid number"),
    ],
)
def test_mistakes(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ConfigFailed) as failed:
        compiled(f"events {{ }} http {{ {lines} server {{ listen 80; }} }}", tmp_path)
    assert [each.message for each in failed.value.problems] == [message]
