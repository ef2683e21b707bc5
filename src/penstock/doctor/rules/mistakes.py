"""Slips that keep a configuration from being accepted at all, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.errors import suggest
from penstock.config.tree import Directive
from penstock.doctor.finding import ERROR, Edit, Finding, Fix, Related
from penstock.doctor.repair.edits import quoted, removed, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.site import PassLevel, Site


def addresses(site: Site) -> Iterator[Finding]:
    """Find addresses in an upstream without the word `server`."""
    for group in site.upstreams.values():
        bare = [each for each in group.items if _is_address(each)]
        if not bare:
            continue
        edits = tuple(Edit(each.span.source, each.span.start, each.span.start, "server ") for each in bare)
        yield Finding(
            "upstream-address",
            ERROR,
            f'"{bare[0].name.text}" stands in upstream "{group.name}" without its directive',
            bare[0].span,
            label="the word server is missing",
            advice=f"write: server {bare[0].name.text};",
            related=tuple(Related(each.span, "here too") for each in bare[1:]),
            fix=Fix('write "server" before addresses', edits),
        )


def _is_address(directive: Directive) -> bool:
    name = directive.name.text
    return directive.block is None and (name[:1].isdigit() or ":" in name or "." in name)


def lone_words(site: Site) -> Iterator[Finding]:
    """Find a word alone in a map, where pairs belong."""
    for table in site.maps.values():
        lines = table.block or ()
        for line in lines:
            if line.args or line.block is not None or line.name.text in ("hostnames", "volatile"):
                continue
            word = line.name.text
            given = next((each for each in lines if each.words == (word,)), None)
            edit = removed(line) if given is not None else None
            yield Finding(
                "map-lone-word",
                ERROR,
                f'"{word}" stands alone in the map of {table.words[1]}, where pairs of a value and a result belong',
                line.span,
                label="a result without a value" if given is not None else "its result is missing",
                advice=f'take "{word};" out: it is a result already given above' if given is not None else "",
                related=() if given is None else (Related(given.span, "the result above"),),
                fix=None if edit is None else Fix("take the word out", (edit,)),
            )


def unknown_groups(site: Site) -> Iterator[Finding]:
    """Find a proxy_pass to a name that no upstream has, beside an upstream that nothing leads to."""
    used = {place.host.lower() for place in site.passes}
    dynamic = any("$" in place.host for place in site.passes)
    idle = [] if dynamic else [name for name in site.upstreams if name not in used]
    for place in site.passes:
        name = place.host.lower()
        if not idle or not _bare_name(site, place):
            continue
        close = suggest(name, idle) or (idle[0] if len(idle) == 1 else None)
        group = site.upstreams.get(close or "")
        if group is None or group.directive is None:
            continue
        word = place.directive.args[0]
        start = len(place.scheme) + 3
        meant = place.url[:start] + group.name + place.url[start + len(place.host) :]
        yield Finding(
            "upstream-unknown",
            ERROR,
            f'no upstream is called "{place.host}", and nothing leads to upstream "{group.name}"',
            word.span,
            label=f'did you mean "{group.name}"?',
            advice=f"write: proxy_pass {meant};",
            related=(Related(group.directive.span, "the upstream that is left over"),),
            fix=Fix("name the upstream", (replaced(word, quoted(meant)),)),
        )


def _bare_name(site: Site, place: PassLevel) -> bool:
    host = place.host
    plain = bool(host) and not place.port and host.replace("-", "").replace("_", "").isalnum() and "$" not in place.url
    return plain and host != "localhost" and not host.isdigit() and host.lower() not in site.upstreams


def schemes(site: Site) -> Iterator[Finding]:
    """Find `proxy_pass ws://`: WebSocket begins as HTTP."""
    for place in site.passes:
        if place.scheme not in ("ws", "wss"):
            continue
        scheme = "http" if place.scheme == "ws" else "https"
        word = place.directive.args[0]
        meant = scheme + place.url[len(place.scheme) :]
        yield Finding(
            "proxy-pass-ws",
            ERROR,
            f'proxy_pass knows no "{place.scheme}://": WebSocket begins as HTTP',
            word.span,
            label=f"{scheme}:// is meant",
            advice=f"write: proxy_pass {meant};",
            fix=Fix(f"write {scheme}", (replaced(word, quoted(meant)),)),
        )


RULES = (
    Rule("upstream-address", ERROR, "an address in an upstream without the word server", addresses),
    Rule("map-lone-word", ERROR, "a word alone in a map", lone_words),
    Rule("upstream-unknown", ERROR, "a proxy_pass to an upstream of another name", unknown_groups),
    Rule("proxy-pass-ws", ERROR, "a proxy_pass to ws:// or wss://", schemes),
)
