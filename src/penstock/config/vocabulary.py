"""Which variables are built in: a vocabulary for HTTP, and one for streams, whose names may mean other things.

A variable is a name and its getter. What asks a request and a stream's session alike is declared once, for HTTP, and
taken over by the other vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock.config.on_demand import ON_DEMAND

SomeRequest: TypeAlias = Any  # a request of the floor `http/`, of which this floor knows nothing

Getter: TypeAlias = Callable[[SomeRequest], str | None]
Setter: TypeAlias = Callable[[SomeRequest, str], None]


CLEAN = frozenset(
    (
        "host request_uri request_method request_id request_length request_port is_request_port request_time scheme "
        "https is_args content_type content_length remote_addr remote_port realip_remote_addr realip_remote_port "
        "server_addr server_port server_protocol nginx_version pid pipe msec status time_local time_iso8601 connection "
        "connection_requests connection_time bytes_sent body_bytes_sent http2 proxy_add_x_forwarded_for"
    ).split()
)
"""Variables whose values hold no control character, whatever a peer sends: texts made of them need no look.

What a client writes in its head is refused with control characters in it, so what is passed on undecoded is clean. What
is decoded ($uri, captures of it, $remote_user) is not, nor what a backend or a certificate says, nor what is stored by
`set`: that may be anything.
"""
CLEAN_FAMILIES = frozenset({"http_", "cookie_"})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable. `late`: its value may still change while the answer is sent or the tunnel is open (bytes, times,
    status).
    `clean`: there is no control character in it, ever.

    `changeable`: a configuration may give it values of its own (`set`, `map`, captures). `absent` says why it never has
    a value here, where its users would miss it.
    """

    name: str
    get: Getter
    set: Setter | None = None
    late: bool = False
    clean: bool = False
    changeable: bool = False
    absent: str = ""


class Vocabulary:
    """The built-in variables of one language by their names, and families of them by their prefixes."""

    __slots__ = ("families", "name", "variables")

    def __init__(self, name: str) -> None:
        self.name = name
        self.variables: dict[str, Variable] = {}
        self.families: dict[str, Callable[[str], Variable]] = {}

    def variable(
        self, *names: str, late: bool = False, set: Setter | None = None, changeable: bool = False
    ) -> Callable[[Getter], Getter]:
        """Declare built-in variables: `@variable("remote_addr")` above their getter."""

        def declare(get: Getter) -> Getter:
            for name in names:
                if name in self.variables:
                    raise AssertionError(f"${name} is declared twice")
                self.variables[name] = Variable(name, get, set, late, name in CLEAN, changeable or set is not None)
            return get

        return declare

    def family(
        self, prefix: str, *, late: bool = False
    ) -> Callable[[Callable[[str], Getter]], Callable[[str], Getter]]:
        """Declare a family such as `$http_...`: the decorated function makes the getter of one member."""

        def declare(make: Callable[[str], Getter]) -> Callable[[str], Getter]:
            clean = prefix in CLEAN_FAMILIES
            self.families[prefix] = lambda name: Variable(name, make(name[len(prefix) :]), None, late, clean)
            return make

        return declare

    def absent(self, *names: str, why: str, changeable: bool = False) -> None:
        """Declare variables that nginx knows and that are always empty here. A name with `_` at its end is a family's.
        """
        for name in names:
            if name.endswith("_"):
                self.families[name] = lambda member: Variable(member, _nothing, absent=why)
            else:
                assert name not in self.variables, name
                self.variables[name] = Variable(name, _nothing, changeable=changeable, absent=why)

    def expect(self, name: str) -> None:
        """Have a variable that is on demand, since a configuration names it. Raises `ConfigError`."""
        while name not in self.variables and ON_DEMAND.bring(f"${name}"):
            pass

    def take_over(self, other: Vocabulary, *names: str) -> None:
        """Take variables of another vocabulary as they are; a name with `_` at its end is that of a family."""
        for name in names:
            if name.endswith("_"):
                self.families[name] = other.families[name]
            else:
                self.variables[name] = other.variables[name]

    def of_family(self, name: str) -> Variable | None:
        """Make the variable that a family has under this name; None where no family has it."""
        for prefix, make in self.families.items():
            if name.startswith(prefix):
                return make(name)
        return None


def _nothing(request: SomeRequest) -> None:
    return None


HTTP_WORDS = Vocabulary("http")
STREAM_WORDS = Vocabulary("stream")
VOCABULARIES = {each.name: each for each in (HTTP_WORDS, STREAM_WORDS)}
