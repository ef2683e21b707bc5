"""Answers of FastCGI applications, whole and spoiled, in any pieces: `make fuzz`.

    python tests/fuzz/fastcgi_records.py [seconds] [seed]

What comes of records does not depend on how they are cut into pieces on their way: the same head, body and errors, or
the same refusal. An answer that was not spoiled is what the application said, byte for byte. Nothing but `BadResponse`
is raised, and nothing heaps up. A round has a seed, which is printed when something is wrong; given again, the round is
repeated.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

from penstock.http.errors import BadResponse
from penstock.upstream.fastcgi.exchange import FastCgiExchange
from penstock.upstream.fastcgi.framing import FASTCGI, RecordHead
from penstock.upstream.fastcgi.records import END_REQUEST, STDERR, STDOUT, RecordReader

HEAD_SIZE = 4096
TOO_BIG = "bad: upstream sent too big header"
CAUGHT = b"PHP Fatal"
LINES = (b"Status: 404 Not Found", b"Status: 204 No", b"Content-Type: text/html", b"Content-Length: %d", b"X: y",
         b"Location: /a", b"Status: 99", b"Set-Cookie: a=b", b"Content-Length: x", b" folded", b"no colon",
         b"HTTP/1.1 200 OK")  # fmt: skip


@dataclass
class Seen:
    """What came of an answer: `end` is "done", "bad: why", or "cut" where its end did not come."""

    end: str = "cut"
    head: tuple[object, ...] = ()
    body: bytes = b""
    said: bytes = b""
    surplus: str = ""
    most: int = field(default=0, compare=False)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until or not done:
        try:
            done[one_round(random.Random(seed))] += 1
        except BaseException:
            print(f"seed {seed}: python {sys.argv[0]} 0 {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"{done['whole']} answers that were whole, {done['spoiled']} that were not: each the same in any pieces")
    return 0


def one_round(chance: random.Random) -> str:
    """Make an answer, whole or spoiled, and read it in several ways. Return which it was."""
    out, said, data = an_answer(chance)
    method = chance.choice(("GET", "GET", "HEAD"))
    keeps = chance.random() < 0.5
    caught = (CAUGHT,) if chance.random() < 0.3 else ()
    whole = chance.random() < 0.3
    if not whole:
        data = spoil(chance, data)
    first = read([data], method, keeps=keeps, caught=caught)
    for pieces in (cut(chance, data, 3), cut(chance, data, 40), [data[at : at + 1] for at in range(len(data))]):
        other = read(pieces, method, keeps=keeps, caught=caught)
        longest = max(map(len, pieces), default=0)
        assert other.most <= longest + 8, "what has been read is kept"
        if first.end.startswith("bad"):
            # What came before, in the same piece, is given or not; a head may be too big before it is wrong.
            assert other.end == first.end or TOO_BIG in (other.end, first.end), (first, other)
            assert other.end.startswith("bad")
            assert other.body.startswith(first.body) and other.head[: len(first.head)] == first.head
        else:
            assert other == first, (first, other)
    if whole and first.end == "done" and first.head:
        expected = out[out.index(b"\r\n\r\n") + 4 :]
        if method == "HEAD" or first.head[0] in (204, 304):
            expected = b""
        assert first.body == expected or (first.surplus and expected.startswith(first.body))
    if whole:
        assert first.said in said or said.startswith(first.said), "something else was said in STDERR"
        assert not first.end.startswith("bad: upstream sent unsupported"), first.end
    return "whole" if whole else "spoiled"


def read(pieces: list[bytes], method: str, *, keeps: bool, caught: tuple[bytes, ...]) -> Seen:
    """Read an answer as an exchange does, one piece after the other, and then the connection's end."""
    seen = Seen()
    said: list[bytes] = []
    bodies: list[bytes] = []
    exchange = SimpleNamespace(
        plan=SimpleNamespace(keeps=keeps, caught=caught),
        policy=SimpleNamespace(head_size=HEAD_SIZE),
        text=b"",
        tail=b"",
    )
    exchange.say = lambda text, doing="": said.append(text)
    exchange._catch = lambda content: FastCgiExchange._catch(exchange, content)
    reader = RecordReader()
    framing = None
    try:
        for piece in pieces:
            if framing is None:
                reader.feed(piece)
                head = FastCgiExchange._found(exchange, reader)  # type: ignore[arg-type]
                seen.most = max(seen.most, len(reader._data) - reader._at)
                assert len(exchange.text) <= HEAD_SIZE + len(piece), "a head has no bound"
                if head is None:
                    continue
                seen.head = head.status, head.status_line, tuple(head.headers), head.content_length
                framing = FASTCGI.framing(head, method)
                framing.say = said.append  # type: ignore[attr-defined]
                piece = reader.drain()
                bodies.append(framing.feed(piece))
            else:
                bodies.append(framing.feed(piece))
            seen.most = max(seen.most, len(reader._data) - reader._at if not framing.done else 0)
            if framing.done:
                break
        if framing is not None and (framing.done or framing.may_end()):
            seen.end = "done"
            seen.surplus = framing.surplus
            assert isinstance(head, RecordHead)
            assert not head.keep_alive or (keeps and reader._at == len(reader._data)), "kept with something left"
    except BadResponse as error:
        seen.end = f"bad: {error.reason}"
    seen.said = b"".join(said)
    seen.body = b"".join(bodies)
    return seen


