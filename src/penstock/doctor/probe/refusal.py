"""A handshake that was refused: what it means from this hop, and whether the Origin is the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from penstock.doctor.probe.handshake import ProbeAnswer
from penstock.doctor.probe.hops import Hop, who_answered
from penstock.doctor.probe.steps import ProbeStep, StepVerdict, safe
from penstock.doctor.probe.target import ProbeTarget, parse_target
from penstock.doctor.refusals.refusals import Cause, RefusedHandshake, Said, causes, described

MOST_CAUSES = 3
"""Causes that are shown; beyond the likeliest they only confuse."""


def refusal(answer: ProbeAnswer, target: ProbeTarget) -> ProbeStep:
    """Make the step for an answer that opens no WebSocket."""
    head = answer.head
    if head is None:
        return _step(answer, answer.trouble, (), answer.advice, {"status": None})
    hop = who_answered(head, answer.body)
    if answer.switched:
        found = tuple(safe(problem) for problem in answer.problems)
        advice = _broken_switch(found)
        data = {"status": head.status, "problems": list(found), "answered_by": hop.who or None}
        return _step(answer, f"{head.status}, and not a WebSocket: {'; '.join(found)}", (), advice, data)
    asked, said = asked_and_said(answer)
    why = [*_by_hop(hop, head.status, said.body, target), *_of_the_request(head.status), *causes(asked, said)]
    if sure := [cause for cause in why if cause.sure]:
        why = sure
    why = [_from_outside(cause) for cause in why[:MOST_CAUSES]]
    advice = (*_moved(head.fields.get("location"), target), *(safe(str(cause), 400) for cause in why))
    data = {
        "status": head.status,
        "answered_by": hop.who or None,
        "answered_by_kind": hop.kind,
        "passed_by": list(hop.passed_by),
        "causes": [{"id": cause.id, "text": safe(cause.text, 400), "sure": cause.sure} for cause in why],
    }
    return _step(answer, f"refused: {safe(described(said))}", (hop.sentence,), advice, data)


def asked_and_said(answer: ProbeAnswer) -> tuple[RefusedHandshake, Said]:
    """Gather what `refusals` wants to know."""
    assert answer.head is not None
    asked = RefusedHandshake(answer.ask.target, answer.ask.fields, answer.ask.version)
    return asked, Said(answer.head.status, answer.head.fields, answer.body.decode("latin-1"))


def _step(
    answer: ProbeAnswer, summary: str, details: tuple[str, ...], advice: tuple[str, ...], data: dict[str, object]
) -> ProbeStep:
    return ProbeStep(
        "handshake", StepVerdict.FAIL, summary, answer.seconds, details, advice, answer.sent(), answer.received(), data
    )


def _broken_switch(problems: tuple[str, ...]) -> tuple[str, ...]:
    joined = " ".join(problems)
    if "does not answer the key" in joined:
        return (
            "whoever answered did not read this request's key: a cache or a canned answer, or a server that gets the "
            "computation wrong (base64 of SHA-1 of key and GUID); browsers refuse it",
        )
    if "protocol chosen" in joined:
        return ("the server must choose one of the protocols that were offered, or none; browsers refuse it",)
    return ("a server or a proxy in between writes the answer wrongly, or takes headers out of it; browsers refuse it",)


_BY_RULE = (
    (
        "this page may not open WebSockets here",
        "origins-rule",
        "its websocket_origins does not list this Origin",
        "add the origin there, or connect from a page that is listed",
    ),
    (
        "this subprotocol is not spoken here",
        "protocols-rule",
        "its websocket_protocols lists none of the subprotocols that were offered",
        "offer one with --protocol, or add it there",
    ),
    (
        "WebSocket is switched off here",
        "off-rule",
        "websocket off is in force at this path",
        "another location is meant",
    ),
    (
        "required SSL certificate",
        "client-certificate",
        "it wants a certificate of the client (ssl_verify_client)",
        "send one: --cert FILE --key FILE",
    ),
    (
        "SSL certificate error",
        "client-certificate",
        "it does not accept the client's certificate",
        "its authority must be in ssl_client_certificate there",
    ),
)
"""What a proxy's own words mean that only a rule of its configuration makes it say."""


