"""`if` in a location: what it compares, and what it does to everything else in there."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.doctor.finding import WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.edits import replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import Site

_REWRITING = frozenset(("return", "rewrite", "set", "break", "access_log", "limit_rate", "limit_rate_after"))


def exact_connection(site: Site) -> Iterator[Finding]:
    """Find an `if` that compares all of Connection: it is a list of words in any case; Firefox sends "keep-alive,
    Upgrade"."""
    for level in site.main.walk():
        if level.kind != "if" or level.directive is None:
            continue
        words = [each.text.strip("()") for each in level.directive.args]
        bare = [each for each in words if each]
        if len(bare) != 3 or bare[0].lower() not in ("$http_connection", "$http_upgrade") or bare[1] not in ("=", "!="):
            continue
        if bare[0].lower() == "$http_upgrade" and bare[2] != bare[2].lower():
            label = f'clients send "websocket", which is not "{bare[2]}"'
        elif bare[0].lower() == "$http_connection" and "upgrade" in bare[2].lower():
            label = 'Firefox sends "keep-alive, Upgrade", others "Upgrade"'
        else:
            continue
        wrong = bare[1] == "!="
        yield Finding(
            "if-connection",
            WARNING,
            f'"if ({" ".join(bare)})" '
            + ("holds for handshakes of some browsers, too" if wrong else "holds for some browsers only"),
            level.directive.span,
            label=label,
            advice="ask for the protocol, in any case of letters: "
            f"if ($http_upgrade {'!~*' if wrong else '~*'} websocket)",
            fix=_asking_for_protocol(level),
        )


def _asking_for_protocol(level: Level) -> Fix | None:
    assert level.directive is not None
    edits: list[Edit] = []
    for word in level.directive.args:
        text = word.span.text
        inner = text.strip("()\"'")
        if inner.lower() in ("$http_connection", "$http_upgrade"):
            edits.append(replaced(word, text.replace(inner, "$http_upgrade")))
        elif inner in ("=", "!="):
            edits.append(replaced(word, text.replace("=", "~*")))
        elif inner:
            edits.append(replaced(word, text.replace(inner, "websocket")))
    return Fix("ask for the protocol", tuple(edits)) if len(edits) == 3 else None


def several(site: Site) -> Iterator[Finding]:
    """Find several `if` blocks: only the settings of the last one that holds are in force, and try_files is forgotten.
    """
    for level in site.main.walk():
        if level.kind != "location":
            continue
        setting = [each for each in level.below if each.kind == "if" and _sets(each)]
        if not setting or setting[-1].directive is None or setting[0].directive is None:
            continue
        tried = level.own("try_files")
        if len(setting) > 1:
            yield Finding(
                "if-trap",
                WARNING,
                f"where several conditions hold in location {level.name}, only the last if block counts",
                setting[-1].directive.span,
                label="the settings of the others are lost then",
                advice="decide by a map, or send each case to a location of its own",
                related=(Related(setting[0].directive.span, "lost when both hold"),),
            )
        elif tried:
            yield Finding(
                "if-trap",
                WARNING,
                f"where this condition holds, the try_files of location {level.name} is not done",
                setting[0].directive.span,
                label="an if block is a location of its own, and does not inherit it",
                advice="decide by a map, or send the case to a location of its own",
                related=(Related(tried[0].span, "not done when it holds"),),
            )


def _sets(level: Level) -> bool:
    return any(each.name.text not in _REWRITING for each in level.items)


RULES = (
    Rule("if-connection", WARNING, "an if that knows only some browsers' handshakes", exact_connection),
    Rule("if-trap", WARNING, "settings in an if that put others aside", several),
)
