"""`slice`: answers that are put together from slices, through a live nginx and through Penstock: what the client gets,
and which ranges the backend is asked for, have to be the same."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.backends.echo import Echoed
from harness.backends.fickle import FickleBackend
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    http {
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:1m;
        server {
            listen 127.0.0.1:{port:front};
            slice 4;
            proxy_cache one;
            proxy_cache_key $uri$is_args$args$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_set_header Range $slice_range;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://127.0.0.1:{port:back}; {value:more} }
            location /plain { proxy_cache off; proxy_pass http://127.0.0.1:{port:back}; }
        }
    }
    """
BODY = b"0123456789abcdef!"
TAG = 'ETag: "one"'


def answer(part: bytes, *lines: str, status: str = "206 Partial Content") -> bytes:
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(part)}", *lines, "\r\n")
    return "\r\n".join(head).encode() + part


def ranged(*lines: str, body: bytes = BODY) -> Callable[[Echoed], bytes]:
    """Answer as a server of files does, for one range or none."""

    def say(request: Echoed) -> bytes:
        wanted = request.header("Range")
        if wanted is None:
            return answer(body, "Accept-Ranges: bytes", *lines, status="200 OK")
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1, len(body))
        if start >= len(body):
            return answer(b"", f"Content-Range: bytes */{len(body)}", status="416 Range Not Satisfiable")
        part = b"" if request.line.startswith("HEAD") else body[start:end]
        made = answer(part, f"Content-Range: bytes {start}-{end - 1}/{len(body)}", "Accept-Ranges: bytes", *lines)
        return made if part else made.replace(b"Content-Length: 0", b"Content-Length: %d" % (end - start))

    return say


@pytest.fixture
def both(proxy: Any, nginx: Any) -> Iterator[Any]:
    backends: list[FickleBackend] = []

    def make(say: Callable[[Echoed], bytes], more: str = "") -> list[tuple[Proxy, FickleBackend]]:
        pairs = []
        for start in (proxy, nginx):
            backends.append(FickleBackend())
            backends[-1].say = say
            pairs.append((start(CONF, ports={"back": backends[-1].port}, values={"more": more}), backends[-1]))
        return pairs

    yield make
    for each in backends:
        each.close()


def seen(front: Proxy, target: str, fields: dict[str, str], method: str = "GET") -> tuple[object, ...]:
    got = front.get(target, fields, method=method)
    names = "X-Cache", "Content-Range", "Accept-Ranges", "ETag", "Content-Length"
    body = got.body.partition(b"<hr>")[0]
    return (
        got.status,
        *("" if got.status >= 400 and name == "Content-Length" else got.header(name) for name in names),
        body,
    )


def asked(backend: FickleBackend) -> list[str | None]:
    return [request.header("Range") for request in backend.requests]


