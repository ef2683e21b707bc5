"""`pcre_jit` (nginx: ngx_regex_module)."""

from __future__ import annotations

from penstock.config.kinds import flag
from penstock.config.registry import MAIN
from penstock.config.scope import Scope
from penstock.config.settings import Settings, directive
from penstock.modules.core.locations import REGEXES
from penstock.observe.errorlog import INFO, report

PAGE = "ngx_core_module.html"


class PcreJit(Settings):
    """Machine code for what PCRE2 matches; Python's own engine, which matches the rest, has nothing like it."""

    enabled: bool = directive(
        "pcre_jit",
        where=MAIN,
        takes=flag,
        default=False,
        nginx=PAGE,
        doc="For the patterns that PCRE2 matches, see differences.md; Python's own engine has nothing like it.",
    )


def make_machine_code(main: Scope) -> None:
    """Compile all patterns to machine code once they are known: nginx does so at the end, too."""
    if not main.settings(PcreJit).enabled:
        return
    for regex in main.compilation.shared.get(REGEXES) or ():
        code = 0 if regex.further is None else regex.further()
        if code:
            report(None, INFO, f'pcre2_jit_compile() failed: {code} in "{regex.pattern}", ignored')
