"""Lists of servers from elsewhere: lines or JSON, whole or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.addresses import Address
from penstock.modules.upstream.server_list import MOST, BadList, read_list, read_plain, write_plain
from penstock.upstream.names.listed import ListedServer
from penstock.upstream.peers.peers import ServerOptions


def nowhere(host: str) -> list[str]:
    if host == "two.test":
        return ["10.0.0.8", "::1"]
    raise OSError(host)


def read(text: str) -> tuple[ListedServer, ...]:
    return read_list(text, "here", nowhere)


ONE = (ListedServer(Address("inet", "10.0.0.1", 8000), ServerOptions(weight=2)),)


@pytest.mark.parametrize(
    "text",
    [
        "server 10.0.0.1:8000 weight=2;\n",
        "# a comment\nserver 10.0.0.1:8000 weight=2 max_fails=1;",
        '[{"server": "10.0.0.1:8000", "weight": 2}]',
        ' {"servers": [{"server": "10.0.0.1:8000", "weight": 2, "terminating": false}], "version": 7}',
    ],
)
def test_lines_and_json_say_the_same(text: str) -> None:
    assert read(text) == ONE


def test_a_server_that_is_terminating_is_drained() -> None:
    (found,) = read('[{"server": "10.0.0.1", "terminating": true}]')
    assert found == ListedServer(Address("inet", "10.0.0.1", 80), ServerOptions(drain=True))


def test_names_become_addresses() -> None:
    assert [str(each.address) for each in read('["two.test:81", "unix:/run/app.sock"]')] == [
        "10.0.0.8:81",
        "[::1]:81",
        "unix:/run/app.sock",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "a server is an address"),
        ("{}", "neither a list"),
        ("[", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('["one.test"]', "'one.test' not found"),
        ('[{"server": "10.0.0.1", "weight": 0}]', "weight"),
        ('[{"server": "10.0.0.1", "color": "red"}]', "unknown parameter"),
        ("server 10.0.0.1", "unexpected end of file"),
        ("server 10.0.0.1 color=red;", "invalid parameter"),
        ("listen 80;", "is not allowed in a list"),
        ("server { }", "is not allowed in a list"),
        (json.dumps(["10.0.0.1"] * (MOST + 1)), f"more than {MOST} servers"),
        (" " * ((1 << 20) + 1), "more than 1 MiB"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(text: str, said: str) -> None:
    with pytest.raises(BadList, match=said):
        read(text)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_text_is_a_list_or_is_refused(text: str) -> None:
    try:
        read(text)
    except BadList as refused:
        assert str(refused)


@given(
    st.lists(
        st.builds(
            ListedServer,
            st.builds(Address, st.just("inet"), st.just("10.0.0.1"), st.integers(1, 65535)),
            st.builds(ServerOptions, weight=st.integers(1, 9), drain=st.booleans(), fail_timeout=st.floats(0, 9)),
        )
    )
)
def test_plain_values_and_back(servers: list[ListedServer]) -> None:
    assert read_plain(json.loads(json.dumps(write_plain(servers)))) == tuple(servers)
