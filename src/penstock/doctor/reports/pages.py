"""The pages of the rules, which come with the package: symptom as people type it, cause, cure."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[4] / "docs" / "rules"


def page_of(rule: str) -> str:
    """Return the page of a rule, "" where there is none. `rule` is an id of the table."""
    if not re.fullmatch(r"[a-z0-9.-]+", rule):
        return ""
    for folder in (files("penstock") / "data" / "rules", _CHECKOUT):
        page = folder / f"{rule}.md"
        if page.is_file():
            return page.read_text("utf-8")
    return ""
