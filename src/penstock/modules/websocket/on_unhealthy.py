"""What becomes of open WebSockets whose server has failed its checks: `websocket_on_unhealthy`."""

from __future__ import annotations

from penstock.config.key import Key
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive
from penstock.modules.websocket.params import code
from penstock.websocket.terms import DRAINED, KEPT

MODULE = "websocket_on_unhealthy"
SYNTAX = "keep | drain | close=code"

ENDS_THEM: Key[bool] = Key("ends tunnels of the unhealthy")
"""Set where any location does not keep them, so that somebody has to look."""


def _read(call: Call) -> int:
    word = call.args[0]
    if word.text in ("keep", "drain"):
        return KEPT if word.text == "keep" else DRAINED
    name, _, text = word.text.partition("=")
    try:
        if name != "close":
            raise ValueError(SYNTAX)
        return code(text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None


class OnUnhealthy(Settings):
    """Whether a tunnel outlives the health of its server."""

    what: int = directive(
        MODULE,
        where=HTTP_LEVELS,
        takes=custom(_read, syntax=SYNTAX),
        default=KEPT,
        shown="keep",
        doc="What becomes of open WebSockets when `health_check` has put their server out of use: they stay, or are "
        "closed over the time of `websocket_drain` (30s where there is none) with its code, or at once with this code.",
    )

    def finish(self, scope: Scope) -> None:
        """Note that somebody has to look after tunnels whose server fails its checks."""
        if self.what != KEPT:
            scope.compilation.shared[ENDS_THEM] = True
