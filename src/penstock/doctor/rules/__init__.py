"""The rules of `penstock check`, one small family a file. `TABLE` is the order in which they look."""

from __future__ import annotations

from penstock.doctor.rule import Rule
from penstock.doctor.rules import (
    astray,
    backtracking,
    capacity,
    captures,
    connection,
    decoded,
    exposed,
    files,
    ifs,
    mapping,
    mistakes,
    names,
    origin,
    quotes,
    stickiness,
    timeouts,
    upgrade,
)

TABLE: tuple[Rule, ...] = (
    *mistakes.RULES,
    *quotes.RULES,
    *upgrade.RULES,
    *astray.RULES,
    *connection.RULES,
    *timeouts.RULES,
    *origin.RULES,
    *stickiness.RULES,
    *mapping.RULES,
    *ifs.RULES,
    *backtracking.RULES,
    *names.RULES,
    *captures.RULES,
    *decoded.RULES,
    *files.RULES,
    *exposed.RULES,
    *capacity.RULES,
)
LOUD = frozenset(rule.id for rule in TABLE if rule.loud)
"""Rules whose notes are shown in any case."""
BY_ID: dict[str, Rule] = {rule.id: rule for rule in TABLE}
