"""Rewriting what backends say about addresses: `proxy_redirect` and the `proxy_cookie_...` directives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.regex.regex import MatchFailed, Regex
from penstock.config.scope import Call
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.line import location_safe, written
from penstock.http.request import Request
from penstock.modules.core.line_values import one_line, one_line_of
from penstock.modules.core.locations import regex
from penstock.observe.errorlog import ALERT, report


@dataclass(frozen=True, slots=True)
class HeaderRewrite:
    """`apply` gives the new value, or None where the rule does not match."""

    apply: Callable[[Request, str], str | None]


def _pattern_rule(pattern: Regex, replacement: Template) -> HeaderRewrite:
    """The whole value is replaced where the expression matches; `$1` and its kin are of that match."""

    def apply(request: Request, value: str) -> str | None:
        try:
            match = pattern.match(value)
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return None
        if match is None:
            return None
        request.captured(match, pattern)
        return replacement.evaluate(request)

    return HeaderRewrite(apply)


def _prefix_rule(prefix: Template, replacement: Template) -> HeaderRewrite:
    def apply(request: Request, value: str) -> str | None:
        text = prefix.evaluate(request)
        if not value.startswith(text):
            return None
        return replacement.evaluate(request) + value[len(text) :]

    return HeaderRewrite(apply)


def _domain_rule(domain: Template, replacement: Template) -> HeaderRewrite:
    def apply(request: Request, value: str) -> str | None:
        dot = "." if value.startswith(".") else ""
        if value[len(dot) :].lower() != domain.evaluate(request).lower():
            return None
        return dot + replacement.evaluate(request)

    return HeaderRewrite(apply)


def redirect_rewrite(call: Call) -> HeaderRewrite | str:
    """Compile the arguments of `proxy_redirect`: `off`, `default`, or a pair."""
    word = call.args[0]
    if len(call.args) == 1:
        if word.text not in ("off", "default"):
            raise call.fail(f'invalid parameter "{word.text}"', word, hint="off, default, or two values")
        if word.text == "default":
            from penstock.modules.proxy.proxy import Proxy

            if "target" not in call.scope.own.get(Proxy, {}):
                raise call.fail('"proxy_redirect default" should be placed after the "proxy_pass" directive')
        return word.text
    replacement = one_line_of(call, call.args[1].text, call.args[1].span, call.name, location_safe)
    if word.text.startswith("~"):
        caseless = word.text.startswith("~*")
        bare = word._replace(text=word.text[2 if caseless else 1 :])
        return _pattern_rule(regex(call.scope, bare, caseless=caseless), replacement)
    return _prefix_rule(call.template(word), replacement)


def default_redirect(url: str, uri: str, location: str) -> HeaderRewrite:
    """Make the rule of `proxy_redirect default`: the backend's address becomes the location's name."""
    prefix = url if uri else url + "/"
    replacement = location if uri else "/"

    def apply(request: Request, value: str) -> str | None:
        return replacement + value[len(prefix) :] if value.startswith(prefix) else None

    return HeaderRewrite(apply)


def rewrite_first(rules: tuple[HeaderRewrite, ...], request: Request, value: str) -> str:
    """Rewrite a value by the first rule that matches; it stays as it is where none does."""
    for rule in rules:
        made = rule.apply(request, value)
        if made is not None:
            return made
    return value


def cookie_rewrite(call: Call) -> HeaderRewrite | str:
    """Compile the arguments of `proxy_cookie_domain` and `proxy_cookie_path`: `off`, or a pair."""
    word = call.args[0]
    if len(call.args) == 1:
        if word.text != "off":
            raise call.fail(f'invalid parameter "{word.text}"', word, hint="off, or a value and its replacement")
        return "off"
    replacement = one_line(call, call.args[1])
    domain = call.name.endswith("domain")
    if word.text.startswith("~"):
        caseless = domain or word.text.startswith("~*")
        text = word.text[2 if word.text.startswith("~*") else 1 :]
        return _pattern_rule(regex(call.scope, word._replace(text=text), caseless=caseless), replacement)
    if domain:
        pattern = word.text.removeprefix(".")
        target = call.args[1].text.removeprefix(".")
        variables = call.compilation.variables
        return _domain_rule(
            variables.template(pattern, word.span), one_line_of(call, written(target), call.args[1].span, call.name)
        )
    return _prefix_rule(call.template(word), replacement)


FLAGS = {
    "secure": ("secure", None),
    "httponly": ("httponly", None),
    "samesite=strict": ("samesite", "Strict"),
    "samesite=lax": ("samesite", "Lax"),
    "samesite=none": ("samesite", "None"),
    "nosecure": ("secure", False),
    "nohttponly": ("httponly", False),
    "nosamesite": ("samesite", False),
}
SPELLED = {"secure": "Secure", "httponly": "HttpOnly", "samesite": "SameSite"}


@dataclass(frozen=True, slots=True)
class CookieFlags:
    """Flags to add to, or (with `no`) take from, the cookies that `names` recognises."""

    names: Callable[[Request, str], bool]
    flags: tuple[Template, ...]


def cookie_flags(call: Call) -> CookieFlags | str:
    """Compile the arguments of `proxy_cookie_flags`: `off`, or a cookie and flags."""
    word = call.args[0]
    if len(call.args) == 1:
        if word.text != "off":
            raise call.fail(f'invalid parameter "{word.text}"', word, hint="off, or a cookie and its flags")
        return "off"
    flags = tuple(call.template(each) for each in call.args[1:])
    if word.text.startswith("~"):
        pattern = regex(call.scope, word._replace(text=word.text[1:]), caseless=True)
        return CookieFlags(lambda request, name: _names(request, pattern, name), flags)
    made = call.template(word)
    return CookieFlags(lambda request, name: made.evaluate(request).lower() == name.lower(), flags)


def _names(request: Request, pattern: Regex, name: str) -> bool:
    """Where it can not be told in time whether a cookie is meant, it is: flags protect."""
    try:
        return pattern.match(name) is not None
    except MatchFailed as error:
        report(request, ALERT, str(error))
        return True


def rewrite_cookie(
    request: Request, text: str, domains: tuple[Any, ...], paths: tuple[Any, ...], flags: tuple[Any, ...]
) -> str:
    """Rewrite domain, path and flags of a Set-Cookie as the location wants them; what is not concerned is untouched."""
    attributes = [_attribute(each) for each in text.split(";")]
    if attributes[0][1] is None:
        return text
    before = list(attributes)
    for at in range(1, len(attributes)):
        name, value = attributes[at]
        rules = {"domain": domains, "path": paths}.get(name.lower())
        if rules and value is not None:
            attributes[at] = (name, rewrite_first(rules, request, value))
    for rule in flags:
        if rule.names(request, attributes[0][0]):
            _flag(attributes, [each.evaluate(request).lower() for each in rule.flags])
            break
    if attributes == before:
        return text
    return "; ".join(name if value is None else f"{name}={value}" for name, value in attributes)


def _attribute(text: str) -> tuple[str, str | None]:
    name, given, value = text.partition("=")
    return name.strip(" "), value.strip(" ") if given else None


def _flag(attributes: list[tuple[str, str | None]], wishes: list[str]) -> None:
    wanted = dict(FLAGS[wish] for wish in wishes if wish in FLAGS)
    kept: list[tuple[str, str | None]] = [attributes[0]]
    for name, value in attributes[1:]:
        key = name.lower()
        if key not in wanted:
            kept.append((name, value))
            continue
        wish = wanted.pop(key)
        if wish is False:
            continue
        if isinstance(wish, str) and (value or "").lower() != wish.lower():
            kept.append((SPELLED[key], wish))
        else:
            kept.append((name, value))
    for key in ("secure", "httponly", "samesite"):
        wish = wanted.get(key, False)
        if wish is not False:
            kept.append((SPELLED[key], wish if isinstance(wish, str) else None))
    attributes[:] = kept


def no_off(given: tuple[object, ...], span: Span | None) -> tuple[object, ...]:
    """Return what was given; nothing where it is `off`, which stands alone. Raises `ConfigError`."""
    if "off" not in given:
        return given
    if len(given) > 1:
        raise ConfigError("directive is duplicate", span, hint='"off" stands alone')
    return ()
