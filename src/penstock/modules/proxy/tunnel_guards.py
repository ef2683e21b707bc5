"""Whether anybody may use a `tunnel_pass` to reach anything: an open proxy, which is found and abused in hours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.config.registry import Context
from penstock.config.variables import Template
from penstock.modules.access.access import Access
from penstock.modules.tls.verify import ClientCertificates
from penstock.plan import phases
from penstock.plan.location import OWN_LOCATION, OWN_SERVER

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.config.source import Span
    from penstock.config.tree import Directive

CLIENTS_WORD = ("host", "http_", "arg_", "cookie_", "request_port", "request_uri", "uri", "args")
"""Variables that say what the client says begin so."""


def warn_if_open(scope: Scope, target: Template, allowed: tuple[Template, ...], span: Span) -> None:
    """Warn of a `tunnel_pass` that leads anybody anywhere. `scope` is the level it stands at, `allowed` what its
    `tunnel_allow_upstream` asks."""
    if not any(name.startswith(CLIENTS_WORD) for name in target.names) or _guarded(scope):
        return
    if any(each.literal in (None, "", "0") for each in allowed):
        return
    scope.compilation.problems.warn(
        "anybody may have a tunnel to anywhere: this is an open proxy",
        span,
        hint="say who may: allow 10.0.0.0/8; deny all; (or auth_basic with auth_basic_user_file)\n"
        "or say where to: if ($host !~ ^(.+\\.)?example\\.com$) { return 403; }\n"
        "                 if ($request_port != 443) { return 403; }",
    )


def _guarded(scope: Scope) -> bool:
    location = scope.data.get(OWN_LOCATION) or scope.data[OWN_SERVER].root
    if location[ClientCertificates].verify == "on":
        return True
    for handler, _ in location.phases[phases.ACCESS]:
        settings = getattr(handler, "__self__", None)
        if not isinstance(settings, Access) or not all(rule.allows for rule in settings.rules):
            return True
    return any(_tells_apart(each) for each in _conditions(scope))


def _conditions(scope: Scope) -> Iterator[tuple[Directive, bool]]:
    """Every `if` a request meets on its way here, and whether the tunnel is inside of it."""
    level: Scope | None = scope
    while level is not None and level.directive is not None:
        if level.directive.name.text == "if":
            yield level.directive, True
        for inner in level.directive.block or ():
            if inner.name.text == "if":
                yield inner, False
        if level.context & Context.SERVER:
            return
        level = level.parent


def _tells_apart(found: tuple[Directive, bool]) -> bool:
    """Whether a condition looks at more than the method, and turns away or lets in by it."""
    condition, inside = found
    looked_at = " ".join(word.text for word in condition.args)
    if "$request_method" in looked_at or "$" not in looked_at:
        return False
    return inside or any(line.name.text == "return" for line in condition.block or ())
