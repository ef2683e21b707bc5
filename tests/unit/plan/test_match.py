"""Which server and which location: nginx's order, found by hand and compared with a plain search."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.regex.pcre import compile_pcre
from penstock.config.variables import Template
from penstock.plan.location import Location
from penstock.plan.match import REMEMBERED, LocationTree, ServerNames


def server(name: str) -> Any:
    return SimpleNamespace(name=name)


def names(*given: str) -> ServerNames:
    """A server per name, called by it; the default is called `default`. A regular expression begins with `~`."""
    made = ServerNames(server("default"))
    for name in given:
        if name.startswith("~"):
            made.add_regex(compile_pcre(name[1:]), server(name))
        else:
            made.add(name, server(name))
    return made


ORDER = ("www.example.com", "*.example.com", "*.www.example.com", "www.*", "www.example.*", "~^www", "~example")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("www.example.com", "www.example.com"),
        ("a.www.example.com", "*.www.example.com"),
        ("a.example.com", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("example.com", "~example"),
        ("www.example.org", "www.example.*"),
        ("www.example.co.uk", "www.example.*"),
        ("www.other.org", "www.*"),
        ("www", "~^www"),
        (".example.com", "*.example.com"),
        ("nobody", "default"),
        ("", "default"),
    ],
)
def test_the_order_of_server_names(host: str, expected: str) -> None:
    made = names(*ORDER)
    for _ in range(2):  # the second time it is remembered
        found, match = made.find(host)
        assert found.name == expected
        assert (match is not None) is expected.startswith("~")


def test_a_name_that_is_taken_stays_with_the_first() -> None:
    made = ServerNames(server("default"))
    one, two = server("one"), server("two")
    assert made.add("a.b", one)
    assert made.add("a.b", one), "twice at one server is no conflict"
    assert not made.add("a.b", two)
    assert made.add(".c.d", one)
    assert not made.add("*.c.d", two)
    assert not made.add(".a.b", two), "one of its two names is taken, and so none counts"
    assert made.find("x.a.b")[0].name == "default"


def test_strangers_do_not_fill_the_memory() -> None:
    made = names("*.example.com")
    for number in range(3 * REMEMBERED):
        assert made.find(f"h{number}.example.com")[0].name == "*.example.com"
    assert len(made._memo) <= REMEMBERED


def place(kind: str, name: str, *inner: Location, final: bool = False, slash: bool = False) -> Location:
    made = Location(kind, name, None)
    made.final = final
    made.auto_redirect = slash
    if kind == "regex":
        made.regex = compile_pcre(name)
    if kind == "predicate":
        made.predicate = Template(name, None, (None,), (name[1:],))
        made.predicate.evaluate = lambda request: request.asked(name)
    if inner:
        made.nested = LocationTree(inner)
    return made


def found(tree: LocationTree, uri: str, **values: str) -> str | None:
    """The name of what is found; `values`: what variables of predicates are."""
    request: Any = SimpleNamespace(
        captured=lambda match, regex: None, location=None, asked=lambda name: values.get(name[1:], "")
    )
    location = tree.find(uri, request)
    return None if location is None else location.name


def test_the_order_of_locations() -> None:
    tree = LocationTree(
        [
            place("exact", "/a"),
            place("prefix", "/a"),
            place("prefix", "/a/long"),
            place("prefix", "/final/", final=True),
            place("regex", r"\.php$"),
            place("regex", r"/a/.*\.php$"),
            place("prefix", "/"),
        ]
    )
    for uri, name in {
        "/a": "/a",
        "/ab": "/a",
        "/a/long/x": "/a/long",
        "/a/long/x.php": r"\.php$",
        "/final/x.php": "/final/",
        "/z": "/",
    }.items():
        assert found(tree, uri) == name, uri
    assert found(LocationTree([place("prefix", "/b")]), "/a") is None


def test_what_is_nested_goes_before_expressions_outside() -> None:
    tree = LocationTree(
        [
            place("prefix", "/a/", place("exact", "/a/x.php"), place("prefix", "/a/b/"), place("regex", "/a/b.*x$")),
            place("regex", r"\.php$"),
        ]
    )
    assert found(tree, "/a/x.php") == "/a/x.php"
    assert found(tree, "/a/b/y.php") == r"\.php$", "a prefix inside does not end the search"
    assert found(tree, "/a/b/x") == "/a/b.*x$"
    assert found(tree, "/a/b/y") == "/a/b/"


PREDICATES = (
    place("predicate", "$a"),
    place("predicate", "$b", place("prefix", "/x/"), place("predicate", "$c")),
    place("predicate", "$a"),
    place("exact", "/exact"),
    place("prefix", "/"),
    place("prefix", "/final/", final=True),
    place("prefix", "/in/", place("predicate", "$c"), place("prefix", "/in/er/"), place("regex", "x$")),
    place("regex", r"\.php$", place("predicate", "$c")),
)


@pytest.mark.parametrize(
    ("uri", "values", "name"),
    [
        ("/", {}, "/"),
        ("/", {"a": ""}, "/"),
        ("/", {"a": "0"}, "/"),
        ("/", {"a": "00"}, "$a"),
        ("/", {"a": "no"}, "$a"),
        ("/", {"a": "1", "b": "1"}, "$a"),
        ("/", {"b": "1"}, "$b"),
        ("/", {"b": "1", "c": "1"}, "$c"),
        ("/x/y", {"b": "1"}, "/x/"),
        ("/x/y", {"b": "1", "c": "1"}, "$c"),
        ("/exact", {"a": "1"}, "/exact"),
        ("/final/x", {"a": "1"}, "/final/"),
        ("/y.php", {"a": "1"}, r"\.php$"),
        ("/y.php", {"a": "1", "c": "1"}, "$c"),
        ("/in/", {"a": "1"}, "$a"),
        ("/in/", {"a": "1", "c": "1"}, "$c"),
        ("/in/er/y", {"c": "1"}, "$c"),
        ("/in/er/y", {"a": "1"}, "$a"),
        ("/in/er/y", {}, "/in/er/"),
        ("/in/x", {"a": "1", "c": "1"}, "x$"),
        ("/nowhere", {"c": "1"}, "/"),
    ],
)
def test_predicates_come_after_expressions_and_before_prefixes(uri: str, values: dict[str, str], name: str) -> None:
    assert found(LocationTree(PREDICATES), uri, **values) == name


def test_a_predicate_holds_where_no_prefix_matches() -> None:
    tree = LocationTree([place("predicate", "$a")])
    assert found(tree, "/", a="1") == "$a"
    assert found(tree, "/") is None


@pytest.mark.parametrize("regex", [True, False])
def test_a_path_without_the_last_slash_is_sent_to_the_location_that_has_it(regex: bool) -> None:
    others = [place("regex", "^/never")] if regex else []
    tree = LocationTree([place("prefix", "/app/", slash=True), place("prefix", "/"), *others])
    assert found(tree, "/app") == "/app/"
    assert found(tree, "/app/x") == "/app/"
    own = LocationTree([place("prefix", "/app/", slash=True), place("exact", "/app"), *others])
    assert found(own, "/app") == "/app", "a location of its own goes before"


PREFIXES = st.lists(st.text("/ab", max_size=4).map("/".__add__), unique=True, max_size=6)


@given(prefixes=PREFIXES, exact=PREFIXES, uri=st.text("/ab", max_size=6).map("/".__add__))
def test_the_longest_prefix_counts(prefixes: list[str], exact: list[str], uri: str) -> None:
    tree = LocationTree([*(place("prefix", each) for each in prefixes), *(place("exact", each) for each in exact)])
    longest = max((each for each in prefixes if uri.startswith(each)), key=len, default=None)
    assert found(tree, uri) == (uri if uri in exact else longest)
