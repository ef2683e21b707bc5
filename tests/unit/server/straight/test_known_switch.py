"""A 101 that comes again: what its client is sent is what reading and writing it would make."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import socket
from pathlib import Path

import pytest

from harness.backends import Conversation, RawBackend, hold, read_head
from harness.in_process import InProcess, read
from harness.waiting import eventually
from penstock.http.response import ResponseHead, parse_response
from penstock.modules.core.error_log import FILES
from penstock.modules.logs import log_variables as log_variables  # declares them
from penstock.modules.upstream.upstream import all_groups
from penstock.server.straight import known_switch as module
from penstock.server.straight.known_switch import KnownSwitch, known_switch

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
USUAL = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
PROTOCOL = b"Sec-WebSocket-Protocol: chat"
LINES = (
    "HTTP/1.1 101 Switching Protocols\r\n",
    "X-Before: c\r\n",
    "Upgrade: websocket\r\nSec-WebSocket-Accept: {}\r\nA: b\r\n",
)


def accepted(number: int) -> bytes:
    return base64.b64encode(hashlib.sha1(b"%d" % number).digest())


def said(value: bytes, more: bytes = b"A: b") -> bytes:
    lines = b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"
    return b"\r\n".join((*lines, b"Sec-WebSocket-Accept: " + value, more, b"", b""))


def known(number: int = 0, more: bytes = b"A: b", after: str = LINES[2]) -> KnownSwitch | None:
    text = said(accepted(number), more)
    head: ResponseHead = parse_response(text)
    lines = LINES[0], LINES[1], after.format(accepted(number).decode())
    return known_switch(head, text, lines, "off", websocket=True)


def test_only_the_value_and_the_date_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    switch = known()
    assert switch is not None and switch.websocket
    dates = set()
    for number, now in enumerate((1000.0, 1000.9, 1001.0, 999.0)):
        monkeypatch.setattr(module, "time", lambda now=now: now)
        monkeypatch.setattr(module, "signature", lambda tokens, now=now: f"Date: {int(now)} {tokens}\r\n")
        value = accepted(number)
        answer = switch.answer(said(value))
        shown = LINES[2].format(value.decode())
        expected = f"{LINES[0]}Date: {int(now)} off\r\n{LINES[1]}Connection: upgrade\r\n{shown}\r\n"
        assert answer == expected.encode()
        dates.add(expected)
    assert len(dates) == 4


@pytest.mark.parametrize("at", range(28))
def test_a_value_that_is_none_is_read_by_others(at: int) -> None:
    switch = known()
    assert switch is not None
    value = accepted(1)
    for each in range(256):
        changed = value[:at] + bytes([each]) + value[at + 1 :]
        good = re.fullmatch(rb"[A-Za-z0-9+/]{27}=", changed) is not None
        assert (switch.answer(said(changed)) is not None) == good


@pytest.mark.parametrize("seed", range(20))
def test_values_of_the_same_length_are_no_values(seed: int) -> None:
    switch = known()
    assert switch is not None
    rng = random.Random(seed)
    for _ in range(500):
        changed = bytes(rng.choice(b"Az09+/==\r\n \0\xff") for _ in range(28))
        good = re.fullmatch(rb"[A-Za-z0-9+/]{27}=", changed) is not None
        assert (switch.answer(said(changed)) is not None) == good


def test_another_head_is_another() -> None:
    switch = known()
    assert switch is not None
    value = accepted(3)
    assert switch.answer(said(value)) is not None
    assert switch.answer(said(value, b"A: c")) is None
    assert switch.answer(said(value).replace(b"101 S", b"101 s")) is None
    assert switch.answer(said(value, b"A: b\r\nB: c")) is None
    assert switch.answer(b"") is None


def test_a_value_that_stands_twice_is_not_kept() -> None:
    assert known(4, b"X-Same: " + accepted(4)) is None
    assert known(4, after="Sec-WebSocket-Accept: {0}\r\nX-Same: {0}\r\n") is None
    assert known(4, after="Nothing: here\r\n") is None


def switches(talk: Conversation) -> None:
    """Answer the key that came, then let the client have a word."""
    read_head(talk)
    found = re.search(rb"Sec-WebSocket-Key: ([^\r]*)\r\n", talk.received)
    assert found is not None
    value = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    talk.socket.sendall(said(value, PROTOCOL))


@pytest.mark.parametrize("more", ["", "websocket_origins http://a;"])
def test_each_client_gets_the_answer_to_its_own_key(tmp_path: Path, more: str) -> None:
    form = "log_format one '$status $bytes_sent $upstream_http_sec_websocket_accept $upstream_bytes_received';"
    with RawBackend([switches, hold]) as backend:
        inside = f"proxy_pass http://127.0.0.1:{backend.port}; {USUAL} {more}"
        text = f"{form} server {{ access_log {tmp_path}/log one; location / {{ {inside} }} }}"
        worker = InProcess(text, tmp_path)
        for file in worker.site.plan.shared[FILES]:
            file.open()
        expected = []
        for number in range(6):
            key = base64.b64encode(b"%016d" % number)
            value = base64.b64encode(hashlib.sha1(key + GUID).digest())
            request = (
                b"GET /chat HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n" % key
            )

            def client(sock: socket.socket, request: bytes = request) -> bytes:
                sock.sendall(request)
                return sock.recv(4096)

            data = worker.talk(client, straight=True)
            assert worker.said() == []
            head = parse_response(data)
            assert head.status == 101
            assert head.fields["sec-websocket-accept"] == value.decode()
            assert head.fields["sec-websocket-protocol"] == "chat"
            expected.append(f"101 {len(data)} {value.decode()} {len(said(value, PROTOCOL))}")
        (way,) = (each.way for server in worker.site.plan.servers for each in server.places() if each.way)
        assert list(way.switched) == [len(said(value, PROTOCOL))] and way.judges_switch == bool(more)
    worker.loop.close()
    assert (tmp_path / "log").read_text().splitlines() == expected


def test_a_handshake_whose_upgrade_was_taken_away_opens_nothing(tmp_path: Path) -> None:
    """What a backend does that switches all the same is its failure, also once its answer is known."""
    with RawBackend([switches, hold]) as backend:
        inside = f"proxy_pass http://127.0.0.1:{backend.port}; {USUAL}"
        worker = InProcess(f"server {{ location / {{ {inside} }} }}", tmp_path)
        for number in range(5):
            request = (
                b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: %s\r\nConnection: Upgrade, close\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
                % (b"websocket" if number < 4 else b"", base64.b64encode(b"%016d" % number))
            )

            def client(sock: socket.socket, request: bytes = request) -> bytes:
                sock.sendall(request)
                return sock.recv(4096)

            data = worker.talk(client, straight=True)
            assert data.startswith(b"HTTP/1.1 101 " if number < 4 else b"HTTP/1.1 502 ")
        (way,) = (each.way for server in worker.site.plan.servers for each in server.places() if each.way)
        assert len(way.switched) == 1
    worker.loop.close()


@pytest.mark.parametrize("groups", ["", "upstream two { server 127.0.0.1:%d; server 127.0.0.1:1 down; }"])
@pytest.mark.parametrize("place", ["nodelay", "provenance_of", "another_ending", "carry"])
def test_a_mistake_on_the_way_to_a_tunnel_gives_all_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, place: str
) -> None:
    """The client has its 101 by then: it is left, its backend too, and neither a descriptor nor a slot stays taken."""

    def broken(*arguments: object) -> object:
        raise ZeroDivisionError("ours")

    def client(sock: socket.socket) -> bytes:
        sock.sendall(
            b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
        )
        return read(sock)

    with RawBackend([switches, hold]) as backend:
        to = "two" if groups else f"127.0.0.1:{backend.port}"
        text = f"server {{ location / {{ proxy_pass http://{to}; {USUAL} }} }}"
        if groups:
            text = groups % backend.port + text
        worker = InProcess(text, tmp_path)
        monkeypatch.setattr(f"penstock.server.straight.handshake.{place}", broken)
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(3):
            data = worker.talk(client, straight=True)
            assert data.startswith(b"HTTP/1.1 101 ") and data.count(b"HTTP/1.1") == 1
            (mistake,) = (line for line in worker.said() if "internal error" in line)
            assert "ZeroDivisionError('ours') at broken line" in mistake
            assert len(worker.ended) == number + 1
        (group,) = all_groups(worker.site.plan)
        assert [peer.active for peer in group.peers] == [0] * len(group.peers)
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= open_before)
        assert worker.service.requests == 3 and not worker.loop.tunnels
    worker.loop.close()
