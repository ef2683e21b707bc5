"""Event streams: `event_stream` and its kin. What is one is never buffered, can be kept alive, and ends kindly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.config.kinds import custom, either
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive
from penstock.config.tree import Word
from penstock.config.values import size
from penstock.config.variables import variable
from penstock.http.events.scanner import EventScanner, LineScanner
from penstock.http.fields import LOWER
from penstock.modules.websocket.params import options, some_time, whole
from penstock.observe.errorlog import WARN, report
from penstock.upstream.events.stream import EventStream
from penstock.upstream.events.terms import EventRedial, EventTerms, RetrySpread

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.upstream.events.redial import Redialler
    from penstock.upstream.exchange.incoming import Incoming

MODULE = "event_stream"

EVENTS = "text/event-stream"
MODES = ("auto", "on", "off")
LAST_ID = "event_stream_last_id"
"""The variable in which a redial says what it asks with."""
STREAM: Key[EventStream] = Key("event stream")


def _mode(call: Call) -> tuple[str, frozenset[str]]:
    first, *more = call.args
    if first.text not in MODES:
        raise call.fail(f'invalid value "{first.text}" in "{call.name}" directive', first, hint="auto, on or off")
    for each in more:
        if "/" not in each.text or first.text == "off":
            raise call.fail(
                f'invalid parameter "{each.text}"', each,
                hint="media types of lines of JSON may follow: event_stream auto application/x-ndjson;",
            )
    return first.text, frozenset(each.text.lower() for each in more)


def _time(call: Call, word: Word) -> float:
    try:
        return some_time(word.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None


def _retry(call: Call) -> RetrySpread:
    words = list(call.args)
    always = len(words) > 1 and words[-1].text == "always"
    if always:
        words.pop()
    if len(words) > 2:
        raise call.fail(f'invalid parameter "{words[2].text}"', words[2], hint='"always" may follow the two times')
    times = [_time(call, word) for word in words]
    least, most = times[0], times[-1]
    if most < least:
        raise call.fail(f'invalid value "{words[-1].text}" in "{call.name}" directive', words[-1],
                        hint="the second time is the longer one")  # fmt: skip
    return RetrySpread(least, most, always)


def _redial(call: Call) -> EventRedial:
    window = _time(call, call.args[0])
    ended = any(each.text == "ended" for each in call.args[1:])
    words = tuple(each for each in call.args[1:] if each.text != "ended")
    given = options(call, words, {"tries": _some, "buffer": size})
    return EventRedial(window, given.get("tries", 5), given.get("buffer", 65536), ended)


def _some(text: str) -> int:
    found = whole(text)
    if not found:
        raise ValueError("a number from 1 up is wanted")
    return found


class EventStreams(Settings):
    """Answers that are streams of events (server-sent events, and lines of JSON where that is asked for)."""

    mode: tuple[str, frozenset[str]] = directive(
        "event_stream",
        where=HTTP_LEVELS,
        takes=custom(_mode, most=None, syntax="auto | on | off [media-type ...]"),
        default=("auto", frozenset()),
        shown="auto",
        doc="`auto`: answers of a backend whose type is `text/event-stream`, and whose length is not known before, are "
        "event streams. They are never buffered, compression does not hold them back, `penstock tunnels` lists them, "
        "and `websocket_drain` ends them as it ends WebSockets. `on`: all answers of unknown length are. The media "
        "types that follow (`application/x-ndjson`) are streams too, whose events are lines.",
    )
    ping: float = directive(
        "event_stream_ping",
        where=HTTP_LEVELS,
        takes=either("off", 0.0, custom(lambda call: _time(call, call.args[0]), syntax="time")),
        default=0.0,
        shown="off",
        doc="A stream in which nothing has come for that `time` gets a comment line, between two events, so that "
        "nobody on the way takes it for dead. Streams that the backend has compressed, and lines of JSON, get none. "
        "How long the backend may be silent is `proxy_read_timeout`'s affair.",
    )
    retry: RetrySpread | None = directive(
        "event_stream_retry",
        where=HTTP_LEVELS,
        takes=either("off", None, custom(_retry, most=3, syntax="time [time] [always]")),
        default=RetrySpread(1.0, 5.0),
        shown="1s 5s",
        doc="Where a stream is drained, or its backend is lost, a browser is told when to come back: a moment by "
        "chance between the two times, for each another. Where the application has said `retry` itself, its time "
        "takes the place of the first, and the spread stays. `always`: also where the backend has ended the stream.",
    )
    redial: EventRedial | None = directive(
        "event_stream_redial",
        where=HTTP_LEVELS,
        takes=either("off", None, custom(_redial, most=4, syntax="time [tries=number] [buffer=size] [ended]")),
        shown="off",
        doc="Where the backend of a stream is lost, its request (GET, through `proxy_pass`) is sent again with "
        "`Last-Event-ID`, and the stream goes on with the answer: for that `time`, and `tries` times (5) without an "
        "event between them. Only whole events are passed on; one longer than `buffer` (64k) goes on as it comes, and "
        "can not be continued. `ended`: also where the backend ends the stream properly. A stream without ids ends. "
        "`penstock drain --redial` and a `server` that is marked `drain` move such streams in the same way.",
    )

    def finish(self, scope: Scope) -> None:
        mode, types = self.mode
        self.on = mode != "off"
        self.terms = EventTerms(mode == "on", types, self.ping, self.retry, self.redial)

    def takes(self, answer: Answer) -> bool:
        """Return whether an answer of unknown length is an event stream here."""
        if not self.on:
            return False
        kind = answer.content_type
        if kind is None:
            return self.terms.any_type
        kind = kind.partition(";")[0].rstrip().lower()
        return kind == EVENTS or kind in self.terms.types or self.terms.any_type

    def stream(self, answer: Answer, incoming: Incoming, first: bytes, redialler: Redialler | None) -> EventStream:
        """Make the body of an answer that is an event stream."""
        request = incoming.exchange.request
        kind = (answer.content_type or "").partition(";")[0].rstrip().lower()
        had = (last_id(request) or "").encode("latin-1") or None
        scanner: EventScanner | LineScanner | None = LineScanner() if kind in self.terms.types else EventScanner(had)
        if any(LOWER[name] == "content-encoding" and value.lower() != "identity" for name, value in answer.headers):
            scanner = redialler = None
            self._say_encoded(request)
        request.limit_rate = 0
        meters = request.connection.service.meters
        made = EventStream(incoming, first, self.terms, scanner, meters, redialler)
        request.context(STREAM, lambda: made)
        return made

    def _say_encoded(self, request: Request) -> None:
        if self.ping or self.redial is not None:
            report(
                request,
                WARN,
                "an event stream is compressed by its backend: nothing can be put in (event_stream_ping, "
                'event_stream_redial); proxy_set_header Accept-Encoding "" keeps the backend from that',
            )


def stream_of(request: Request) -> EventStream | None:
    """Return the event stream that a request's answer is, or was; None where it is none."""
    return None if request.contexts is None else request.contexts.get(STREAM)


@variable(LAST_ID)
def last_id(request: Request) -> str | None:
    """The `Last-Event-ID` of a request: as the client sends it, or as the stream has told it where it is sent again."""
    own = request.variables.get(LAST_ID)
    return request.head.fields.get("last-event-id") if own is None else own


@variable("event_stream_events", late=True)
def events(request: Request) -> str | None:
    stream = stream_of(request)
    return None if stream is None or stream.events is None else str(stream.events)


@variable("event_stream_redials", late=True)
def redials(request: Request) -> str | None:
    stream = stream_of(request)
    return None if stream is None else str(stream.redials)
