"""A request that sets only what is asked for each time has everything else, too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from penstock.http.head import parse_request
from penstock.http.request import Request
from penstock.server.straight.request import StraightRequest

HEAD = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
SERVER: Any = SimpleNamespace(root=object())
CONNECTION: Any = object()


def test_it_is_as_a_request_is_made() -> None:
    usual = Request(CONNECTION, HEAD, SERVER)
    straight = StraightRequest(CONNECTION, HEAD, SERVER, 0.0, 0)
    usual.host = "a"  # as `new_request` has it
    for name in Request.__slots__:
        if name not in ("uri", "args"):
            assert getattr(straight, name) == getattr(usual, name), name


def test_what_is_rare_can_be_set() -> None:
    straight = StraightRequest(CONNECTION, HEAD, SERVER, 0.0, 0)
    straight.error_status = 404
    straight.at_end(lambda: None)
    assert (straight.error_status, len(straight.endings or ())) == (404, 1)
    assert set(straight.__dict__) == {"error_status", "endings"}
