"""The client behind trusted proxies."""

import pytest

from penstock.config.values import network
from penstock.modules.core.forwarded import endpoint, forwarded

TRUSTED = [network("127.0.0.1"), network("10.0.0.0/8"), network("unix:")]


@pytest.mark.parametrize(
    ("address", "values", "once", "recursive"),
    [
        ("9.9.9.9", ["1.1.1.1"], ("9.9.9.9", 0), ("9.9.9.9", 0)),
        ("127.0.0.1", [], ("127.0.0.1", 0), ("127.0.0.1", 0)),
        ("127.0.0.1", [""], ("127.0.0.1", 0), ("127.0.0.1", 0)),
        ("127.0.0.1", ["1.1.1.1"], ("1.1.1.1", 0), ("1.1.1.1", 0)),
        ("127.0.0.1", ["1.1.1.1, 10.0.0.1"], ("10.0.0.1", 0), ("1.1.1.1", 0)),
        ("127.0.0.1", ["2.2.2.2", "1.1.1.1,10.0.0.1:7 ,"], ("10.0.0.1", 7), ("1.1.1.1", 0)),
        ("127.0.0.1", ["10.0.0.2", "10.0.0.1"], ("10.0.0.1", 0), ("10.0.0.2", 0)),
        ("127.0.0.1", ["1.1.1.1, x"], ("127.0.0.1", 0), ("127.0.0.1", 0)),
        ("127.0.0.1", ["1.1.1.1, x, 10.0.0.1"], ("10.0.0.1", 0), ("10.0.0.1", 0)),
        ("unix:", ["[2001:db8::1]:443"], ("2001:db8::1", 443), ("2001:db8::1", 443)),
    ],
)
def test_forwarded(address: str, values: list[str], once: object, recursive: object) -> None:
    assert forwarded(address, values, TRUSTED, recursive=False) == once
    assert forwarded(address, values, TRUSTED, recursive=True) == recursive


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("::1", ("::1", 0)),
        ("[::1]", ("::1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]80", None),
        ("[::1", None),
        ("10.0.0.1:x", None),
        ("10.0.0.1:70000", None),
        ("unknown", None),
        ("all", None),
        ("10.0.0.0/8", None),
        ("", None),
    ],
)
def test_endpoint(text: str, expected: object) -> None:
    assert endpoint(text) == expected
