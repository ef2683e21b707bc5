"""Lists of servers that come from elsewhere (`servers_from`), in memory that all workers share.

Who follows the sources writes them; workers look at the version. By the source as it is written, it is JSON:

    {"consul://127.0.0.1:8500/chat": {"servers": [["10.0.0.1:80", {"weight": 2}], ...]}}

Addresses are in figures; the options are fields of `ServerOptions`.
"""

from __future__ import annotations

from penstock.shared.versioned_text import VersionedText


class ServerLists(VersionedText):
    """The newest good list of each source."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("server lists", "all lists of servers together")
