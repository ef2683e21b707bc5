"""Writes docs/directives.md from the declarations: every directive, its verdict, and where nginx describes it.

    python tools/directives.py          write it
    python tools/directives.py --check  exit 1 if it is not what the declarations say
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from penstock.config.registry import REGISTRY, Context, Spec, Verdict
from penstock.modules.load import known

PAGE = Path(__file__).parent.parent / "docs" / "directives.md"
MANUAL = "https://nginx.org/en/docs/"
WORDS = {Context.IF_SERVER: "if in server", Context.IF_LOCATION: "if in location"}

HEAD = """# Directives

Made by `python tools/directives.py` from the declarations in `src/penstock/modules`; do not edit.

- **implemented**: does what nginx's does, or what is said here for our own.
- **inert**: accepted, because a configuration that has it runs as well without; the reason stands beside it.
- **refused**: the configuration does not start; the message says what to do instead.

A directive that is not in this table is unknown: the configuration does not start, and the message suggests the nearest
name. What differs from nginx within a directive is in [differences.md](differences.md).
"""


def main() -> int:
    known()
    made = page()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text() != made)
    PAGE.write_text(made)
    return 0


def page() -> str:
    """The whole page."""
    by_module: dict[str, list[Spec]] = {}
    for spec in REGISTRY:
        by_module.setdefault(spec.module, []).append(spec)
    counts = Counter(spec.verdict.value for spec in REGISTRY)
    lines = [HEAD, ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) + ".", ""]
    for module in sorted(by_module):
        lines += [f"## {module}", "", "| directive | in | default | verdict |", "|---|---|---|---|"]
        lines += [row(spec) for spec in sorted(by_module[module], key=lambda each: (each.name, each.where))]
        lines.append("")
    return "\n".join(lines)


def row(spec: Spec) -> str:
    """One directive."""
    shape = f"{spec.name} {spec.syntax}".strip() + (" { ... }" if spec.block and "{" not in spec.syntax else "")
    shown = f"`{cell(shape)}`"
    if spec.nginx:
        page = spec.nginx
        folder = "" if page.startswith("ngx_core") else "http/"
        where = f"{MANUAL}{page}" if "/" in page else f"{MANUAL}{folder}{page}"
        shown = f"[{shown}]({where}#{spec.name})"
    verdict = spec.verdict.value
    if spec.verdict is not Verdict.IMPLEMENTED:
        verdict += f": {cell(spec.reason)}"
    default = f"`{cell(spec.default)}`" if spec.default else ""
    places = ", ".join(WORDS.get(flag, (flag.name or "").lower()) for flag in Context if spec.where & flag)
    return f"| {shown} | {places} | {default} | {verdict} |"


def cell(text: str) -> str:
    """Text fit for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
