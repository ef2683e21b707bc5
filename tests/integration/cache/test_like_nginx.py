"""The same requests through a live nginx and through Penstock, one after another: status, what the cache said, the
body, and how often the backend was asked, have to be the same."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.backends.fickle import FickleBackend
from harness.proxy import Proxy

CONF = """
    http {
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:1m;
        server {
            listen 127.0.0.1:{port:front};
            proxy_cache one;
            proxy_cache_key $scheme$request_method$request_uri;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://127.0.0.1:{port:back}; {value:more} }
        }
    }
    """
Step = tuple[str, dict[str, str]]


def seen(front: Proxy, target: str, fields: dict[str, str], method: str = "GET") -> tuple[object, ...]:
    got = front.get(target.replace(" ", "%20"), fields, method=method)
    names = "X-Cache", "Content-Range", "ETag", "Vary", "Set-Cookie"
    body = b"multipart" if "multipart" in (got.header("Content-Type") or "") else got.body
    if b"<center>" in body:  # a page of its own
        return got.status, got.header("X-Cache"), body.partition(b"</title>")[0]
    reason = got.reason if got.status in (206, 304, 412, 416) else ""  # others are as the backend has them
    return got.status, reason, *(got.header(name) for name in names), got.header("Content-Length"), body


@pytest.fixture
def both(proxy: Any, nginx: Any) -> Iterator[Any]:
    backends: list[FickleBackend] = []

    def make(more: str = "", conf: str = CONF) -> list[tuple[Proxy, FickleBackend]]:
        pairs = []
        for start in (proxy, nginx):
            backends.append(FickleBackend())
            ports = {"back": backends[-1].port}
            pairs.append((start(conf, ports=ports, values={"more": more}), backends[-1]))
        return pairs

    yield make
    for each in backends:
        each.close()


FRESH = "cache-control=max-age=100"
SHORT = "cache-control=max-age=1"
CASES: dict[str, tuple[str, list[Step | float | int]]] = {
    "hit": ("", [(f"/?{FRESH}", {}), (f"/?{FRESH}", {}), (f"/?{FRESH}&x=2", {})]),
    "expired": ("", [(f"/?{SHORT}", {}), (f"/?{SHORT}", {}), 2.2, (f"/?{SHORT}", {}), (f"/?{SHORT}", {})]),
    "nothing said": ("", [("/", {}), ("/", {})]),
    "valid by status": (
        "proxy_cache_valid 404 1h; proxy_cache_valid 1h;",
        [(f"/?status={status}", {}) for status in (200, 301, 302, 404, 500) for _ in (1, 2)],
    ),
    "valid any": ("proxy_cache_valid any 1h;", [("/?status=500", {}), ("/?status=500", {})]),
    "zero": ("", [("/?cache-control=max-age=0", {}), ("/?cache-control=max-age=0", {})]),
    "shared": ("", [("/?cache-control=max-age=0,s-maxage=100", {})] * 2),
    "private": ("", [("/?cache-control=private,max-age=100", {})] * 2),
    "no number": ("", [("/?cache-control=max-age=1x0", {})] * 2),
    "accel first": ("", [("/?x-accel-expires=100&cache-control=no-store", {})] * 2),
    "accel zero": ("", [("/?x-accel-expires=0&cache-control=max-age=100", {})] * 2),
    "accel moment": ("", [("/?x-accel-expires=@4000000000", {})] * 2),
    "expires": ("", [("/?expires=Thu, 31 Dec 2037 23:55:55 GMT", {})] * 2),
    "expires in the past": ("proxy_cache_valid 1h;", [("/?expires=Thu, 31 Dec 2007 23:55:55 GMT", {})] * 2),
    "cookie": ("", [(f"/?{FRESH}&set-cookie=a=b", {})] * 2),
    "cookie ignored": ("proxy_ignore_headers Set-Cookie;", [(f"/?{FRESH}&set-cookie=a=b", {})] * 2),
    "control ignored": (
        "proxy_ignore_headers Cache-Control; proxy_cache_valid 1h;",
        [("/?cache-control=no-store", {})] * 2,
    ),
    "vary": (
        "",
        [(f"/?{FRESH}&vary=x-a", {"X-A": value}) for value in ("1", "2", "1", "2", "", "1")],
    ),
    "vary two": (
        "",
        [
            (f"/?{FRESH}&vary=x-a, accept-encoding", fields)
            for fields in (
                {"X-A": "1", "Accept-Encoding": "gzip, br"},
                {"X-A": "1", "Accept-Encoding": "gzip,br"},
                {"X-A": "1", "Accept-Encoding": "br, gzip"},
                {"X-A": "1"},
            )
        ],
    ),
    "vary star": ("", [(f"/?{FRESH}&vary=*", {})] * 2),
    "vary too long": ("", [(f"/?{FRESH}&vary={'x' * 200}", {})] * 2),
    "vary ignored": ("proxy_ignore_headers Vary;", [(f"/?{FRESH}&vary=x-a", {"X-A": value}) for value in "12"]),
    "ranges": (
        "",
        [
            (f"/?{FRESH}&accept-ranges=bytes", {}),
            *(
                (f"/?{FRESH}&accept-ranges=bytes", {"Range": f"bytes={part}"})
                for part in ("0-3", "-2", "2-", "0-0,3-4", "100-", "x")
            ),
        ],
    ),
    "range first": (
        "",
        [(f"/?{FRESH}&accept-ranges=bytes", {"Range": "bytes=2-4"}), (f"/?{FRESH}&accept-ranges=bytes", {})],
    ),
    "range of no ranges": ("", [(f"/?{FRESH}", {"Range": "bytes=2-4"})] * 2),
    "forced ranges": ("proxy_force_ranges on;", [(f"/?{FRESH}", {"Range": "bytes=2-4"})] * 2),
    "range too far": (
        "proxy_cache_max_range_offset 5;",
        [(f"/?{FRESH}&accept-ranges=bytes", {"Range": f"bytes={at}-"}) for at in (6, 6, 2, 6)],
    ),
    "conditions": (
        "",
        [
            (f'/?{FRESH}&etag="e"', {}),
            *(
                (f'/?{FRESH}&etag="e"', fields)
                for fields in ({"If-None-Match": '"e"'}, {"If-None-Match": '"f"'}, {"If-Match": '"f"'})
            ),
        ],
    ),
    "condition first": ("", [(f'/?{FRESH}&etag="e"', {"If-None-Match": '"e"'}), (f'/?{FRESH}&etag="e"', {})]),
    "dates": (
        "",
        [
            (f"/?{FRESH}&last-modified=Thu, 01 Jan 2015 00:00:00 GMT", fields)
            for fields in (
                {},
                {"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
                {"If-Modified-Since": "Thu, 01 Jan 2014 00:00:00 GMT"},
                {"If-Unmodified-Since": "Thu, 01 Jan 2014 00:00:00 GMT"},
            )
        ],
    ),
    "uses": ("proxy_cache_min_uses 3;", [(f"/?{FRESH}", {})] * 5),
    "bypass": (
        "proxy_cache_bypass $http_x_past;",
        [(f"/?{FRESH}", fields) for fields in ({}, {"X-Past": "1"}, {}, {"X-Past": "0"})],
    ),
    "not kept": ("proxy_no_cache $http_x_not;", [(f"/?{FRESH}", fields) for fields in ({"X-Not": "1"}, {}, {})]),
    "chunked": ("", [(f"/?{FRESH}&chunked=1", {})]),
    "large": ("", [(f"/?{FRESH}&size=300000", {})] * 2),
    "unbuffered": ("proxy_buffering off;", [(f"/?{FRESH}", {})] * 2),
    "unbuffered by the backend": ("", [(f"/?{FRESH}&x-accel-buffering=no", {})] * 2),
    "while updating": (
        "",
        [(f"/?{SHORT},stale-while-revalidate=1", {}), 4.0, (f"/?{SHORT},stale-while-revalidate=1", {})],
    ),
    "on errors": (
        "proxy_cache_use_stale http_500 error;",
        [(f"/?{SHORT}", {}), 2.2, 500, (f"/?{SHORT}", {}), 503, (f"/?{SHORT}", {}), 0, (f"/?{SHORT}", {})],
    ),
    "stale if error": (
        "",
        [
            *((f"/?{SHORT},stale-if-error=100", {}), 2.2, 500),
            *((f"/?{SHORT},stale-if-error=100", {}), 0, (f"/?{SHORT},stale-if-error=100", {})),
        ],
    ),
    "failures kept": ("proxy_cache_valid 502 1h;", [0, (f"/?{FRESH}", {}), (f"/?{FRESH}", {})]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_after_another(both: Any, name: str) -> None:
    more, steps = CASES[name]
    found = []
    for front, backend in both(more):
        answers: list[object] = []
        for step in steps:
            if isinstance(step, float):
                time.sleep(step)
            elif isinstance(step, int):
                backend.down = step
            else:
                answers.append((*seen(front, *step), backend.count))
        found.append(answers)
    assert found[0] == found[1]


def test_head_and_get_share_an_answer(both: Any) -> None:
    """A HEAD is asked for as GET, so that GET finds all of it."""
    found = []
    conf = CONF.replace("$scheme$request_method", "$scheme")
    for front, backend in both(conf=conf):
        answers = [seen(front, f"/?{FRESH}", {}, method) for method in ("HEAD", "HEAD", "GET", "HEAD")]
        found.append((answers, [request.line.split()[0] for request in backend.requests]))
    assert found[0] == found[1]


def test_what_has_expired_is_asked_for_by_its_tags(both: Any) -> None:
    found = []
    for front, backend in both("proxy_cache_revalidate on;"):
        target = '/?cache-control=max-age=1&etag="e"&last-modified=Thu, 01 Jan 2015 00:00:00 GMT'
        answers = [seen(front, target, {})]
        time.sleep(2.2)
        backend.say = lambda request: b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=50\r\n\r\n"
        answers += [seen(front, target, {}), seen(front, target, {})]
        asked = backend.requests[1]
        found.append((answers, asked.header("If-None-Match"), asked.header("If-Modified-Since"), backend.count))
    assert found[0] == found[1]


def test_a_page_in_place_of_an_answer_is_kept_as_its_status(both: Any) -> None:
    found = []
    more = (
        "proxy_intercept_errors on; proxy_cache_valid 404 1h; error_page 404 =200 /there; } "
        "location = /there { return 200 ok;"
    )
    for front, backend in both(more):
        answers = [seen(front, "/?status=404", {}) for _ in range(3)]
        found.append((answers, backend.count))
    assert found[0] == found[1]


def test_the_cache_may_be_named_by_a_variable(both: Any) -> None:
    found = []
    for front, backend in both("proxy_cache $arg_cache;"):
        answers = [seen(front, f"/?{FRESH}&cache={name}", {})[:3] for name in ("one", "one", "off", "two")]
        found.append((answers, backend.count))
    assert found[0] == found[1]
