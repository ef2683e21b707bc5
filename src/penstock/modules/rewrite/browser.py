"""`$msie`, `$modern_browser`, `$ancient_browser` (nginx: ngx_http_browser_module).

Which browsers are modern can not be configured here, so that none is, as in an nginx without those directives.
"""

from __future__ import annotations

from penstock.config.variables import variable
from penstock.http.request import Request

_SHORTEST = 8
"""Behind `MSIE ` nginx wants a version, such as `6.0`."""


@variable("msie", changeable=True)
def msie(request: Request) -> str:
    """1 for Internet Explorer up to 10."""
    agent = request.head.fields.get("user-agent") or ""
    at = agent.find("MSIE ")
    return "1" if 0 <= at <= len(agent) - _SHORTEST else ""


@variable("modern_browser", changeable=True)
def modern_browser(request: Request) -> str:
    return ""


@variable("ancient_browser", changeable=True)
def ancient_browser(request: Request) -> str:
    return "1"
