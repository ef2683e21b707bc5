"""Which server of a group a request goes to: `least_conn`, `ip_hash`, `hash`, `random`.

nginx: ngx_http_upstream_least_conn_module, ..._ip_hash_module, ..._hash_module, ..._random_module. Without any of
them, weighted round robin.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.registry import UPSTREAM, command, refused
from penstock.config.scope import Scope
from penstock.config.tree import Directive
from penstock.modules.upstream import PAGE, Draft
from penstock.upstream.balancers import Balancer, LeastConn
from penstock.upstream.chance import Random, RandomTwo
from penstock.upstream.hashing import HashBalancer, IpHash


@command("least_conn", where=UPSTREAM, least=0, most=0, nginx=PAGE)
def least_conn(scope: Scope, directive: Directive) -> None:
    """Requests and tunnels go to the server that carries the fewest, for its weight."""
    _balance(scope, directive, LeastConn)


@command("ip_hash", where=UPSTREAM, least=0, most=0, nginx=PAGE)
def ip_hash(scope: Scope, directive: Directive) -> None:
    """Requests of one client, told by its address, go to one server."""
    _balance(scope, directive, IpHash)


@command("hash", where=UPSTREAM, most=2, syntax="key [consistent]", nginx=PAGE)
def hash_(scope: Scope, directive: Directive) -> None:
    """Requests with one key go to one server. `consistent`: few keys move when a server comes or goes."""
    word = directive.args[0]
    consistent = len(directive.args) == 2
    if consistent and directive.args[1].text != "consistent":
        raise ConfigError(f'invalid parameter "{directive.args[1].text}"', directive.args[1].span)
    key = scope.compilation.variables.template(word.text, word.span)
    _balance(scope, directive, HashBalancer(key, consistent=consistent))


@command("random", where=UPSTREAM, least=0, most=2, syntax="[two [least_conn]]", nginx=PAGE)
def random(scope: Scope, directive: Directive) -> None:
    """A server by chance. `two`: the less loaded of two."""
    words = [word.text for word in directive.args]
    if words not in ([], ["two"], ["two", "least_conn"]):
        last = directive.args[-1]
        raise ConfigError(f'invalid parameter "{last.text}"', last.span, hint="random [two [least_conn]];")
    _balance(scope, directive, RandomTwo if words else Random)


def _balance(scope: Scope, directive: Directive, balancer: Balancer) -> None:
    draft: Draft = scope.data["upstream"]
    if draft.method:
        scope.compilation.problems.warn("load balancing method redefined", directive.span)
    draft.method = directive.name.text
    draft.balancer = balancer


refused(
    "least_time",
    where=UPSTREAM,
    advice="response times are not measured for balancing; least_conn favours servers that answer soon just as well",
    module="upstream_balancing",
    nginx=PAGE,
)
refused(
    "queue",
    where=UPSTREAM,
    advice="requests do not wait for a server; see max_conns, and proxy_next_upstream",
    module="upstream_balancing",
    nginx=PAGE,
)
