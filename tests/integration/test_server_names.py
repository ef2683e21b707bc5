"""Servers of one address with the same names: who has them, and what is said about it, as nginx does."""

import itertools
import re

from harness.proxy import in_http

NAMES = (".a.b", "*.a.b", "a.b", "www.*", '""', "", "~^a")
HOSTS = ("a.b", "x.a.b", "www.c", "q", "ab")


def pairs() -> str:
    """Every pair of names, each on a port of its own."""
    found = []
    for number, pair in enumerate(itertools.product(NAMES, NAMES)):
        for value, name in enumerate(("default", *pair)):
            listen = f"listen 127.0.0.1:{{port:p{number}}}{'' if value else ' default_server'};"
            words = f"server_name {name};" if name and value else "server_name other;" if not value else ""
            found.append(f"server {{ {listen} {words} location / {{ return 200 {value}; }} }}")
    return in_http("\n".join(found))


def told(checked) -> list[str]:
    return sorted(re.findall(r'conflicting server name "[^"]*" on [0-9.:]+, ignored', checked.output))


def test_the_first_has_the_name_and_the_other_is_named(proxy, nginx) -> None:
    count = len(NAMES) ** 2
    theirs = nginx(pairs())
    answers = [[theirs.get("/", {"Host": host}, port=f"p{n}").body for host in HOSTS] for n in range(count)]
    warned = told(theirs.check())
    ports = dict(theirs.ports)
    theirs.stop()
    ours = proxy(pairs(), ports=ports)
    assert [[ours.get("/", {"Host": host}, port=f"p{n}").body for host in HOSTS] for n in range(count)] == answers
    found = told(ours.check())
    # nginx tells of a nameless server, too.
    assert any('name "" on' in line for line in found)
    assert found == warned
