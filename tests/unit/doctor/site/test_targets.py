"""Targets that come to a location, whatever pattern it has."""

import pytest

from penstock.config.errors import Problems
from penstock.config.parser import parse_text
from penstock.config.regex.pcre import compile_pcre
from penstock.doctor.site.level import levels
from penstock.doctor.site.targets import targets


def of(location: str) -> list[str]:
    tree = parse_text(f"location {location} {{ }}", "x", Problems())
    return targets(levels(tree).below[0])


@pytest.mark.parametrize(
    ("location", "first"),
    [
        ("/ws/", "/ws/"),
        ("/ws", "/ws"),
        ("= /ws", "/ws"),
        ("^~ /a/ws", "/a/ws"),
        ("/socket.io", "/socket.io/?EIO=4&transport=websocket"),
        ("/a/socket.io/", "/a/socket.io/?EIO=4&transport=websocket"),
    ],
)
def test_paths(location: str, first: str) -> None:
    assert of(location)[0] == first


@pytest.mark.parametrize(
    "pattern",
    [
        "^/ws/",
        "^/(ws|chat)/(.*)$",
        r"\.ws$",
        r"^/(?:api/)?v[0-9]+/(?<name>[a-z]{2,5})/socket(\.io)?/?$",
        r"^/rooms/\d{4}/[^/]+/ws$",
        r"/(?P<id>\w+)-ws/?$",
        "^/a+b*/ws",
        r"^/socket\.io",
        "/terminals/websocket|/api/kernels/[^/]+/channels",
        r"^/(user|lab)/[\w-]+/ws(/|$)",
    ],
)
def test_patterns(pattern: str) -> None:
    found = of(f'~ "{pattern}"')
    assert found, "there is one that matches"
    assert all(compile_pcre(pattern, caseless=False).match(each.partition("?")[0]) for each in found)


def test_nobody_asks_for_a_name() -> None:
    assert of("@backend") == []
