"""What is said about an address that can not be listened on."""

import errno

import pytest

from penstock.net.listener import BindFailed
from penstock.process.startup import listening


@pytest.mark.parametrize(
    ("address", "number", "words"),
    [
        (("0.0.0.0", 80), errno.EACCES, "ports below 1024 are for root"),
        (("::", 443), errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (("0.0.0.0", 8080), errno.EACCES, None),
        (("192.0.2.1", 80), errno.EADDRNOTAVAIL, "no such address"),
        (("::1", 80), errno.EAFNOSUPPORT, "IPv6 is switched off"),
        ("/run/x/a.sock", errno.EACCES, "let this user write to /run/x"),
        ("/run/x/a.sock", errno.EROFS, "/run/x can not be written to"),
        ("/run/x/a.sock", errno.ENOENT, "make the folder /run/x"),
        ("/a.sock", errno.EROFS, "/ can not be written to"),
    ],
)
def test_each_failure_says_what_to_do(monkeypatch, address, number: int, words: str | None) -> None:
    said: list[str] = []
    monkeypatch.setattr(listening, "report", lambda subject, level, text: said.append(text))
    listening._advise(BindFailed("bind", address, number))
    if words is None:
        assert not said
    else:
        assert words in said[0]
