"""userid: who gets a cookie, what is in it, and what is made of one that comes."""

import re

import pytest

from harness.site import Site, mistakes


@pytest.fixture
def site(tmp_path):
    return Site(
        """
        map $arg_reset $uid_reset { default ""; yes 1; log log; }
        add_header X-Got $uid_got;
        add_header X-Set $uid_set;
        server {
            listen 80;
            location / { userid on; try_files /none =204; }
            location /all {
                userid on; userid_name id; userid_domain example.org; userid_path /p; userid_expires max;
                userid_flags secure samesite=lax httponly; userid_p3p x; userid_mark Z; userid_service 258;
                try_files /none =204;
            }
            location /old { userid v1; try_files /none =204; }
            location /log { userid log; try_files /none =204; }
            location /off { try_files /none =204; }
        }
        """,
        tmp_path,
    )


def headers(site, target: str, cookie: str = "") -> dict[str, str]:
    return dict(site.ask(target, headers=[f"Cookie: {cookie}"] if cookie else []).answer.headers)


def test_a_cookie_for_who_has_none(site) -> None:
    seen = headers(site, "/")
    assert re.fullmatch(r"uid=[A-Za-z0-9+/]{22}==; path=/", seen["Set-Cookie"])
    assert re.fullmatch(r"uid=0100007F[0-9A-F]{24}", seen["X-Set"])
    assert "X-Got" not in seen
    again = headers(site, "/", seen["Set-Cookie"].partition(";")[0])
    assert "Set-Cookie" not in again
    assert again["X-Got"] == seen["X-Set"]
    assert headers(site, "/")["X-Set"] != seen["X-Set"]


def test_all_that_can_be_said(site) -> None:
    seen = headers(site, "/all")
    assert re.fullmatch(
        r"id=[A-Za-z0-9+/]{22}Z=; expires=Thu, 31-Dec-37 23:55:55 GMT; domain=example.org; path=/p"
        r"; secure; httponly; samesite=lax",
        seen["Set-Cookie"],
    )
    assert seen["P3P"] == "x"
    assert seen["X-Set"].startswith("id=02010000")


def test_a_mark_is_put_on_what_has_none(site) -> None:
    seen = headers(site, "/all", "id=fwAAAWkAAAABAgMEAwMDAw==")
    assert seen["Set-Cookie"].startswith("id=fwAAAWkAAAABAgMEAwMDAwZ=;")
    assert "Set-Cookie" not in headers(site, "/all", "id=fwAAAWkAAAABAgMEAwMDAwZ=")


def test_a_reset(site) -> None:
    cookie = "uid=fwAAAWkAAAABAgMEAwMDAw=="
    assert "Set-Cookie" not in headers(site, "/", cookie)
    assert "Set-Cookie" in headers(site, "/?reset=yes", cookie)
    assert site.said() == []
    headers(site, "/?reset=log", cookie)
    assert site.said() == ['userid cookie "uid=0100007F000000690403020103030303" was reset']


def test_other_modes(site) -> None:
    assert headers(site, "/old")["X-Set"].startswith("uid=00000000")
    assert headers(site, "/log") == {}
    assert headers(site, "/log", "uid=fwAAAWkAAAABAgMEAwMDAw==").keys() == {"X-Got"}
    assert headers(site, "/off", "uid=fwAAAWkAAAABAgMEAwMDAw==") == {}


def test_cookies_that_are_none(site) -> None:
    assert "Set-Cookie" in headers(site, "/", "uid=short")
    assert "Set-Cookie" in headers(site, "/", "uid=-----------------------------")
    assert site.said() == [
        'client sent too short userid cookie "uid=short"',
        'client sent invalid userid cookie "uid=-----------------------------"',
    ]


def test_mistakes(tmp_path) -> None:
    message = '"userid_mark" value must be "off" or a single letter, digit or "="'
    assert mistakes("userid_mark ab;", tmp_path) == [message]
