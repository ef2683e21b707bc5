"""geo: the smallest network around an address, or the range, and whom proxies speak for."""

import pytest

from harness.site import mistakes, pages_of

TABLES = """
    geo $arg_ip $net {
        default        other;
        10.0.0.0/8     ten;
        10.1.0.0/16    part;
        10.1.2.3       one;
        2001:db8::/32  six;
        192.0.2.0/24   gone;
        delete         192.0.2.0/24;
    }
    geo $arg_ip $range {
        ranges;
        default                other;
        10.0.0.0-10.0.0.255    outer;
        10.0.0.10-10.0.0.20    inner;
        10.0.0.0-10.0.0.1      start;
        10.9.3.0-10.11.2.255   wide;
        10.20.0.0-10.20.0.9    gone;
        delete                 10.20.0.0-10.20.0.9;
    }
    geo $own { 127.0.0.0/8 loopback; 255.255.255.255 nobody; }
    geo $one { proxy 127.0.0.1; proxy 10.0.0.0/8; default other; 127.0.0.1 loopback; 10.0.0.0/8 ten; 192.0.2.1 test; }
    geo $all { proxy_recursive; proxy 127.0.0.1; proxy 10.0.0.0/8; default other; 10.0.0.0/8 ten; 192.0.2.1 test; }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return pages_of(TABLES, folder, net="$net", range="$range", own="$own", proxies="$one $all")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/net?ip=10.9.9.9", "ten"),
        ("/net?ip=10.1.9.9", "part"),
        ("/net?ip=10.1.2.3", "one"),
        ("/net?ip=11.0.0.1", "other"),
        ("/net?ip=2001:db8::1", "six"),
        ("/net?ip=2001:db9::1", "other"),
        ("/net?ip=::ffff:10.1.0.1", "part"),
        ("/net?ip=192.0.2.1", "other"),
        ("/net?ip=10.0.0.1:80", "other"),
        ("/net?ip=nonsense", "other"),
        ("/net", "other"),
        ("/range?ip=10.0.0.0", "start"),
        ("/range?ip=10.0.0.1", "start"),
        ("/range?ip=10.0.0.2", "outer"),
        ("/range?ip=10.0.0.10", "inner"),
        ("/range?ip=10.0.0.20", "inner"),
        ("/range?ip=10.0.0.21", "outer"),
        ("/range?ip=10.0.1.0", "other"),
        ("/range?ip=10.9.2.255", "other"),
        ("/range?ip=10.9.3.0", "wide"),
        ("/range?ip=10.10.255.255", "wide"),
        ("/range?ip=10.11.2.255", "wide"),
        ("/range?ip=10.11.3.0", "other"),
        ("/range?ip=10.20.0.5", "other"),
        ("/range?ip=::1", "other"),
        ("/range?ip=::ffff:10.0.0.15", "inner"),
    ],
)
def test_value(site, target: str, text: str) -> None:
    assert site.ask(target).text == text


def test_the_clients_own_address(site) -> None:
    assert site.ask("/own").text == "loopback"
    assert site.ask("/own", address="9.9.9.9").text == ""
    assert site.ask("/own", address="unix:").text == "nobody"


@pytest.mark.parametrize(
    ("address", "headers", "text"),
    [
        ("127.0.0.1", [], "loopback other"),
        ("127.0.0.1", ["X-Forwarded-For: 192.0.2.1"], "test test"),
        ("127.0.0.1", ["X-Forwarded-For: 192.0.2.1, 10.0.0.1"], "ten test"),
        ("127.0.0.1", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.0.0.1:99"], "ten test"),
        ("127.0.0.1", ["X-Forwarded-For: 192.0.2.1, nonsense, 10.0.0.1"], "ten ten"),
        ("9.9.9.9", ["X-Forwarded-For: 192.0.2.1"], "other other"),
    ],
)
def test_proxies_are_believed(site, address: str, headers: list[str], text: str) -> None:
    assert site.ask("/proxies", address=address, headers=headers).text == text


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("geo v { }", ['invalid variable name "v"']),
        ("geo $nobody $v { }", ['unknown "nobody" variable']),
        ("geo $v { 1.2.3 a; }", ['invalid network "1.2.3"']),
        ("geo $v { all a; }", ['invalid network "all"']),
        ("geo $v { a b c; }", ["invalid number of the geo parameters"]),
        ("geo $v { 1.2.3.4/8 a; }", ["low address bits of 1.2.3.4/8 are meaningless"]),
        (
            "geo $v { 1.0.0.0/8 a; 1.0.0.0/8 b; }",
            ['duplicate network "1.0.0.0/8", value: "b", old value: "a"'],
        ),
        ("geo $v { delete 1.0.0.0/8; }", ['no network "1.0.0.0/8" to delete']),
        (
            "geo $v { 1.0.0.0/8 a; ranges; }",
            ['the "ranges" directive must be the first directive inside "geo" block'],
        ),
        ("geo $v { ranges; 1.0.0.0 a; }", ['invalid range "1.0.0.0"']),
        ("geo $v { ranges; 1.0.0.9-1.0.0.0 a; }", ['invalid range "1.0.0.9-1.0.0.0"']),
        (
            "geo $v { ranges; 1.0.0.0-1.0.0.9 a; 1.0.0.5-1.0.0.15 b; }",
            ['range "1.0.0.5-1.0.0.15" overlaps "1.0.0.0-1.0.0.9"'],
        ),
        (
            "geo $v { ranges; 1.0.0.0-1.0.0.9 a; 1.0.0.0-1.0.0.9 b; }",
            ['duplicate range "1.0.0.0-1.0.0.9", value: "b", old value: "a"'],
        ),
        (
            "geo $v { ranges; delete 1.0.0.0-1.0.0.9; }",
            ['no address range "1.0.0.0-1.0.0.9" to delete'],
        ),
    ],
)
def test_mistakes(tmp_path, text: str, messages: list[str]) -> None:
    assert mistakes(text, tmp_path) == messages
