"""A WebSocket looked at from outside, hop by hop, as a client sees it: from the name to the echo."""

from __future__ import annotations

from penstock.doctor.probe.handshake import ProbeAnswer, new_key, shake_hands
from penstock.doctor.probe.hops import who_answered
from penstock.doctor.probe.idle import survive
from penstock.doctor.probe.reach import Reach
from penstock.doctor.probe.refusal import refusal, try_origins
from penstock.doctor.probe.result import SAME_HOST, ProbeOptions, Result
from penstock.doctor.probe.steps import Exit, ProbeFailed, ProbeStep, Say, StepVerdict, safe, time_shown
from penstock.doctor.probe.talk import Pipe, ProbeTalk
from penstock.doctor.probe.target import ProbeTarget
from penstock.net.blocking import BlockingConnection
from penstock.net.errors import NetError
from penstock.websocket.client import Ask, ask

_GREETING_SECONDS = 0.25
_ECHO_SECONDS = 2.0
_PINGS = 3


class Probe:
    """One probe of one target; `say` is told each step as soon as it is known."""

    def __init__(self, target: ProbeTarget, options: ProbeOptions, say: Say) -> None:
        self._target = target
        self._options = options
        self._told = say
        self._result = Result(target)
        self._reach = Reach(
            target,
            self._say,
            timeout=options.timeout,
            insecure=options.insecure,
            trusted=options.trusted,
            certificate=options.certificate,
            key=options.key,
            address=options.address,
            days=options.days,
            http2=options.http2,
        )

    def run(self) -> Result:
        """Run every step, up to the first that fails. Raises `OSError` for a file of authorities that cannot be read.
        """
        try:
            talk = self._open(self._reach.first())
            self._look(talk)
        except ProbeFailed as failed:
            self._result.exit = failed.exit
        return self._result

    def _say(self, step: ProbeStep) -> None:
        self._result.steps.append(step)
        self._told(step)

    # The handshake

    def _open(self, line: BlockingConnection) -> ProbeTalk:
        pipe, answer = self._shake(line, self._ask(self._origin))
        self._result.answer = answer
        if not answer.opened:
            pipe.close()
            self._say(refusal(answer, self._target))
            if answer.head is not None and answer.head.status == 403 and self._has_origin:
                step = try_origins(self._target, self._origin, self._attempt)
                if step is not None:
                    self._say(step)
            raise ProbeFailed(Exit.HANDSHAKE)
        talk = ProbeTalk(pipe, answer)
        self._say(self._opened(answer, talk))
        return talk

    @property
    def _origin(self) -> str | None:
        given = self._options.origin
        return self._target.origin if given == SAME_HOST else given

    @property
    def _has_origin(self) -> bool:
        return all(name.lower() != "origin" for name, _ in self._options.headers)

    def _ask(self, origin: str | None) -> Ask:
        options = self._options
        return ask(
            self._target.target,
            self._target.authority,
            new_key(),
            origin=origin,
            protocols=options.protocols,
            compression=options.compression,
            more=options.headers,
        )

    def _attempt(self, origin: str | None) -> ProbeAnswer:
        asked = self._ask(origin)
        try:
            line = self._reach.again()
        except NetError as error:
            return ProbeAnswer(asked, None, 0.0, str(error))
        with line:
            return self._shake(line, asked)[1]

    def _shake(self, line: BlockingConnection, asked: Ask) -> tuple[Pipe, ProbeAnswer]:
        """The handshake, and what to talk through after it."""
        if not self._options.http2:
            return line, shake_hands(line, asked, self._options.timeout)
        from penstock.doctor.probe.http2 import Http2Line

        stream = Http2Line(line, secure=self._target.secure)
        return stream, stream.shake_hands(asked, self._options.timeout)

    def _opened(self, answer: ProbeAnswer, talk: ProbeTalk) -> ProbeStep:
        assert answer.head is not None
        hop = who_answered(answer.head, b"")
        server = answer.head.fields.get("server")
        details = [f"compression: {safe(talk.extensions)}" if talk.compressed else "no compression"]
        verdict, advice = StepVerdict.OK, []
        if self._options.protocols is not None:
            details.append(f"subprotocol: {safe(talk.protocol)}" if talk.protocol else "no subprotocol")
            if talk.protocol is None:
                verdict = StepVerdict.WARN
                advice.append(
                    f"of the subprotocols {safe(self._options.protocols)} the server chose none: it knows none, "
                    "or a proxy took Sec-WebSocket-Protocol out; browsers go on, some client libraries do not"
                )
        if hop.passed_by:
            details.append(f"came through {', '.join(hop.passed_by)}")
        elif server is not None:
            details.append(f"Server: {safe(server, 80)}")
        self._result.facts |= {"compression": talk.compressed, "protocol": talk.protocol}
        data = {
            "status": answer.head.status,
            "compression": safe(talk.extensions) if talk.compressed else None,
            "subprotocol": safe(talk.protocol) if talk.protocol else None,
            "server": safe(server) if server else None,
            "passed_by": list(hop.passed_by),
        }
        words = f"{answer.head.status}, the WebSocket is open{' inside of HTTP/2' if self._options.http2 else ''}"
        return ProbeStep(
            "handshake",
            verdict,
            words,
            answer.seconds,
            tuple(details),
            tuple(advice),
            answer.sent(),
            answer.received(),
            data,
        )

    # The conversation

    def _look(self, talk: ProbeTalk) -> None:
        try:
            talk.listen(_GREETING_SECONDS)
            self._ping(talk)
            if self._options.echo:
                self._echo(talk)
            if self._options.idle:
                talk = self._fresh(talk)
                code = survive(talk, self._options.idle, self._options.timeout, self._say)
                if code is not Exit.FINE:
                    raise ProbeFailed(code)
        finally:
            talk.close(min(self._options.timeout, 2.0))

    def _ping(self, talk: ProbeTalk) -> None:
        times: list[float] = []
        while talk.end is None and len(times) < _PINGS:
            seconds = talk.ping(self._options.timeout)
            if seconds is None:
                break
            times.append(seconds)
        if times:
            best = min(times)
            self._result.facts["ping"] = best
            words = f"a ping is answered (the best of {len(times)})"
            self._say(
                ProbeStep("ping", StepVerdict.OK, words, best, data={"times_ms": [round(t * 1000, 2) for t in times]})
            )
            return
        if talk.end is not None:
            self._broke("ping", talk)
        advice = ("RFC 6455 wants every ping answered: a server that hangs, or a hop that swallows control frames",)
        words = f"no pong within {time_shown(self._options.timeout)}"
        self._say(ProbeStep("ping", StepVerdict.FAIL, words, advice=advice))
        raise ProbeFailed(Exit.TUNNEL)

    def _broke(self, name: str, talk: ProbeTalk) -> None:
        assert talk.end is not None
        advice = {
            1008: "the server has a rule against this client: a missing login, an Origin, a limit; its log says which",
            1011: "the server failed inside: its log says why",
            1012: "the server restarts",
            1013: "the server is overloaded and asks to come back later",
        }.get(talk.end.code or 0, "the application ends what it has just accepted: its log says why")
        if talk.end.how == "protocol":
            advice = "something on the way changes what is sent, or the server writes frames wrongly"
        data = {"end": {"how": talk.end.how, "code": talk.end.code}}
        words = f"opened, and ended at once: {talk.end.words}"
        self._say(ProbeStep(name, StepVerdict.FAIL, words, advice=(advice,), data=data))
        raise ProbeFailed(Exit.TUNNEL)

    def _echo(self, talk: ProbeTalk) -> None:
        greeting = talk.first
        if greeting is not None and _is_engine(greeting):
            words = "no echo is tried: socket.io speaks its own protocol inside"
            self._say(ProbeStep("echo", StepVerdict.NOTE, words, data={"echo": None, "speaks": "socket.io"}))
            return
        seconds = talk.echo(min(_ECHO_SECONDS, self._options.timeout))
        if seconds is not None:
            self._result.facts["echo"] = seconds
            self._say(ProbeStep("echo", StepVerdict.OK, "a message comes back as it was", seconds, data={"echo": True}))
            return
        details = []
        if talk.first is not None:
            details.append(f'it said: "{safe(talk.first.decode("latin-1"), 100)}"')
        if talk.end is not None:
            words = f"the server does not take a message of ours: {talk.end.words}"
        else:
            words = "the server does not echo, which is no fault"
        self._say(ProbeStep("echo", StepVerdict.NOTE, words, details=tuple(details), data={"echo": False}))

    def _fresh(self, talk: ProbeTalk) -> ProbeTalk:
        """This conversation, or a new one where it has ended."""
        if talk.end is None:
            return talk
        talk.close(0.1)
        try:
            line = self._reach.again()
        except NetError as error:
            self._say(ProbeStep("idle", StepVerdict.FAIL, f"a second connection is not possible: {error}"))
            raise ProbeFailed(Exit.TUNNEL) from None
        pipe, answer = self._shake(line, self._ask(self._origin))
        if not answer.opened:
            pipe.close()
            self._say(ProbeStep("idle", StepVerdict.FAIL, "a second handshake, a moment later, is refused"))
            raise ProbeFailed(Exit.TUNNEL)
        return ProbeTalk(pipe, answer)


def _is_engine(greeting: bytes) -> bool:
    """Whether the first message is engine.io's, the transport of socket.io."""
    return greeting.startswith(b'0{"sid":')