Step = tuple[str, dict[str, str]] | tuple[str, dict[str, str], str]
PARTS = ("0-0", "3-4", "4-", "-5", "6-9", "16-", "17-", "20-30", "0-100", "2-3,5-6", "x", "0-1000000000000000000000")
CASES: dict[str, list[Step]] = {
    "whole": [("/a", {}), ("/a", {})],
    "part by part": [("/a", {"Range": f"bytes={part}"}) for part in (*PARTS, *PARTS)],
    "each part alone": [(f"/{number}", {"Range": f"bytes={part}"}) for number, part in enumerate(PARTS)],
    "each part without a cache": [(f"/plain{number}", {"Range": f"bytes={part}"}) for number, part in enumerate(PARTS)],
    "head": [("/a", {}, "HEAD"), ("/a", {}), ("/a", {}, "HEAD"), ("/plain", {}, "HEAD")],
    "conditions": [
        ("/a", fields)
        for fields in (
            {"If-None-Match": '"one"'},
            {"If-None-Match": '"two"'},
            {"If-Match": '"one"'},
            {"If-Match": '"two"'},
            {"If-Range": '"one"', "Range": "bytes=9-10"},
            {"If-Range": '"two"', "Range": "bytes=9-10"},
        )
    ],
    "same tag, first slice not asked for": [
        ("/a", {"If-Range": '"one"', "Range": "bytes=9-10"}),
        ("/a", {"Range": "bytes=5-6"}),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_one_after_another(both: Any, name: str) -> None:
    found = []
    for front, backend in both(ranged(TAG)):
        found.append(([seen(front, *step) for step in CASES[name]], asked(backend)))
    assert found[0] == found[1]


def test_what_is_no_part_is_passed_on_as_it_is(both: Any) -> None:
    found = []
    whole = answer(BODY, "Accept-Ranges: bytes", status="200 OK")
    for front, backend in both(lambda request: whole if "a" in request.target else answer(b"no", status="404 No")):
        steps: list[Step] = [("/a", {}), ("/a", {}), ("/a", {"Range": "bytes=2-3"}), ("/b", {}), ("/b", {})]
        found.append(([seen(front, *step) for step in steps], asked(backend)))
    assert found[0] == found[1]


@pytest.fixture
def backend() -> Iterator[FickleBackend]:
    with FickleBackend() as made:
        yield made


LARGE = bytes(range(256)) * 40
FIRST = f"Content-Range: bytes 0-3999/{len(LARGE)}"
SECOND = f"Content-Range: bytes 4000-7999/{len(LARGE)}"
PART = LARGE[:4000]
WRONG_FIRST: dict[str, tuple[bytes, str]] = {
    "none": (answer(PART), "invalid range"),
    "no range": (answer(PART, "Content-Range: bytes"), "invalid range"),
    "no number": (answer(PART, "Content-Range: bytes 0-x/9"), "invalid range"),
    "no size": (answer(PART, "Content-Range: bytes 0-3999/*"), "no complete length"),
    "longer": (answer(PART, "Content-Range: bytes 0-4000/9999"), "unexpected range in slice response: 0-4001"),
    "shorter": (answer(PART, "Content-Range: bytes 0-3998/9999"), "unexpected range in slice response"),
    "another place": (answer(PART, "Content-Range: bytes 1-4000/9999"), "unexpected range in slice response"),
}
WRONG_LATER: dict[str, tuple[bytes, str]] = {
    "status": (answer(LARGE, TAG, status="200 OK"), "unexpected status code 200"),
    "failure": (answer(b"", status="503 No"), "unexpected status code 503"),
    "another tag": (answer(PART, SECOND, 'ETag: "two"'), "etag mismatch"),
    "no tag": (answer(PART, SECOND), "etag mismatch"),
    "range": (answer(PART, FIRST, TAG), "unexpected range in slice response"),
    "no range": (answer(PART, TAG), "invalid range"),
}


@pytest.fixture
def large(proxy: Any, nginx: Any) -> Iterator[Any]:
    backends: list[FickleBackend] = []

    def make(say: Callable[[Echoed], bytes]) -> Iterator[tuple[Proxy, FickleBackend]]:
        for start in (proxy, nginx):
            backends.append(FickleBackend())
            backends[-1].say = say
            yield (
                start(CONF.replace("slice 4", "slice 4000"), ports={"back": backends[-1].port}, values={"more": ""}),
                backends[-1],
            )

    yield make
    for each in backends:
        each.close()


def received(front: Proxy) -> bytes:
    with front.client() as client:
        return client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").recv_all()


@pytest.mark.parametrize("name", WRONG_FIRST)
def test_a_wrong_first_slice_is_no_answer(large: Any, name: str) -> None:
    wrong, words = WRONG_FIRST[name]
    for front, _ in large(lambda request: wrong):
        assert received(front) == b""
        front.logged(words, name="error.log")


@pytest.mark.parametrize("name", WRONG_LATER)
def test_a_wrong_slice_ends_the_answer(large: Any, name: str) -> None:
    wrong, words = WRONG_LATER[name]
    first = answer(PART, FIRST, TAG)
    for front, backend in large(lambda request: first if request.header("Range") == "bytes=0-3999" else wrong):
        head, _, body = received(front).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert f"Content-Length: {len(LARGE)}".encode() in head
        assert body == PART
        assert len(backend.requests) == 2
        front.logged(words, name="error.log")


def test_a_slice_of_another_length_than_it_says_ends_the_answer(proxy: Any, backend: FickleBackend) -> None:
    """nginx gives what has come: bytes of one place in another."""
    for extra in (b"", b"\r\nTransfer-Encoding: chunked"):
        body = b"2\r\n01\r\n0\r\n\r\n" if extra else b"01"
        framing = b"Transfer-Encoding: chunked" if extra else b"Content-Length: 2"
        said = b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-3/17\r\n" + framing + b"\r\n\r\n" + body
        backend.say = lambda request, said=said: said  # type: ignore[misc]
        front = proxy(CONF, ports={"back": backend.port}, values={"more": ""})
        assert received(front).partition(b"\r\n\r\n")[2] in (b"", b"01")
        front.logged("unexpected length in slice response: 2, expected: 4", name="error.log")


def test_a_whole_that_has_grown_is_another_one(proxy: Any, backend: FickleBackend) -> None:
    sizes = iter((10, 12))
    backend.say = lambda request: ranged(body=BODY[: next(sizes)])(request)
    front = proxy(CONF, ports={"back": backend.port}, values={"more": ""})
    assert received(front).endswith(b"\r\n\r\n0123")
    front.logged("unexpected complete length in slice response: 12, expected: 10", name="error.log")


def test_a_slice_that_has_expired_is_fetched_behind_as_a_slice(proxy: Any, backend: FickleBackend) -> None:
    backend.say = ranged(TAG, "Cache-Control: max-age=1")
    more = "proxy_cache_use_stale updating; proxy_cache_background_update on;"
    front = proxy(CONF, ports={"back": backend.port}, values={"more": more})
    assert front.get("/a").body == BODY
    count = len(backend.requests)
    time.sleep(2.2)
    assert front.get("/a").body == BODY
    eventually(lambda: len(backend.requests) == 2 * count)
    assert sorted(map(str, asked(backend)[count:])) == sorted(map(str, asked(backend)[:count]))
    assert front.get("/a", {"Range": "bytes=5-6"}).body == b"56"


def test_a_part_of_it_is_put_together_and_changed_as_a_whole(proxy: Any, backend: FickleBackend) -> None:
    """What a filter makes longer has no parts: all of it is given, from its beginning, whatever part was asked for."""
    backend.say = ranged("Content-Type: text/html", body=b"0123ab456789" * 3)
    more = "sub_filter ab <b>; sub_filter_once off;"
    front = proxy(CONF, ports={"back": backend.port}, values={"more": more})
    got = front.get("/a", {"Range": "bytes=9-10"})
    assert (got.status, got.body) == (200, b"0123<b>456789" * 3)


def test_many_slices_are_not_too_many(proxy: Any, backend: FickleBackend) -> None:
    body = bytes(4800) + b"end"
    backend.say = ranged(body=body)
    front = proxy(CONF, ports={"back": backend.port}, values={"more": ""})
    assert front.get("/plain").body == body
    assert len(backend.requests) == 1201


WHOLE = 1 << 28
SLICE = 1 << 18


def part_of_much(request: Echoed) -> bytes:
    """A file of zeroes, one range of it, without making all of it."""
    first, _, last = (request.header("Range") or "").removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last) + 1, WHOLE)
    if start >= WHOLE:
        return answer(b"", f"Content-Range: bytes */{WHOLE}", status="416 Range Not Satisfiable")
    return answer(bytes(end - start), f"Content-Range: bytes {start}-{end - 1}/{WHOLE}", "Accept-Ranges: bytes")


def test_slices_are_fetched_as_the_client_takes_them_and_no_more_when_it_goes(
    proxy: Any, backend: FickleBackend
) -> None:
    """Between the two are the sockets' buffers, which hold a few MiB of the 256."""
    backend.say = part_of_much
    front = proxy(CONF.replace("slice 4", "slice 256k"), ports={"back": backend.port}, values={"more": ""})
    with front.client() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-99999999999\r\n\r\n").recv_exactly(SLICE)
    front.logged(r'"GET /a HTTP/1.1" 206 ')
    count = len(backend.requests)
    assert count < WHOLE // SLICE // 4
    assert front.get("/b", {"Range": "bytes=5-9"}).body == bytes(5)
    assert len(backend.requests) == count + 1


@pytest.mark.parametrize("start", [WHOLE, 10**15, 10**30])
def test_a_range_behind_the_end_costs_one_slice(proxy: Any, backend: FickleBackend, start: int) -> None:
    backend.say = part_of_much
    front = proxy(CONF.replace("slice 4", "slice 256k"), ports={"back": backend.port}, values={"more": ""})
    assert front.get("/a", {"Range": f"bytes={start}-"}).status == 416
    assert len(backend.requests) == 1
