"""Locations and servers as a request meets them: frozen, with the handlers of each phase already chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from penstock.plan import phases

if TYPE_CHECKING:
    from penstock.config.pcre import Regex
    from penstock.config.scope import Scope
    from penstock.config.settings import Settings
    from penstock.config.source import Span
    from penstock.plan.match import LocationTree, ServerNames

S = TypeVar("S", bound="Settings")
Handler: TypeAlias = Callable[..., Any]
Handlers: TypeAlias = tuple[tuple[Handler, bool], ...]
"""Pairs of a handler and whether it is a coroutine function."""


class Location(dict[Any, Any]):
    """One `location` (or the server itself, or an `if` inside either), ready to be used.

    It is a dictionary of the merged settings of every module by their class, as there is no quicker way to
    `location[HttpCore]`; in every other respect it is an object like others. `kind` is "server", "exact", "prefix",
    "regex", "named", "if" or "limit_except". `phases` holds the handlers by phase number; `nested` is searched when
    this one has been chosen. `filters` are those of the phases HEADERS and BODY; `straight` is the first handler of
    CONTENT, where it waits and nothing comes before it. `inner` are its `if` and `limit_except` blocks.
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
        "regex",
        "scope",
        "span",
        "straight",
    )

    def __init__(self, kind: str, name: str, span: Span | None) -> None:
        self.kind = kind
        self.name = name
        self.span = span
        self.regex: Regex | None = None
        self.final = False
        self.internal = False
        self.limited: tuple[frozenset[str], Location] | None = None
        self.auto_redirect = False
        self.error_log: Any = None
        self.nested: LocationTree | None = None
        self.inner: tuple[Location, ...] = ()
        self.scope: Scope | None = None
        """Where it was written, while it is compiled."""
        self.phases: tuple[Handlers, ...] = ((),) * phases.COUNT
        self.filters: Handlers = ()
        self.straight: Handler | None = None
        self.notes: set[str] = set()
        """What has been said once about this location (advice that must not fill the log)."""

    def handle(self, by_phase: tuple[Handlers, ...]) -> None:
        """Take these handlers, by phase number."""
        self.phases = by_phase
        self.filters = by_phase[phases.HEADERS] + by_phase[phases.BODY]
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
        self.tls: Any = None
        self.allow_connect = False
        self.meets_connect = False

    def __repr__(self) -> str:
        return f"<server {self.name!r}>"


class Listen:
    """One address that is listened on, with the servers that share it."""

    __slots__ = ("address", "default", "names", "options", "servers", "span")

    def __init__(self, address: tuple[Any, ...] | str, options: Any, span: Span | None) -> None:
        self.address = address
        self.options = options
        self.span = span
        self.servers: list[Server] = []
        self.default: Server | None = None
        self.names: ServerNames | None = None
