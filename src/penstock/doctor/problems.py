"""What compiling a configuration said, as findings for who is going to run it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock.config.errors import ConfigError
from penstock.doctor.finding import ERROR, NOTE, WARNING, Finding
from penstock.doctor.site.level import PLACEHOLDERS, Level
from penstock.doctor.site.site import CheckedProgram
from penstock.doctor.site.versions import GONE, OBSOLETE, OWN, SINCE, shown_version

SYNTAX, MACHINE = "config", "machine"
_OF_THE_MACHINE = (
    "host not found", "cannot load ", "open() ", "getpwnam", "getgrnam", "pread() ", "stat() ", "SSL_CTX_",
)  # fmt: skip
_OF_PENSTOCK = (
    " is not supported", "are not supported", "has no effect", "will be answered with 502", "is not spoken",
    "is always empty:", "cannot be expressed here", "is not possible here", "is not kept:",
)  # fmt: skip
"""What Penstock says of what it does not do; nginx does it."""
_UNKNOWN = re.compile(r'unknown directive "([^"]*)"')
_VARIABLE = re.compile(r'unknown "(\w+)" variable')
_ELSEWHERE = re.compile(
    r'unknown "\w+" variable|zero size shared memory zone "[^"]*"|unknown log format "[^"]*"|'
    r'no "ssl_certificate" is defined .*'
)
_OF_MODULES = re.compile(
    r"(lua|perl|js|geoip2?|nchan|push_stream|echo|vhost_traffic_status|passenger|pagespeed|otel|opentracing|auth_ldap|"
    r"auth_jwt|auth_oidc|auth_gss|auth_pam|auth_digest|modsecurity|more|brotli|zstd|upload|fancyindex|dav_ext|redis2?|"
    r"memc|srcache|drizzle|postgres|rds|encrypted_session|array|xss|form|set|iconv|naxsi|rtmp|vod|cache_purge|substitutions|"
    r"subs|headers_more|testcookie|stream_server_traffic_status|sts|dynamic_limit|limit_upstream|sysguard|check|concat|"
    r"trim|image_filter|xslt|uploadprogress|upload_progress|track_uploads|security_headers|cookie_flag|ct|coolkit|shibboleth|"
    r"spnego|keyval|api|mgmt|health_check|ntlm|zone_sync|acme|proxy_connect|dyups|ajp|tfs|phantom_token|jwt)(_\w+|$)",
    re.ASCII,
)
"""How the directives of modules begin that are built into an nginx, or loaded, but are not in everybody's."""
_MADE_BY_MODULES = re.compile(
    r"(geoip2?|jwt|oidc|lua|js|otel|opentracing|vts|sts|upload|acme|uploadprogress)_\w+", re.ASCII
)


def of_the_machine(problem: ConfigError) -> bool:
    """Return whether a problem is about something that is not on this machine."""
    return problem.message.startswith(_OF_THE_MACHINE)


def findings(problems: Iterable[ConfigError], main: Level, target: CheckedProgram, *, piece: bool) -> Iterator[Finding]:
    """Return each problem that concerns this target; of a piece, what another file may have is worth a note only."""
    found = list(problems)
    if not target.nginx:
        yield from (_finding(each, piece=piece) for each in found)
        return
    made = _made(found)
    loads = any(each.own("load_module") for each in main.walk())
    for each in found:
        one = _for_nginx(each, _finding(each, piece=piece), target, made, loads=loads)
        if one is not None:
            yield one
    yield from _other_version(main, target)


def _finding(problem: ConfigError, *, piece: bool) -> Finding:
    span = problem.span
    unknown = _UNKNOWN.match(problem.message)
    dots = unknown is not None and unknown[1] in PLACEHOLDERS
    if span is not None and (dots or span.source.line(span.line).strip() in PLACEHOLDERS):
        return Finding(SYNTAX, NOTE, "something has been left out of this example", span)
    if piece and _ELSEWHERE.fullmatch(problem.message):
        return Finding(SYNTAX, NOTE, f"{problem.message} in this piece", span, label="another file may have it")
    machine = of_the_machine(problem)
    severity = NOTE if machine else ERROR if problem.level == "emerg" else WARNING
    return Finding(
        MACHINE if machine else SYNTAX,
        severity,
        problem.message,
        span,
        label=problem.label or "",
        advice=problem.hint or "",
    )