def an_answer(chance: random.Random) -> tuple[bytes, bytes, bytes]:
    """Make what an application says in STDOUT and in STDERR, and the records that carry it."""
    body = chance.randbytes(chance.choice((0, 1, 7, 300, 3000)))
    lines = [line % len(body) if b"%d" in line else line for line in chance.sample(LINES, chance.randrange(4))]
    if chance.random() < 0.05:
        lines.append(b"X-Long: " + b"x" * chance.choice((HEAD_SIZE - 30, HEAD_SIZE)))
    end = chance.choice((b"\r\n", b"\r\n", b"\n"))
    out = end.join((*lines, b"X-Last: z", b"", b"")) + body
    said = b""
    made = []
    at = 0
    while at < len(out):
        if chance.random() < 0.2:
            text = chance.choice((b"PHP message: a", CAUGHT[:4], CAUGHT[4:], CAUGHT, b"\n"))
            said += text
            made.append(record(chance, STDERR, text))
        size = chance.choice((1, 5, 64, 4096))
        made.append(record(chance, STDOUT, out[at : at + size]))
        at += size
    if chance.random() < 0.8:
        made.append(record(chance, STDOUT, b""))
    if chance.random() < 0.9:
        made.append(record(chance, END_REQUEST, bytes(8)))
    return out.replace(b"\n\n", b"\r\n\r\n", 1) if end == b"\n" else out, said, b"".join(made)


def record(chance: random.Random, kind: int, content: bytes) -> bytes:
    """Write a record with any padding."""
    padding = chance.choice((0, 0, -len(content) % 8, chance.randrange(256)))
    return bytes((1, kind, 0, 1)) + len(content).to_bytes(2) + bytes((padding, 0)) + content + chance.randbytes(padding)


def cut(chance: random.Random, data: bytes, most: int) -> list[bytes]:
    """Cut it into pieces at any places."""
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, most)))
    pieces = [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def spoil(chance: random.Random, data: bytes) -> bytes:
    """Change something: a bit, a length, a place, the end."""
    for _ in range(chance.choice((1, 1, 2, 5))):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[:at]
            case 2:
                data = data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
            case 3:
                data = data[:at] + data[at + chance.randrange(1, 9) :]
            case _:
                more = record(chance, chance.randrange(12), chance.randbytes(chance.randrange(12)))
                data = data[:at] + more + data[at:]
    return data


if __name__ == "__main__":
    sys.exit(main())
