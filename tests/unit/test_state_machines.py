"""The charts in docs/internals/state-machines.md show what the tables in the code say."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.net.h2.states import LANE
from penstock.net.relay.states import FLOW
from penstock.server.websocket.states import SESSION
from penstock.websocket.redial.states import REDIAL
from penstock.websocket.states import FRAMES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "internals" / "state-machines.md"
Table = Mapping[Any, Mapping[Any, Any]]
TABLES: dict[str, Table] = {
    "src/penstock/net/relay/states.py": FLOW,
    "src/penstock/websocket/states.py": FRAMES,
    "src/penstock/server/websocket/states.py": SESSION,
    "src/penstock/websocket/redial/states.py": REDIAL,
    "src/penstock/net/h2/states.py": LANE,
}


def shown(state: enum.Enum) -> str:
    return str(getattr(state, "shown", state.value))


def chart(table: Table) -> str:
    """Each state, where its events lead to, and which leave it as it is."""
    width = max(len(event.value) for events in table.values() for event in events)
    lines: list[str] = []
    for state, events in table.items():
        lines.append(shown(state))
        lines += [
            f"    {event.value:{width}}  ->  {shown(after)}" for event, after in events.items() if after is not state
        ]
        same = [event.value for event, after in events.items() if after is state]
        lines += [f"    {value:{width}}  (stays)" for value in same]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", TABLES)
def test_the_chart_is_that_of_the_table(path: str) -> None:
    text = PAGE.read_text()
    section = text[text.index(f"`{path}`") :]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert block is not None
    assert block[1] == chart(TABLES[path]), "copy what the table says into the page"


def test_every_table_has_its_chart() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("states.py")}
    assert found == set(TABLES)


@pytest.mark.parametrize("path", TABLES)
def test_every_state_is_explained_where_the_table_is(path: str) -> None:
    theory = (ROOT / path).read_text().split('"""')[1]
    for state in TABLES[path]:
        assert re.search(rf"^    {re.escape(shown(state))}  ", theory, re.MULTILINE), shown(state)
