"""A request in which everything has its usual value: the model of those that come."""

from __future__ import annotations

from typing import Any, TypeVar

from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.plan.location import Location, Server

R = TypeVar("R", bound=Request)

_NOBODY: Any = None  # no connection


def usual(kind: type[R]) -> R:
    """Make a request of that class as `Request` has it before anything is known of it."""
    made = kind.__new__(kind)
    server = Server("", None, Location("server", "", None))
    Request.__init__(made, _NOBODY, RequestHead("", "GET", "/", 11, [], {}), server)
    return made
