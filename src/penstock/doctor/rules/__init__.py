"""The rules of `penstock check`, one small family a file. `TABLE` is the order in which they look."""

from __future__ import annotations

from penstock.doctor.rule import Rule
from penstock.doctor.rules import (
    capacity,
    connection,
    exposed,
    ifs,
    mapping,
    mistakes,
    names,
    origin,
    stickiness,
    timeouts,
    upgrade,
)

TABLE: tuple[Rule, ...] = (
    *mistakes.RULES,
    *upgrade.RULES,
    *connection.RULES,
    *timeouts.RULES,
    *origin.RULES,
    *stickiness.RULES,
    *mapping.RULES,
    *ifs.RULES,
    *names.RULES,
    *exposed.RULES,
    *capacity.RULES,
)
BY_ID: dict[str, Rule] = {rule.id: rule for rule in TABLE}
