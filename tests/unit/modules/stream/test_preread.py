"""What variables tell of a ClientHello that was only looked at."""

from __future__ import annotations

import pytest

from penstock.modules.stream.preread import seen_in, seen_of_old
from penstock.net.tls.hello import Hello


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((0x0303,), "TLSv1.2"),
        ((0x0A0A, 0x0304, 0x0303), "TLSv1.3"),
        ((0x7F1C,), "TLSv1.3"),
        ((0x0300,), "SSLv3"),
        ((0x0505,), ""),
        ((), ""),
    ],
)
def test_the_highest_version_that_is_known(versions: tuple[int, ...], expected: str) -> None:
    seen = seen_in(Hello("a.example", ("h2", "mqtt"), versions))
    assert (seen.server_name, seen.alpn, seen.version) == ("a.example", "h2,mqtt", expected)


def test_a_hello_of_old() -> None:
    old = seen_of_old(b"\x80\x1c\x01\x00\x02" + bytes(20))
    assert old is not None and old.version == "SSLv2"
    assert seen_of_old(b"\x80\x1c\x01\x00") is None
    assert seen_of_old(b"SSH-2.0-x") is None
