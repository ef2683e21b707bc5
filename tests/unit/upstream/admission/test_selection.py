"""A handshake has no peer before it is let in, whatever chooses; any other request does not notice."""

from __future__ import annotations

import pytest

from penstock.http.head import parse_request
from penstock.http.request import Request
from penstock.upstream.admission.gate import Gate
from penstock.upstream.admission.rule import AdmissionRule
from penstock.upstream.admission.selection import ADMITTED, Admitted, Admitting, has_to_wait
from penstock.upstream.peers.balancers import Balancer, LeastConn, PeerSelection
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.hashing import IpHash
from penstock.upstream.peers.peers import Peer, ServerOptions

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Server:
    root = None


class Client:
    client_address = "127.0.0.1"


def asks(data: bytes) -> Request:
    return Request(Client(), parse_request(data), Server())  # type: ignore[arg-type]


def group(balancer: Balancer) -> Group:
    peers = [Peer(("127.0.0.1", place), f"p{place}", "a", ServerOptions()) for place in range(2)]
    made = Group("app", peers, balancer=Admitting(balancer))
    made.admission = Gate(AdmissionRule(in_progress=1), "upstream app")
    return made


@pytest.mark.parametrize("balancer", [PeerSelection, LeastConn, IpHash])
def test_a_handshake_waits_and_a_request_does_not(balancer: Balancer) -> None:
    made = group(balancer)
    assert made.select(asks(PLAIN)).next(1.0) is not None
    selection = made.select(asks(HANDSHAKE))
    assert selection.next(1.0) is None
    assert selection.last_resort(1.0) is None
    assert [peer.fails for peer in made.peers] == [0, 0]


@pytest.mark.parametrize("end", ["tunnel", "answer", "request"])
def test_it_is_under_way_until_there_is_an_answer(end: str) -> None:
    made = group(PeerSelection)
    gate = made.admission
    assert gate is not None
    request = asks(HANDSHAKE)
    assert gate.bounds.admit(gate.rule, 1.0) == 0.0
    request.context(ADMITTED, dict)[gate.name] = Admitted(gate, request)
    assert not has_to_wait(request, gate)
    selection = made.select(request)
    peer = selection.next(1.0)
    assert peer is not None
    if end == "tunnel":
        selection.make_final(peer)
        assert request.endings == [], "nothing is kept for as long as it is open"
        assert gate.bounds.under_way == 0
        selection.done(peer)
    elif end == "answer":
        selection.done(peer)
    else:
        assert request.endings is not None
        selection.failed(peer, 1.0)
        assert gate.bounds.under_way == 1, "another may be tried"
        for action in list(request.endings):
            action()
    assert gate.bounds.under_way == 0
    assert sum(each.active for each in made.peers) == 0


def test_a_request_inside_of_a_handshake_is_none() -> None:
    made = group(PeerSelection)
    assert made.admission is not None
    request = asks(HANDSHAKE)
    request.parent = asks(HANDSHAKE)
    assert not has_to_wait(request, made.admission)
