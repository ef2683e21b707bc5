"""A 101 becomes a tunnel: both streams go to the relay, and the request comes back only to be logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.http_core import HttpCore
from penstock.net.relay import relay
from penstock.observe.errorlog import INFO, WARN, report
from penstock.plan import phases

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.net.relay import Tunnel
    from penstock.server.connection import Connection
