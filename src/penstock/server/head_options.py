"""How the heads of requests are read, as a server's configuration has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from penstock.http.head import HeadOptions
from penstock.http.reader import seen_by
from penstock.modules.core.http_core import HttpCore
from penstock.plan.location import Server

if TYPE_CHECKING:
    from penstock.http.head import RequestHead
    from penstock.http.seen_heads import SeenHeads
    from penstock.plan.location import Listen
    from penstock.plan.match import LocationTree

Host: TypeAlias = "tuple[Server, LocationTree, bool]"
"""A server where requests may go straight, its locations, and whether slashes are merged there."""

KnownServers: TypeAlias = "dict[RequestHead | None, tuple[Listen | None, Host | None]]"
"""By header lines that came before: the server that they mean at an address."""

Reading: TypeAlias = "tuple[HeadOptions, int, SeenHeads, KnownServers]"
"""The options for a server, how long a head may be that needs no second look, heads that came before, and where
requests with such header lines go."""

NOWHERE: tuple[Listen | None, Host | None] = (None, None)


class Readings(dict["Server", "Reading"]):
    """What is asked for by server, made when it is first wanted."""

    def __missing__(self, server: Server) -> Reading:
        core = server.root[HttpCore]
        options = HeadOptions(
            underscores_in_headers=core.underscores_in_headers,
            ignore_invalid_headers=core.ignore_invalid_headers,
            merge_slashes=core.merge_slashes,
            max_headers=core.max_headers,
            allow_connect=server.meets_connect,
            bare_line_feeds=True,
        )
        found = self[server] = options, core.client_header_buffer_size, seen_by(options), {}
        return found
