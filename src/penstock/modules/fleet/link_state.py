"""The states of a worker's link to Redis.

    CLOSED -> OPENING -> JOINING -> UP <-> SILENT
       ^---------------------------------------'

| state   | meaning                                                                             |
|---------|-------------------------------------------------------------------------------------|
| CLOSED  | nothing is tried until the next attempt is due                                      |
| OPENING | the library connects, in a thread                                                   |
| JOINING | the connection is there; scripts and the truth of this worker are on their way      |
| UP      | questions are asked                                                                 |
| SILENT  | an answer is late: nobody else waits for one, until one comes or the link is closed |

Only in UP does a request wait for Redis. In every other state it goes on at once, by what this machine knows.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link


class LinkState(Enum):
    CLOSED = "closed"
    OPENING = "opening"
    JOINING = "joining"
    UP = "up"
    SILENT = "silent"


def shown(link: Link) -> dict[str, object]:
    """Describe a link for status pages."""
    return {
        "redis": link.options.address.shown,
        "name": link.options.name,
        "state": link.state.value,
        "sure": link.sure,
        "machines": link.nodes,
        "asked": link.asked,
        "unanswered": link.unanswered,
        "losses": link.loss.count,
    }
