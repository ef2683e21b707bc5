"""Replies of Redis, however they are cut; nothing that comes makes more of it than an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.net.redis.replies import MOST_BYTES, Failure, NotRedis, Push, ReplyReader, command

CASES = {
    b"+OK\r\n": b"OK",
    b":-12\r\n": -12,
    b"$3\r\na\r\n\r\n": b"a\r\n",
    b"$-1\r\n": None,
    b"_\r\n": None,
    b"#t\r\n": True,
    b",1.5\r\n": 1.5,
    b"(123456789012345678901\r\n": 123456789012345678901,
    b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n": [1, [b"x"]],
    b"%1\r\n+a\r\n:1\r\n": [b"a", 1],
    b"~1\r\n:1\r\n": [1],
    b"=7\r\ntxt:abc\r\n": b"txt:abc",
    b"*-1\r\n": None,
}


def plain(reply):
    if isinstance(reply, Failure):
        return ("failure", reply.text)
    if isinstance(reply, Push):
        return ("push", [plain(each) for each in reply.items])
    return [plain(each) for each in reply] if isinstance(reply, list) else reply


@pytest.mark.parametrize("data", CASES)
def test_kinds(data) -> None:
    assert ReplyReader().feed(data) == [CASES[data]]


def test_errors_and_pushes() -> None:
    found = ReplyReader().feed(b"-NOSCRIPT no\r\n>2\r\n+message\r\n$1\r\nx\r\n")
    assert [plain(each) for each in found] == [("failure", "NOSCRIPT no"), ("push", [b"message", b"x"])]


@given(st.lists(st.sampled_from(sorted(CASES)), max_size=8), st.lists(st.integers(0, 200), max_size=12))
def test_cuts_change_nothing(parts, cuts) -> None:
    data = b"".join(parts)
    reader, found, last = ReplyReader(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        found += reader.feed(data[last:cut])
        last = cut
    assert found == [CASES[part] for part in parts]


@given(st.binary(max_size=60))
def test_anything_else_is_an_error(data) -> None:
    try:
        ReplyReader().feed(data)
    except NotRedis:
        pass


@pytest.mark.parametrize(
    "data",
    [b"?\r\n", b":x\r\n", b"$%d\r\n" % (MOST_BYTES + 1), b"*99999999\r\n", b"*1\r\n" * 20, b",x\r\n", b"$x\r\n"],
)
def test_too_much_or_nonsense(data) -> None:
    with pytest.raises(NotRedis):
        ReplyReader().feed(data)


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    reader = ReplyReader()
    with pytest.raises(NotRedis):
        for _ in range(20):
            reader.feed(b"+" + b"x" * (MOST_BYTES // 10))


def test_commands() -> None:
    assert command(b"SET", b"a\r\n", b"") == b"*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n"
