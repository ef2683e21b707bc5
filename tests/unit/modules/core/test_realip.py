"""set_real_ip_from and its kin: whom is believed, and what of a header is taken."""

from types import SimpleNamespace

import pytest

from harness.site import Site, mistakes


@pytest.fixture
def site(tmp_path):
    return Site(
        """
        set_real_ip_from 127.0.0.1;
        set_real_ip_from 10.0.1.0/24;
        set_real_ip_from 2001:db8::/32;
        server {
            listen 80;
            return 200 "$remote_addr $remote_port $realip_remote_addr $realip_remote_port";
        }
        """,
        tmp_path,
    )


def locations(tmp_path, settings: str):
    return Site(
        f"""
        server {{
            listen 80;
            location / {{
                set_real_ip_from 127.0.0.1;
                set_real_ip_from 10.0.1.0/24;
                {settings}
                try_files /none @seen;
            }}
            location @seen {{ return 200 "$remote_addr $remote_port"; }}
        }}
        """,
        tmp_path,
    )


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("192.0.2.1", "192.0.2.1  127.0.0.1 40000"),
        ("192.0.2.1:5000", "192.0.2.1 5000 127.0.0.1 40000"),
        ("10.9.9.9, 192.0.2.1 ", "192.0.2.1  127.0.0.1 40000"),
        ("2001:DB8:0::1", "2001:db8::1  127.0.0.1 40000"),
        ("[2001:db8::1]:80", "2001:db8::1 80 127.0.0.1 40000"),
        ("[::1]", "::1  127.0.0.1 40000"),
        ("unknown", "127.0.0.1 40000 127.0.0.1 40000"),
        ("192.0.2.1:0", "127.0.0.1 40000 127.0.0.1 40000"),
        ("192.0.2.1:99999", "127.0.0.1 40000 127.0.0.1 40000"),
        ("unix:/x", "127.0.0.1 40000 127.0.0.1 40000"),
        (",", "127.0.0.1 40000 127.0.0.1 40000"),
    ],
)
def test_the_address_is_taken_from_the_header(site, value: str, seen: str) -> None:
    assert site.ask("/", headers=[f"X-Real-IP: {value}"]).text == seen


def test_only_who_is_trusted_is_believed(site) -> None:
    assert site.ask("/", headers=["X-Real-IP: 1.2.3.4"], address="192.0.2.9").text.startswith("192.0.2.9 40000")
    assert site.ask("/", headers=["X-Real-IP: 1.2.3.4"], address="10.0.1.7").text.startswith("1.2.3.4 ")
    assert site.ask("/", headers=["X-Real-IP: 1.2.3.4"], address="2001:db8::7").text.startswith("1.2.3.4 ")
    assert site.ask("/", headers=["X-Forwarded-For: 1.2.3.4"]).text.startswith("127.0.0.1 40000")


@pytest.mark.parametrize(
    ("recursive", "headers", "seen"),
    [
        ("off", ["192.0.2.1, 10.0.1.1, 127.0.0.1"], "127.0.0.1 "),
        ("on", ["10.0.1.1, 192.0.2.1, 127.0.0.1"], "192.0.2.1 "),
        ("on", ["10.0.1.1,10.0.1.2"], "10.0.1.1 "),
        ("on", ["nobody, 10.0.1.2"], "10.0.1.2 "),
        ("off", ["192.0.2.1", "127.0.0.1, 10.0.1.1"], "10.0.1.1 "),
        ("on", ["10.0.1.1", "192.0.2.1", "127.0.0.1"], "192.0.2.1 "),
        ("on", ["192.0.2.1", "nobody, 127.0.0.1"], "127.0.0.1 "),
    ],
)
def test_lists(tmp_path, recursive: str, headers: list[str], seen: str) -> None:
    site = locations(tmp_path, f"real_ip_header X-Forwarded-For; real_ip_recursive {recursive};")
    assert site.ask("/", headers=[f"X-Forwarded-For: {value}" for value in headers]).text == seen


def test_the_first_of_any_other_header(tmp_path) -> None:
    site = locations(tmp_path, "real_ip_header CF-Connecting-IP;")
    assert site.ask("/", headers=["cf-connecting-ip: 1.1.1.1", "CF-Connecting-IP: 2.2.2.2"]).text == "1.1.1.1 "


def test_from_the_proxy_protocol(tmp_path) -> None:
    site = locations(tmp_path, "real_ip_header proxy_protocol;")
    assert site.ask("/").text == "127.0.0.1 40000"
    from penstock.modules.core.realip import RealIp

    request = site.request("/")
    request.connection.proxy_protocol = SimpleNamespace(source_address="192.0.2.1", source_port=123)
    location = site.plan.servers[0].locations.find("/", request)
    location[RealIp].replace(request)
    assert (request.connection.client_address, request.connection.client_port) == ("192.0.2.1", 123)
    assert request.connection.peer == ("127.0.0.1", 40000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set_real_ip_from 10.0.0.1/8;", "low address bits of 10.0.0.1/8 are meaningless"),
        ("set_real_ip_from 10.0.0.0/33;", 'host not found in set_real_ip_from "10.0.0.0/33"'),
        ("set_real_ip_from 10.0.0.1 10.0.0.2;", 'invalid number of arguments in "set_real_ip_from" directive'),
        ("real_ip_header a; real_ip_header b;", '"real_ip_header" directive is duplicate'),
        (
            "real_ip_recursive yes;",
            'invalid value "yes" in "real_ip_recursive" directive, it must be "on" or "off"',
        ),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert mistakes(text, tmp_path) == [message]
