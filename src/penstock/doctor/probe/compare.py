"""The same probe with and without a proxy between: which of the two is at fault."""

from __future__ import annotations

from penstock.doctor.probe.handshake import ProbeAnswer
from penstock.doctor.probe.hops import who_answered
from penstock.doctor.probe.result import Result
from penstock.doctor.probe.steps import ProbeStep, StepVerdict, time_shown


def compare(direct: Result, via: Result) -> ProbeStep:
    """Make the last step: whose fault it is. `direct` asked the backend itself, `via` went through the proxy."""
    wrong, through = direct.failure, via.failure
    if wrong is None and through is None:
        return _both_fine(direct, via)
    if wrong is None and through is not None:
        return _proxy(direct, via, through)
    assert wrong is not None
    if through is None:
        words = f"the backend refuses a direct connection ({wrong.name}) and works through the proxy"
        note = "no fault for clients: the proxy adds what the backend wants (a Host, X-Forwarded-Proto, a path)"
        return ProbeStep("verdict", StepVerdict.NOTE, words, details=(note,), data={"at_fault": None})
    if _same(direct, via):
        words = f"the backend is at fault: directly asked, it fails in the same way ({wrong.name}: {wrong.summary})"
        return ProbeStep("verdict", StepVerdict.FAIL, words, advice=wrong.advice[:1], data={"at_fault": "backend"})
    words = f"both fail, the backend first: directly, {wrong.name}: {wrong.summary}"
    return ProbeStep(
        "verdict",
        StepVerdict.FAIL,
        words,
        details=(f"through the proxy, {through.name}: {through.summary}",),
        advice=("set the backend right before looking at the proxy",),
        data={"at_fault": "backend"},
    )


def _same(direct: Result, via: Result) -> bool:
    one, other = direct.failure, via.failure
    if one is None or other is None or one.name != other.name:
        return False
    return one.name != "handshake" or one.data.get("status") == other.data.get("status")


def _proxy(direct: Result, via: Result, through: ProbeStep) -> ProbeStep:
    failed = f"{through.name}: {through.summary}"
    words = f"the proxy is at fault: directly asked, the backend works; through the proxy, {failed}"
    advice: list[str] = []
    if through.name == "handshake" and via.answer is not None:
        advice += _what_it_did(via.answer)
    elif through.name == "idle":
        advice.append("the backend survives the same silence: raise the proxy's timeout (proxy_read_timeout), or ping")
    elif through.name in ("dns", "tcp", "tls"):
        advice.append("the proxy cannot be reached as it should be: nothing of this is about WebSockets")
    elif through.name == "ping":
        advice.append("the handshake goes through and the messages do not: the proxy does not make a tunnel of it")
    return ProbeStep("verdict", StepVerdict.FAIL, words, advice=tuple(advice), data={"at_fault": "proxy"})


def _what_it_did(answer: ProbeAnswer) -> list[str]:
    """What a refusal through a proxy says when the same request was accepted without it."""
    if answer.head is None:
        return ["the proxy itself does not answer: it hangs, or waits for something else than what was asked"]
    status = answer.head.status
    hop = who_answered(answer.head, answer.body)
    if status == 101:
        return ["the proxy spoils the 101: it takes headers out of the answer, or answers from a cache"]
    if hop.kind == "proxy" and status in (502, 503, 504):
        return [f"{hop.who} does not reach the backend: another address or port in proxy_pass, a container's network"]
    if hop.kind == "proxy" and status not in (400, 426):
        return [f"{hop.who} answers itself and never asks the backend: no location, or another one, matches this path"]
    if status == 403:
        return [
            "the backend refuses what the proxy makes of the request, mostly a Host that is no longer the Origin's: "
            "proxy_set_header Host $http_host"
        ]
    if status == 404:
        return ["the backend is asked for another path (a URI in proxy_pass replaces the location's), or another Host"]
    return [
        "the proxy does not pass the handshake on as one: proxy_http_version 1.1; proxy_set_header Upgrade "
        '$http_upgrade; proxy_set_header Connection "upgrade"; in the location that matches (penstock check finds it)'
    ]


def _both_fine(direct: Result, via: Result) -> ProbeStep:
    notes = []
    if direct.facts.get("compression") and not via.facts.get("compression"):
        notes.append("the proxy takes compression out: the backend agrees to it, through the proxy it does not")
    if direct.facts.get("protocol") != via.facts.get("protocol"):
        notes.append("the subprotocol is another one: the proxy does not pass Sec-WebSocket-Protocol on")
    if "ping" in direct.facts and "ping" in via.facts:
        added = via.facts["ping"] - direct.facts["ping"]
        notes.append(f"a round trip takes {time_shown(abs(added))} {'longer' if added >= 0 else 'less'} by the proxy")
    verdict = StepVerdict.WARN if len(notes) > ("ping" in via.facts) else StepVerdict.OK
    return ProbeStep(
        "verdict",
        verdict,
        "both work, the backend and the way by the proxy",
        details=tuple(notes),
        data={"at_fault": None},
    )
