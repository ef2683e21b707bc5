"""Which location a kept connection belongs to, told so that the location of the next plan is known by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.config.registry import SERVER
from penstock.modules.core.server_blocks import LISTENS, NAMES

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.config.source import Span

_MADE_BY = ("target", "bind", "socket_", "ssl_")
"""How the names of those settings begin that connections are made by."""


def owner_of(scope: Scope, origins: Mapping[str, Sequence[Span]]) -> str:
    """Describe the settings of a level that connections are made by as a text: its own words, those around it, and what
    was written for it (`origins`)."""
    parts = [span.text for name, spans in origins.items() if name.startswith(_MADE_BY) for span in spans]
    level: Scope | None = scope
    while level is not None and level.directive is not None:
        directive = level.directive
        parts.append(" ".join([directive.name.text, *(word.text for word in directive.args)]))
        if level.context & SERVER:
            parts += [str(bound.address) for bound in level.data[LISTENS]]
            parts += [word.text for word, _ in level.data[NAMES] if word is not None]
        level = level.parent
    return "\n".join(parts)
