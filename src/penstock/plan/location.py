"""Locations and servers as a request meets them: frozen, with the handlers of each phase already chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from penstock.config.key import Key
from penstock.plan import phases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.config.regex.pcre import Regex
    from penstock.config.scope import Scope
    from penstock.config.settings import Settings
    from penstock.config.source import Span
    from penstock.config.variables import Template
    from penstock.plan.match import LocationTree, ServerNames

S = TypeVar("S", bound="Settings")
Handler: TypeAlias = Callable[..., Any]  # methods of `Settings`: what they take and give depends on the phase
Handlers: TypeAlias = tuple[tuple[Handler, bool], ...]
"""Pairs of a handler and whether it is a coroutine function."""


# Any: `__getitem__` below says that what is found under a class is of that class.
class Location(dict[Any, Any]):
    """A `location` (or the server itself, or an `if` inside either), ready to be used.

    It is a dictionary of the merged settings of every module by their class, as there is no quicker way to
    `location[HttpCore]`; in every other respect it is an object like others. `kind` is "server", "exact", "prefix",
    "regex", "predicate", "named", "if", "limit_except", or "stream" for a server of streams. `phases` holds the
    handlers by phase number; `nested` is searched when this one has been chosen. `filters` are those of the phases
    HEADERS and BODY; `straight` is the first handler of CONTENT, where it waits and nothing comes before it. `inner`
    are its `if` and `limit_except` blocks.
    """

    __slots__ = (
        "auto_redirect",
        "error_log",
        "filters",
        "final",
        "inner",
        "internal",
        "kind",
        "limited",
        "name",
        "nested",
        "notes",
        "phases",
        "predicate",
        "provenance",
        "regex",
        "scope",
        "span",
        "straight",
        "way",
    )

    def __init__(self, kind: str, name: str, span: Span | None) -> None:
        self.kind = kind
        self.name = name
        self.span = span
        self.regex: Regex | None = None
        self.predicate: Template | None = None
        """What a request is asked: the location is for those where it is neither empty nor `0`."""
        self.final = False
        self.internal = False
        self.limited: tuple[frozenset[str], Location] | None = None
        self.auto_redirect = False
        self.error_log: Any = None  # an `observe.errorlog.ErrorLog`, which is above this floor
        self.nested: LocationTree | None = None
        self.inner: tuple[Location, ...] = ()
        self.scope: Scope | None = None
        """Where it was written, while it is compiled."""
        self.phases: tuple[Handlers, ...] = ((),) * phases.COUNT
        self.filters: Handlers = ()
        self.straight: Handler | None = None
        self.way: Any = None  # a `server.straight.way.Way`, which is above this floor; False where there is none
        self.provenance: Any = None  # a `server.tunnel.provenance.Provenance`, once there was a tunnel
        self.notes: set[str] = set()
        """What has been said once about this location (advice that must not fill the log)."""

    def handle(self, by_phase: tuple[Handlers, ...]) -> None:
        """Use these handlers, given by phase number."""
        self.phases = by_phase
        self.filters = by_phase[phases.HEADERS]
        content = by_phase[phases.CONTENT]
        before = (phases.REWRITE, phases.PREACCESS, phases.ACCESS, phases.PRECONTENT)
        straight = content and content[0][1] and not any(by_phase[number] for number in before)
        self.straight = content[0][0] if straight else None

    if TYPE_CHECKING:

        def __getitem__(self, kind: type[S]) -> S: ...

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<location {self.kind} {self.name!r}>"


class Server:
    """A `server` block: its names, and the locations under it. `root` is the server level itself as a location.

    `allow_connect` says that a `tunnel_pass` is somewhere in it, `meets_connect` that one is in a server at one of its
    addresses. Nothing here leads back: whoever lets go of a plan frees it, without a search for cycles.
    """

    __slots__ = ("allow_connect", "locations", "meets_connect", "name", "named", "root", "span", "tls")

    def __init__(self, name: str, span: Span | None, root: Location) -> None:
        self.name = name
        self.span = span
        self.root = root
        self.locations: LocationTree | None = None
        self.named: dict[str, Location] = {}
        self.tls: Any = None  # a `modules.tls.ssl.TlsOffer`, which is above this floor
        self.allow_connect = False
        self.meets_connect = False

    def places(self) -> Iterator[Location]:
        """Give every location, the server's own level and what stands inside of each."""
        waiting = [self.root, *self.named.values()]
        if self.locations is not None:
            waiting += self.locations.below()
        while waiting:
            each = waiting.pop()
            yield each
            waiting += each.inner

    def __repr__(self) -> str:
        return f"<server {self.name!r}>"


UDP = "udp"
"""What stands behind host and port of an address that datagrams come to."""


class Listen:
    """An address that is listened on, with the servers that share it. `stream`: they are streams', and not HTTP's."""

    __slots__ = ("address", "default", "names", "options", "servers", "span", "stream")

    def __init__(self, address: tuple[Any, ...] | str, options: Any, span: Span | None) -> None:
        self.address = address
        self.options = options  # `modules.core.server_blocks.ListenOptions`, which is above this floor
        self.span = span
        self.servers: list[Server] = []
        self.default: Server | None = None
        self.stream = False
        self.names: ServerNames
        """Once all servers are known."""


OWN_LOCATION: Key[Location] = Key("location")
"""The location that a level of the configuration is; a server's own level has none."""

INNER_LOCATIONS: Key[list[Location]] = Key("inner locations")
"""The `if` and `limit_except` blocks of a level."""

LOCATIONS: Key[list[Location]] = Key("locations")
"""The locations that stand in a level, in their order."""

OWN_SERVER: Key[Server] = Key("server")
"""The server that a level of the configuration is."""

SERVERS: Key[list[Server]] = Key("servers")
"""All servers of a configuration, in their order."""
