"""Questions to name servers and their answers, byte for byte; held against dnspython."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.names import dns
from penstock.upstream.names.dns import AAAA, CNAME, SRV, A, BadAnswer, ServiceRecord
from penstock.upstream.names.unresolved import NXDOMAIN

HEAD = struct.Struct("!6H")


def record(kind: int, data: bytes, *, ttl: int = 60, of: int = 1, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack("!2HIH", kind, of, ttl, len(data)) + data


def answer(*records: bytes, name: str = "app.example", kind: int = A, flags: int = 0x8180) -> bytes:
    asked = dns.encoded(name) + struct.pack("!2H", kind, 1)
    return HEAD.pack(7, flags, 1, len(records), 0, 0) + asked + b"".join(records)


def test_a_question() -> None:
    assert dns.question(0x1234, "a.bc.", A) == bytes.fromhex("12340100000100000000000001610262630000010001")


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".a"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        dns.question(1, name, A)


def test_addresses_and_the_shortest_time() -> None:
    found = dns.read(answer(record(A, b"\x7f\0\0\1", ttl=30), record(A, b"\x7f\0\0\2", ttl=20)), "APP.example", A)
    assert (found.addresses, found.ttl, found.code) == (("127.0.0.1", "127.0.0.2"), 20, 0)
    data = answer(record(AAAA, bytes(15) + b"\1"), kind=AAAA)
    assert dns.read(data, "app.example", AAAA).addresses == ("::1",)


def test_an_alias_beside_the_address_of_what_it_stands_for() -> None:
    alias = record(CNAME, b"\3web\xc0\x10", ttl=5)
    found = dns.read(answer(alias, record(A, b"\x0a\0\0\1")), "app.example", A)
    assert (found.cname, found.addresses, found.ttl) == ("web.example", ("10.0.0.1",), 5)


def test_services() -> None:
    data = answer(record(SRV, struct.pack("!3H", 1, 5, 8080) + b"\1b\xc0\x10"), kind=SRV)
    assert dns.read(data, "app.example", SRV).services == (ServiceRecord(1, 5, 8080, "b.example"),)


def test_no_is_an_answer_and_so_is_nothing() -> None:
    assert dns.read(answer(flags=0x8183), "app.example", A).code == NXDOMAIN
    nothing = dns.read(answer(), "app.example", A)
    assert (nothing.code, nothing.addresses, nothing.ttl) == (0, (), 0)


def test_cut_short_over_udp_only() -> None:
    assert dns.read(answer(flags=0x8380), "app.example", A).truncated
    with pytest.raises(BadAnswer, match="invalid TCP"):
        dns.read(answer(flags=0x8380), "app.example", A, "tcp")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "short"),
        (answer()[:11], "short"),
        (answer(record(A, b"\x7f\0\0\1"))[:-1], "short"),
        (answer(flags=0x0180), "invalid UDP"),
        (answer(flags=0x8181), "Format error"),
        (answer(name="other.example"), "unexpected DNS response for other.example"),
        (answer(kind=AAAA), "unexpected DNS response"),
        (answer(record(A, b"\x7f\0\0")), "unexpected A record"),
        (answer(record(AAAA, bytes(16))), "unexpected AAAA record"),
        (answer(record(A, b"\x7f\0\0\1", of=3)), "unexpected RR class 3"),
        (answer(record(A, b"\x7f\0\0\1", name=b"\xc0\xff")), "leads forward"),
        (answer(record(A, b"\x7f\0\0\1", name=b"\xc0\x1d")), "leads forward"),
        (answer(record(A, b"\x7f\0\0\1", name=b"\x80")), "invalid label"),
        (HEAD.pack(7, 0x8180, 2, 0, 0, 0), "number of questions in DNS response 2"),
    ],
)
def test_what_is_no_answer(data: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        dns.read(data, "app.example", A)


def chain(length: int) -> tuple[bytes, int]:
    """A record with pointers that lead from one to the next, down to the question's name; and where the last one is."""
    start = HEAD.size + len(dns.encoded("app.example")) + 4 + 12
    targets = [12, *(start + 2 * number for number in range(length - 1))]
    return record(99, struct.pack(f"!{length}H", *(0xC000 | target for target in targets))), start + 2 * (length - 1)


