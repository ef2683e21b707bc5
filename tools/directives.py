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
FOLDERS = {"ngx_core": "", "ngx_stream": "stream/"}
MANUAL = "https://nginx.org/en/docs/"

HEAD = """# Directives

Made by `python tools/directives.py` from the declarations in `src/penstock/modules`; do not edit.

- **implemented**: does what nginx's does, or what is said here for our own.
- **inert**: accepted, because a configuration that has it runs as well without; the reason stands beside it. Where
  clients get something else without it, the first such line of a file has a warning.
- **refused**: the configuration does not start; the message says what to do instead. Where `off` (or `0`) is what holds
  without the directive anyway, that is accepted.

A directive that is not on this page is unknown: the configuration does not start, and the message suggests the nearest
name. What differs from nginx within a directive is in [differences.md](differences.md).
"""


OTHERS = "Refused by name wherever they stand, if they are not in a table above; `*` is any text."


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
    lines += ["## Modules by others", "", OTHERS, "", "| directives | what they are | instead |", "|---|---|---|"]
    for each in REGISTRY.strangers:
        patterns = ", ".join(f"`{pattern}`" for pattern in each.patterns)
        lines.append(f"| {patterns} | {cell(each.what)} | {cell(each.advice)} |")
    lines.append("")
    return "\n".join(lines)


def row(spec: Spec) -> str:
    """One directive."""
    shape = f"{spec.name} {spec.syntax}".strip() + (" { ... }" if spec.block and "{" not in spec.syntax else "")
    shown = f"`{cell(shape)}`"
    if spec.nginx:
        page = spec.nginx
        folder = next((place for start, place in FOLDERS.items() if page.startswith(start)), "http/")
        where = f"{MANUAL}{page}" if "/" in page else f"{MANUAL}{folder}{page}"
        elsewhere = page.startswith("https:")
        shown = f"[{shown}]({page if elsewhere else f'{where}#{spec.name}'})"
    verdict = spec.verdict.value
    if spec.verdict is not Verdict.IMPLEMENTED:
        verdict += f": {cell(spec.reason)}"
    elif spec.doc and not spec.nginx:
        verdict += f": {cell(spec.doc)}"
    default = f"`{cell(spec.default)}`" if spec.default else ""
    places = ", ".join(flag.shown for flag in Context if spec.where & flag)
    return f"| {shown} | {places} | {default} | {verdict} |"


def cell(text: str) -> str:
    """Text fit for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
