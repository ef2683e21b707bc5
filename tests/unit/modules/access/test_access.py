"""allow and deny: the first rule that matches, and what is inherited."""

import pytest

from harness.site import Site, mistakes
from penstock.modules.access.access import REMEMBERED, Access


@pytest.fixture
def site(tmp_path):
    return Site(
        """
        deny 192.0.2.1;
        server {
            listen 80;
            location / { }
            location /own { allow 10.0.0.0/8; allow 2001:db8::/32; deny all; }
            location /order { deny 10.1.0.0/16; allow 10.0.0.0/8; deny all; }
            location /unix { allow unix:; deny all; }
            location /methods { limit_except GET { allow 10.0.0.1; deny all; } }
            location /either { satisfy any; deny all; }
        }
        """,
        tmp_path,
    )


@pytest.mark.parametrize(
    ("target", "address", "let_in"),
    [
        ("/other", "127.0.0.1", True),
        ("/other", "192.0.2.1", False),
        ("/own", "192.0.2.1", False),
        ("/own", "10.255.0.1", True),
        ("/own", "11.0.0.1", False),
        ("/own", "2001:db8::9", True),
        ("/own", "2001:db9::9", False),
        ("/own", "::ffff:10.0.0.1", True),
        ("/own", "unix:", False),
        ("/order", "10.1.0.1", False),
        ("/order", "10.2.0.1", True),
        ("/unix", "unix:", True),
        ("/unix", "127.0.0.1", False),
        ("/either", "127.0.0.1", False),
    ],
)
def test_who_is_let_in(site, target: str, address: str, let_in: bool) -> None:
    assert site.ask(target, address=address).status == (404 if let_in else 403)


def test_other_methods_have_their_own_rules(site) -> None:
    assert site.ask("/methods", address="10.0.0.2").status == 404
    assert site.ask("/methods", address="10.0.0.2", method="HEAD").status == 404
    assert site.ask("/methods", address="10.0.0.2", method="DELETE").status == 403
    assert site.ask("/methods", address="10.0.0.1", method="DELETE").status == 405


@pytest.mark.parametrize("target", ["/own", "/either"])
def test_who_is_kept_out_is_logged_once(site, target: str) -> None:
    site.ask(target, address="127.0.0.1")
    assert site.said() == ["access forbidden by rule"]


def test_what_is_remembered_is_bounded(site) -> None:
    access = site.plan.servers[0].root[Access]
    for number in range(REMEMBERED + 10):
        access.allows(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(access.known) <= REMEMBERED


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("allow 1.2.3;", 'invalid parameter "1.2.3"'),
        ("allow example.com;", 'invalid parameter "example.com"'),
        ("deny 10.0.0.0/33;", 'invalid parameter "10.0.0.0/33"'),
        ("deny ::1/129;", 'invalid parameter "::1/129"'),
        ("deny 10.0.0.1/8;", "low address bits of 10.0.0.1/8 are meaningless"),
        ("allow all all;", 'invalid number of arguments in "allow" directive'),
    ],
)
def test_mistakes(tmp_path, rule: str, message: str) -> None:
    assert mistakes(rule, tmp_path) == [message]
