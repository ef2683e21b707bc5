"""What is said of mistakes in upstream blocks, and what their directives come to."""

from pathlib import Path

import pytest

from harness.site import compiled, mistakes
from penstock.modules.upstream.upstream import UPSTREAMS, Upstreams
from penstock.upstream.peers.zone_table import SharedPeer

A = "server 127.0.0.1:1;"
ZONE = "zone z 64k;"
NAMES = "resolver 127.0.0.1;"


def said(inside: str, folder: Path, http: str = "") -> list[str]:
    return mistakes(f"{http} upstream u {{ {inside} }}", folder)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (f"{A} zone '';", 'invalid zone name ""'),
        (f"{A} zone z much;", 'invalid zone size "much"'),
        (f"{A} zone z 16k;", 'zone "z" is too small'),
        (f"{A} zone z;", 'zero size shared memory zone "z"'),
        (f"{NAMES} server a.test resolve;", 'resolving names at run time requires upstream "u" to be in shared memory'),
        (f"{ZONE} server a.test resolve;", 'no resolver defined to resolve names at run time in upstream "u"'),
        ("server a.test service=http;", 'service upstream "a.test" requires "resolve" parameter'),
        ("server a.test:80 resolve service=http;", 'service upstream "a.test:80" may not have port'),
        ("server 127.0.0.1 resolve service=http;", 'service upstream "127.0.0.1" requires domain name'),
        ("server a.test resolve service=;", "service is empty"),
        (f"{A} resolver ipv4=off ipv6=off 127.0.0.1;", '"ipv4" and "ipv6" cannot both be "off"'),
        (f"{A} resolver valid=10s;", "no name servers defined"),
        (f"{A} resolver 127.0.0.1 valid=soon;", "invalid parameter: valid=soon"),
        (f"{A} resolver 127.0.0.1:port;", 'invalid port in resolver "127.0.0.1:port"'),
        (f"{A} sticky cake a;", 'unknown parameter "cake"'),
        (f"{A} sticky cookie s; sticky cookie s;", '"sticky" directive is duplicate'),
        (f"{A} sticky cookie s samesite=sometimes;", '"sticky" directive invalid "samesite" parameter value'),
        (f"{A} sticky cookie s path=/ path=/;", '"sticky" directive parameter "path" is duplicate'),
        (f"{A} sticky route jsessionid;", 'invalid variable name "jsessionid"'),
        (f"{A} sticky learn lookup=$arg_s zone=s:64k;", '"sticky" directive "create" parameter is not specified'),
        (f"{A} sticky learn create=$arg_s lookup=$arg_s zone=s;", '"sticky" directive zone size is not specified'),
        (f"{A} sticky learn create=$arg_s lookup=$arg_s zone=s:1k;", '"sticky" directive zone is too small'),
        (f"{A} least_time;", 'invalid number of arguments in "least_time" directive'),
        (f"{A} least_time first_byte;", 'invalid parameter "first_byte"'),
        (f"{A} least_time header in_flight;", 'invalid parameter "in_flight"'),
        (f"{A} random two least_time=first_byte;", 'invalid parameter "least_time=first_byte"'),
        ("server 127.0.0.1 slow_start=soon;", 'invalid parameter "slow_start=soon"'),
        ("server 127.0.0.1 slow_start=5s; ip_hash;", 'balancing method does not support parameter "slow_start"'),
        ("random; server 127.0.0.1 slow_start=5s;", 'balancing method does not support parameter "slow_start"'),
        (f"{A} queue 0;", 'invalid value "0" in "queue" directive'),
        (f"{A} queue 10 timeout=0;", 'invalid parameter "timeout=0"'),
        (f"{A} queue 10; queue 10;", '"queue" directive is duplicate'),
    ],
)
def test_mistakes(inside: str, message: str, tmp_path: Path) -> None:
    assert message in said(inside, tmp_path)


@pytest.mark.parametrize(
    "inside",
    [
        f"{A} zone z 1m; server 127.0.0.1:2 backup; least_conn;",
        f"{ZONE} {NAMES} resolver_timeout 5s; server a.test resolve; server a.test resolve weight=2;",
        f"{ZONE} {NAMES} server a.test service=_http._tcp resolve;",
        f"{A} resolver 127.0.0.1 [::1]:5353 valid=1m ipv6=off status_zone=x;",
        f"{A} sticky cookie s expires=max domain=.$host path=/ secure httponly samesite=Lax;",
        f"{A} sticky learn create=$upstream_cookie_s lookup=$cookie_s zone=s:64k timeout=1h header;",
        f"{A} sticky route $cookie_a $arg_b; server 127.0.0.1:2 route=b drain;",
    ],
)
def test_what_is_fine(inside: str, tmp_path: Path) -> None:
    assert said(inside, tmp_path) == []


def upstreams(text: str, folder: Path) -> Upstreams:
    plan = compiled(f"events {{ }} http {{ {text} }}", folder)
    found = plan.shared[UPSTREAMS]
    assert isinstance(found, Upstreams)
    return found


def test_groups_of_a_zone_share_its_memory_and_nothing_in_it(tmp_path: Path) -> None:
    one = f"upstream one {{ {ZONE} {A} {A} server 127.0.0.1:2 weight=3 backup; }}"
    made = upstreams(f"{one} upstream two {{ zone z; {A} }}", tmp_path)
    peers = [*made.groups["one"].peers, *made.groups["two"].peers]
    assert all(isinstance(peer, SharedPeer) for peer in peers)
    for at, peer in enumerate(peers):
        peer.active += at + 1
    assert [peer.active for peer in peers] == [1, 2, 3, 4]
    assert [peer.effective_weight for peer in peers] == [1, 1, 3, 1]


def test_names_are_followed_unless_that_is_switched_off(tmp_path: Path) -> None:
    text = "upstream u { server localhost:1; } server { location / { proxy_pass http://localhost:2; } }"
    assert [renewal.member.text for renewal in upstreams(text, tmp_path).renewals] == ["localhost", "localhost:1"]
    assert [renewal.first for renewal in upstreams(f"upstream_names_valid 5m; {text}", tmp_path).renewals] == [300, 300]
    assert upstreams(f"{text} upstream_names_valid off;", tmp_path).renewals == []