def _for_nginx(
    problem: ConfigError, finding: Finding, target: CheckedProgram, made: set[str], *, loads: bool
) -> Finding | None:
    """What nginx would say of it; None where it would say nothing."""
    message = problem.message
    name = _UNKNOWN.match(message)
    if finding.message != message:
        return finding  # it is a note already
    if name is not None:
        return _unknown(name[1], finding, loads=loads)
    variable = _VARIABLE.match(message)
    if variable is not None and (variable[1] in made or _MADE_BY_MODULES.fullmatch(variable[1])):
        return None
    if any(each in message for each in _OF_PENSTOCK):
        return None
    word = re.search(r'the "([^"]+)" directive is (deprecated|obsolete)', message)
    if word is not None and target.version is not None:
        since = OBSOLETE.get(word[1])
        if (since is not None and target.version < since) or target.version >= GONE.get(word[1], (99,)):
            return None  # it is no news there, or it is said in another way
    return finding


def _unknown(name: str, finding: Finding, *, loads: bool) -> Finding | None:
    """An unknown directive: of a module that is not in everybody's nginx, or a slip."""
    if _OF_MODULES.fullmatch(name) or name.endswith(("_by_lua", "_by_lua_block", "_by_lua_file")):
        return None
    if finding.advice or finding.label:
        return finding
    return Finding(
        SYNTAX,
        NOTE if loads else WARNING,
        finding.message,
        finding.span,
        label="nginx has it only where a module adds it",
    )


def _made(problems: Iterable[ConfigError]) -> set[str]:
    """Variables that directives name which only nginx has: js_set, perl_set, geoip2, keyval."""
    found: set[str] = set()
    for each in problems:
        if each.span is not None and ("is not supported" in each.message or _UNKNOWN.match(each.message)):
            rest = each.span.source.text[each.span.start :]
            found |= set(re.findall(r"\$\{?(\w+)", re.split("[;}]", rest, maxsplit=1)[0]))
    return {name.lower() for name in found} | found


def _other_version(main: Level, target: CheckedProgram) -> Iterator[Finding]:
    """Directives that are of Penstock alone, or not in that version."""
    for level in main.walk():
        if level.kind == "other":
            continue
        for each in level.items:
            name = each.name.text
            if name in OWN or name.startswith("websocket"):
                yield Finding(
                    SYNTAX, ERROR, f'nginx knows no directive "{name}"', each.span, label="Penstock alone has it"
                )
                continue
            predicate = name == "location" and each.words[:1] and each.words[0].startswith("$")
            words = (f"{name} {word.partition('=')[0]}" for word in each.words[1:])
            for key in ("location $variable" if predicate else name, *words):
                wrong = _when(key, target.version)
                if wrong:
                    message, label, advice = wrong
                    yield Finding(SYNTAX, ERROR, message, each.span, label=label, advice=advice)
                    break


def _when(key: str, version: tuple[int, ...] | None) -> tuple[str, str, str] | None:
    if version is None:
        return None
    name, _, word = key.partition(" ")
    what = f'parameter "{word}" of "{name}"' if word else f'directive "{name}"'
    if version < SINCE.get(key, (0,)):
        advice = "write: listen 443 ssl http2;" if key == "http2" else ""
        return f"nginx {shown_version(version)} knows no {what}", f"it came with {shown_version(SINCE[key])}", advice
    if version >= GONE.get(key, (99,)):
        advice = "write: listen 443 ssl;" if key == "ssl" else ""
        return f"nginx {shown_version(version)} knows no {what}", f"it went with {shown_version(GONE[key])}", advice
    return None