@pytest.mark.parametrize("length", [127, 128])
def test_pointers_are_followed_so_far(length: int) -> None:
    hops, last = chain(length)
    alias = record(CNAME, struct.pack("!H", 0xC000 | last))
    if length == 127:
        assert dns.read(answer(hops, alias), "app.example", A).cname == "app.example"
    else:
        with pytest.raises(BadAnswer, match="too many compression pointers"):
            dns.read(answer(hops, alias), "app.example", A)


@pytest.mark.parametrize("kind", [A, AAAA, SRV])
@pytest.mark.parametrize("shape", ["owners", "aliases", "targets", "labels"])
def test_an_answer_full_of_chains_costs_little(kind: int, shape: str) -> None:
    """As many records as 64 KiB hold, each with a name at the end of a chain of eight thousand pointers."""
    hops, last = chain(8000)
    pointer = struct.pack("!H", 0xC000 | last)
    if shape == "owners":
        data = {A: b"\x7f\0\0\1", AAAA: bytes(16), SRV: struct.pack("!3H", 1, 1, 1) + b"\xc0\x0c"}[kind]
        many = [record(kind, data, name=pointer)] * 1500
    elif shape == "aliases":
        many = [record(CNAME, pointer)] * 3000
    elif shape == "targets":
        many = [record(SRV, struct.pack("!3H", 1, 1, 1) + pointer)] * 2400
    else:
        many = [record(kind, b"", name=100 * b"\1a" + pointer)] * 200
    began = time.process_time()
    try:
        dns.read(answer(hops, *many, kind=kind), "app.example", kind)
    except BadAnswer:
        pass
    assert time.process_time() - began < 0.25


def test_a_name_is_not_longer_than_names_are() -> None:
    """255 characters as it is written, as in nginx."""
    longest = 4 * (b"\x3f" + b"a" * 63) + b"\0"
    found = dns.read(answer(record(CNAME, longest)), "app.example", A).cname
    assert len(found) == 255
    name = longest[:-1] + b"\1c\0"
    with pytest.raises(BadAnswer, match="too long name"):
        dns.read(answer(record(CNAME, name)), "app.example", A)
    with pytest.raises(BadAnswer, match="too long name"):
        dns.read(answer(record(A, b"\x7f\0\0\1", name=name)), "app.example", A)


@given(st.binary(max_size=200), st.integers(0, 60), st.binary(min_size=1, max_size=4))
def test_nothing_else_comes_of_any_bytes(data: bytes, at: int, change: bytes) -> None:
    whole = answer(record(CNAME, b"\3web\xc0\x10"), record(A, b"\x0a\0\0\1"))
    for each in (data, whole[:12] + data, whole[:at] + change + whole[at + len(change) :]):
        try:
            dns.read(each, "app.example", A)
        except BadAnswer:
            pass


def test_dnspython_reads_and_writes_the_same() -> None:
    message = pytest.importorskip("dns.message")
    rrset = pytest.importorskip("dns.rrset")
    asked = message.from_wire(dns.question(99, "app.example", A))
    assert (asked.id, str(asked.question[0])) == (99, "app.example. IN A")
    reply = message.make_response(asked)
    reply.answer.append(rrset.from_text("app.example.", 40, "IN", "CNAME", "web.app.example."))
    reply.answer.append(rrset.from_text("web.app.example.", 50, "IN", "A", "192.0.2.1", "192.0.2.2"))
    found = dns.read(reply.to_wire(), "app.example", A)
    assert (sorted(found.addresses), found.cname, found.ttl) == (["192.0.2.1", "192.0.2.2"], "web.app.example", 40)
