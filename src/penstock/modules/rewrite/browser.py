"""Which browsers are modern: `modern_browser`, `ancient_browser`, `$msie` (nginx: ngx_http_browser_module)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.kinds import custom, text, texts
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, directives, last
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.core.user_agent import is_msie

if TYPE_CHECKING:
    from penstock.config.scope import Call, Scope

PAGE = "ngx_http_browser_module.html"
UNLISTED, NETSCAPE4 = "unlisted", "netscape4"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a family of browsers shows: by a word, not before so many characters of the header; its version is behind."""

    skip: int
    word: str
    behind: int


MARKS = {
    "opera": Mark(0, "Opera", 6),
    "msie": Mark(25, "MSIE ", 5),
    "gecko": Mark(13, "rv:", 3),
    "safari": Mark(13, "Safari/", 7),
    "konqueror": Mark(25, "Konqueror/", 10),
}
"""In the order in which they are looked for: an Opera may say that it is MSIE."""

FIRST, STEP, LONGEST = 1_000_000, 100, 18
"""What the first part of a version is worth, how much less the next one is, and how many digits of one are read."""
UNREACHABLE = 4001 * FIRST
"""The version from which an Opera is modern that nobody has listed."""
_version = re.compile(r"[0-9.]*", re.ASCII).match
_valid = re.compile(r"[0-9.]*", re.ASCII).fullmatch
_netscape4 = re.compile(r"Mozilla/[1-4].{5}", re.ASCII | re.DOTALL).match


@dataclass(frozen=True, slots=True)
class ModernBrowser:
    """A family of browsers, and the version from which they are modern."""

    family: str
    version: int


def _worth(version: str) -> int:
    """Make one number of a version, so that versions can be compared."""
    total, scale = 0, FIRST
    for part in version.split("."):
        total += int(part[:LONGEST] or "0") * scale
        scale //= STEP
        if not scale:
            break
    return total


def _modern(call: Call) -> ModernBrowser | None:
    """Read a family with its version; None for `unlisted`."""
    name = call.args[0]
    if len(call.args) == 1:
        if name.text == UNLISTED:
            return None
        raise call.fail(
            f'invalid parameter "{name.text}" in "{call.name}" directive',
            name,
            hint=f"write for example: {call.name} gecko 1.0.0; or {call.name} {UNLISTED};",
        )
    family, version = name.text.lower(), call.args[1]
    if family not in MARKS:
        raise call.fail(f'unknown browser name "{name.text}"', name, hint="it may be: " + ", ".join(MARKS))
    if not _valid(version.text):
        raise call.fail(f'invalid browser version "{version.text}"', version, hint="a version is written 5.5")
    return ModernBrowser(family, _worth(version.text))


class Browsers(Settings):
    """The header `User-Agent` is looked through for these browsers. What is no modern one is an ancient one."""

    listed: tuple[ModernBrowser | None, ...] = directives(
        "modern_browser",
        where=HTTP_LEVELS,
        takes=custom(_modern, most=2, syntax="browser version | unlisted"),
        nginx=PAGE,
    )
    ancient: tuple[tuple[str, ...], ...] = directives("ancient_browser", where=HTTP_LEVELS, takes=texts, nginx=PAGE)
    modern_value: str = directive(
        "modern_browser_value", where=HTTP_LEVELS, takes=text, default="1", nginx=PAGE, again=last
    )
    ancient_value: str = directive(
        "ancient_browser_value", where=HTTP_LEVELS, takes=text, default="1", nginx=PAGE, again=last
    )
    modern: tuple[ModernBrowser, ...] = ()
    words: tuple[str, ...] = ()
    unlisted = netscape4 = False

    def finish(self, scope: Scope) -> None:
        self.unlisted = None in self.listed
        families = list(MARKS)
        modern = [each for each in self.listed if each is not None]
        if modern and all(each.family != "opera" for each in modern):
            modern.append(ModernBrowser("opera", UNREACHABLE))
        self.modern = tuple(sorted(modern, key=lambda each: families.index(each.family)))
        words = [word for line in self.ancient for word in line]
        self.netscape4 = NETSCAPE4 in words
        self.words = tuple(word for word in words if word != NETSCAPE4)

    def is_modern(self, agent: str | None) -> bool:
        """Return whether a browser that says this of itself is a modern one."""
        if agent is None:
            return self.unlisted
        for each in self.modern:
            mark = MARKS[each.family]
            at = agent.find(mark.word, mark.skip)
            if at >= 0 and at + mark.behind < len(agent):
                found = _version(agent, at + mark.behind)
                return found is not None and _worth(found[0]) >= each.version
        if not self.unlisted:
            return False
        if self.netscape4 and _netscape4(agent):
            return False
        return not any(word in agent for word in self.words)


@variable("msie", changeable=True)
def msie(request: Request) -> str:
    """1 for Internet Explorer up to 10."""
    return "1" if is_msie(request.head.fields.get("user-agent", "")) else ""


@variable("modern_browser", changeable=True)
def modern_browser(request: Request) -> str:
    """What `modern_browser_value` says, for a modern browser; asked once for a request, like its kin."""
    return _once(request, "modern_browser", True)


@variable("ancient_browser", changeable=True)
def ancient_browser(request: Request) -> str:
    """What `ancient_browser_value` says, for any other."""
    return _once(request, "ancient_browser", False)


def _once(request: Request, name: str, modern: bool) -> str:
    known = request.cached.get(name)
    if known is None:
        settings = request.location[Browsers]
        value = settings.modern_value if modern else settings.ancient_value
        is_it = settings.is_modern(request.head.fields.get("user-agent")) is modern
        known = request.cached[name] = value if is_it else ""
    return known
