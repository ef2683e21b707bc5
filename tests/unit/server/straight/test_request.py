"""What goes straight is made like a model, in which everything is as a new request has it."""

from __future__ import annotations

from penstock.http.head import parse_request
from penstock.http.request import Request
from penstock.server.straight.passage import another_passage
from penstock.server.straight.request import usual

OWN = {"connection", "head", "server", "location", "method", "host", "keep_alive", "started", "request_length"}
"""What `begin` sets."""


def test_it_is_as_a_request_is_made() -> None:
    model = usual(Request)
    made = another_passage()
    for name in set(Request.__slots__) - OWN:
        assert getattr(made, name) == getattr(model, name), name


def test_what_each_has_of_its_own() -> None:
    connection = type("Connection", (), {"request_started": 1.5, "head_bytes": 24})()
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server = usual(Request).server
    one, two = another_passage(), another_passage()
    for passage in one, two:
        passage.begin(connection, head, server)
    assert (one.method, one.host, one.keep_alive, one.started, one.request_length) == ("GET", "a", True, 1.5, 24)
    assert one.location is server.root
    one.variables["a"] = "b"
    one.cached["a"] = "b"
    assert two.variables == two.cached == another_passage().variables == {}
    one.error_status = 404
    one.at_end(lambda: None)
    assert (two.error_status, two.endings) == (0, None)