def _by_hop(hop: Hop, status: int, body: str, target: ProbeTarget) -> Iterator[Cause]:
    """What a status means when a proxy itself wrote it, and not the application."""
    if hop.kind != "proxy":
        return
    who = hop.who
    for said, name, meant, advice in _BY_RULE:
        if said in body:
            yield Cause(name, f"{who}: {meant}", advice, sure=True)
            return
    if status in (502, 503, 504):
        words = {
            502: f"{who} got no usable answer from the application: it is not running, listens elsewhere, or crashed",
            503: f"{who} has no server for this: all are marked down, or there are too many connections",
            504: f"{who} got no answer from the application in time: it hangs, or a firewall drops what is sent to it",
        }
        yield Cause("proxy-backend", words[status], f"the error log of {who} says which", sure=True)
    elif status == 404:
        yield Cause(
            "proxy-no-location",
            f"{who} has no place for {safe(target.target)}: it looked for a file, or another server block answers "
            f"for {safe(target.authority)}",
            "see which server and location match (penstock explain -c nginx.conf URL), and that proxy_pass is there",
            sure=True,
        )
    elif status == 403:
        yield Cause(
            "proxy-forbids",
            f"{who} itself refuses this: deny or allow, a file that may not be read, or a firewall's rule (WAF)",
            f"the error log of {who} says which",
            sure=True,
        )
    elif status == 400:
        yield Cause(
            "proxy-bad-request",
            f"{who} itself does not take the request: a header it finds invalid, or plain HTTP sent to a TLS port",
            f"the error log of {who} says which (level info)",
        )
    elif status in (301, 302, 307, 308):
        yield Cause("proxy-redirects", f"{who} itself redirects: a return or rewrite in its configuration", "")


def _of_the_request(status: int) -> Iterator[Cause]:
    """What is known because a probe's own request was in order."""
    if status == 505:
        yield Cause(
            "http-1.0",
            "whoever answered was asked in HTTP/1.0, which knows no upgrade: a proxy on the way makes that of it",
            "set proxy_http_version 1.1 there, and proxy_set_header Upgrade and Connection",
            sure=True,
        )


def _from_outside(cause: Cause) -> Cause:
    """A cause, advised to somebody who may not be at a proxy."""
    if cause.id == "scheme":
        words = "TLS is spoken at this port, and it was asked in plain HTTP"
        return Cause(cause.id, words, "try wss:// here; in a proxy before it, https:// in proxy_pass", cause.sure)
    return cause


def _moved(location: str | None, target: ProbeTarget) -> Iterator[str]:
    """The address to use in place of one that redirects."""
    if location is None:
        return
    scheme = "wss" if target.secure else "ws"
    absolute = f"{scheme}://{target.authority}{location}" if location.startswith("/") else location
    try:
        there = parse_target(absolute, target)
    except ValueError:
        return
    if there != target:
        yield f"WebSocket clients do not follow redirects; the place it points to: penstock probe {safe(there.url)}"


def try_origins(
    target: ProbeTarget, used: str | None, attempt: Callable[[str | None], ProbeAnswer]
) -> ProbeStep | None:
    """Try after a 403 whether another Origin would be let in; None if that tells nothing."""
    tried: list[str] = []
    for origin in dict.fromkeys((target.origin, None)):
        if origin == used:
            continue
        answer = attempt(origin)
        tried.append(_spelled(origin))
        if not answer.opened:
            continue
        data = {"refused": used, "accepted": origin}
        if origin is None:
            summary = f"the Origin is the reason: {_spelled(used)} is refused, no Origin at all is accepted"
            advice: tuple[str, ...] = (
                f"pages on {safe(used or '')} cannot connect: allow this origin in the application "
                "(CSRF_TRUSTED_ORIGINS, ALLOWED_HOSTS, CheckOrigin, allow_origins, origins=), or, where it compares "
                "Origin with Host, let every proxy pass the client's: proxy_set_header Host $http_host",
            )
        elif used is None:
            summary = f"the Origin is the reason: it wants one, and accepts {_spelled(origin)} as browsers send it"
            advice = ("browsers are let in; a program must send an Origin header itself",)
        else:
            summary = f"the Origin is the reason: {_spelled(used)} is refused, {_spelled(origin)} is accepted"
            advice = (f"right, if {_spelled(used)} is none of your pages; else allow it in the application",)
        return ProbeStep("origin", StepVerdict.WARN, summary, answer.seconds, (), advice, data=data)
    return ProbeStep(
        "origin",
        StepVerdict.NOTE,
        f"the Origin is not the reason, or not alone: {' and '.join(tried)} is refused, too",
        data={"refused": used, "accepted": False},
    )


def _spelled(origin: str | None) -> str:
    return "no Origin" if origin is None else safe(origin)
