"""Cookies rewritten, attribute by attribute."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.config.variables import Template, split_template
from penstock.modules.proxy.rewrite import CookieFlags, HeaderRewrite, default_redirect, rewrite_cookie, rewrite_first

NOBODY: Any = None


def text(value: str) -> Template:
    return Template(value, None, *split_template(value, None))


def flags(name: str, *wishes: str) -> CookieFlags:
    return CookieFlags(lambda request, cookie: cookie == name, tuple(text(each) for each in wishes))


def rule(apply: Callable[[str], str | None]) -> HeaderRewrite:
    return HeaderRewrite(lambda request, value: apply(value))


UPPER = (rule(lambda value: value.upper()),)


@pytest.mark.parametrize(
    ("cookie", "domains", "paths", "rules", "expected"),
    [
        ("a=1; domain=x; Path=/y", UPPER, (), (), "a=1; domain=X; Path=/y"),
        ("a=1;domain=x;Path=/y", (), UPPER, (), "a=1; domain=x; Path=/Y"),
        ("a=1;domain=x;Path=Y", (), UPPER, (), "a=1;domain=x;Path=Y"),
        ("a; path=/y", (), UPPER, (), "a; path=/y"),
        ("domain=1; domain=x", UPPER, (), (), "domain=1; domain=X"),
        ("a=1", (), (), (flags("a", "secure", "httponly", "samesite=lax"),), "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; secure; SAMESITE=lax", (), (), (flags("a", "secure", "samesite=none"),), "a=1; secure; SameSite=None"),
        ("a=1; secure; httponly", (), (), (flags("a", "nosecure", "nohttponly", "nosamesite"),), "a=1"),
        ("b=1; secure", (), (), (flags("a", "nosecure"),), "b=1; secure"),
        ("a=1; x", (), (), (flags("a", "what"),), "a=1; x"),
    ],
)
def test_cookies(cookie: str, domains: Any, paths: Any, rules: Any, expected: str) -> None:
    assert rewrite_cookie(NOBODY, cookie, domains, paths, rules) == expected


@pytest.mark.parametrize(
    ("url", "uri", "location", "value", "expected"),
    [
        ("http://b/x/", "/x/", "/l/", "http://b/x/y", "/l/y"),
        ("http://b", "", "/l/", "http://b/y", "/y"),
        ("http://b", "", "/l/", "http://bc/y", "http://bc/y"),
    ],
)
def test_default_redirect(url: str, uri: str, location: str, value: str, expected: str) -> None:
    assert rewrite_first((default_redirect(url, uri, location),), NOBODY, value) == expected
