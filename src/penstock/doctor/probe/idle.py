"""Does it survive silence? And if not: who cuts it, going by the second at which it happens."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from penstock.doctor.probe.steps import Exit, ProbeStep, Say, StepVerdict
from penstock.doctor.probe.talk import ProbeTalk

_SLACK = 0.02
"""How far from a known limit a cut may be, as a part of it; a second at least."""


class KnownTimeout(NamedTuple):
    """A time after which something well known ends a silent connection."""

    seconds: float
    who: str


LIMITS = (
    KnownTimeout(15, "gunicorn, daphne and others with short timeouts"),
    KnownTimeout(20, "websockets and uvicorn, which close when their ping (every 20 s) is not answered within 20 s"),
    KnownTimeout(30, "a Google Cloud backend service (30 s, whatever happens on the connection: a limit on all of it), "
              "HAProxy with `timeout client 30s`, envoy routes"),
    KnownTimeout(50, "HAProxy with its example configuration (`timeout client 50s`; raise `timeout tunnel`)"),
    KnownTimeout(55, "Heroku's router (55 s)"),
    KnownTimeout(60, "nginx's proxy_read_timeout (60 s by default), or an AWS load balancer's idle timeout (60 s)"),
    KnownTimeout(75, "nginx's keepalive_timeout: the connection never became a tunnel"),
    KnownTimeout(90, "FRP and other tunnels with a heartbeat of 30 s"),
    KnownTimeout(100, "Cloudflare (100 s)"),
    KnownTimeout(120, "IIS and Azure's application gateway"),
    KnownTimeout(180, "Apache's mod_proxy_wstunnel with ProxyTimeout 180"),
    KnownTimeout(240, "Azure's load balancer (4 min)"),
    KnownTimeout(300, "Traefik, ingress controllers and envoy with an idle timeout of 5 min"),
    KnownTimeout(350, "an AWS network load balancer or a NAT gateway (350 s; they drop the connection without a word)"),
    KnownTimeout(600, "CloudFront and Google's firewalls (10 min)"),
)  # fmt: skip


def likely(seconds: float) -> str | None:
    """Name what is known to cut at that second."""
    for limit in LIMITS:
        if abs(seconds - limit.seconds) <= max(1.0, limit.seconds * _SLACK):
            return limit.who
    return None


def survive(talk: ProbeTalk, seconds: float, timeout: float, say: Say) -> Exit:
    """Say nothing for so long; then ask whether anybody is still there."""
    started = monotonic()
    before = len(talk.pings)
    messages = talk.messages
    talk.listen(seconds)
    lasted = monotonic() - started
    pings = talk.pings[before:]
    said = talk.messages - messages
    data: dict[str, object] = {
        "asked_seconds": seconds,
        "survived_seconds": round(lasted, 2),
        "server_pings": len(pings),
        "server_messages": said,
    }
    heard = _heard(pings, said, started)
    if talk.end is not None:
        data["end"] = {"how": talk.end.how, "code": talk.end.code}
        who = likely(lasted)
        details = (*heard, *((f"known to cut at that second: {who}",) if who else ()))
        data["likely"] = who
        summary = f"cut after {lasted:.1f} s of silence: {talk.end.words}"
        say(ProbeStep("idle", StepVerdict.FAIL, summary, lasted, details, _advice(talk.end.how, lasted), data=data))
        return Exit.TUNNEL
    back = talk.ping(timeout)
    data["alive"] = back is not None
    if back is None:
        words = f"dead after {lasted:.0f} s of silence, and nobody said so: a ping is not answered"
        advice = (
            "something on the way (NAT, firewall, cloud balancer) has forgotten the connection: ping more often than "
            "it forgets, from the server or from the proxy",
        )
        say(ProbeStep("idle", StepVerdict.FAIL, words, lasted, heard, advice, data=data))
        return Exit.TUNNEL
    say(ProbeStep("idle", StepVerdict.OK, f"survives {seconds:g} s of silence", lasted, heard, data=data))
    return Exit.FINE


def _heard(pings: list[float], messages: int, started: float) -> tuple[str, ...]:
    found = []
    if pings:
        gaps = [after - at for at, after in zip([started, *pings], pings, strict=False)]
        every = f", one every {sum(gaps) / len(gaps):.0f} s" if len(gaps) > 1 else f", after {gaps[0]:.0f} s"
        found.append(f"the server pinged {len(pings)} times{every}: that keeps the connection in use")
    if messages:
        found.append(f"the server sent {messages} messages meanwhile: it was not silent on its side")
    return tuple(found)


def _advice(how: str, seconds: float) -> tuple[str, ...]:
    if how == "close":
        return (
            "the application (or a proxy that speaks WebSocket) said goodbye itself: its own timeout is to be raised",
        )
    every = max(1, min(30, int(seconds / 2)))
    return (
        f"a proxy or a balancer cut it. Let the server or the proxy ping every {every} s, or raise the timeout: "
        "in nginx and Penstock, proxy_read_timeout 1h; in HAProxy, timeout tunnel 1h (not proxy_connect_timeout, not "
        "keepalive_timeout)",
    )
