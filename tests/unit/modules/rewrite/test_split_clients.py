"""split_clients: shares, and the hash behind them."""

import pytest

from harness.site import Site, mistakes
from penstock.modules.rewrite.split_clients import murmur2


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"a", 0x92685F5E),
        (b"ab", 0x1AA14063),
        (b"abc", 0x13577C9B),
        (b"abcd", 0x26873021),
        (b"\xff\xfe\xfd", 0x3D614590),
    ],
)
def test_hash(data: bytes, value: int) -> None:
    assert murmur2(data) == value


def test_shares(tmp_path) -> None:
    site = Site(
        """
        split_clients "$arg_k" $part { 10% .ten; 25.5% .quarter; * ""; }
        split_clients $arg_k $third { 33.33% one; 33.33% two; }
        server { listen 80; location / { return 200 "$part"; } location /third { return 200 "$third"; } }
        """,
        tmp_path,
    )
    found = [site.ask(f"/?k=client-{number}").text for number in range(500)]
    assert 25 < found.count(".ten") < 75
    assert 90 < found.count(".quarter") < 165
    thirds = {site.ask(f"/third?k={number}").text for number in range(50)}
    assert thirds == {"one", "two", ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split_clients $host v { }", 'invalid variable name "v"'),
        ("split_clients $host $v { 60% a; 50% b; }", "percent total is greater than 100%"),
        ("split_clients $host $v { 0% a; }", 'invalid percent value "0%"'),
        ("split_clients $host $v { 50 a; }", 'invalid percent value "50"'),
        ("split_clients $host $v { 0.001% a; }", 'invalid percent value "0.001%"'),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert mistakes(text, tmp_path) == [message]
