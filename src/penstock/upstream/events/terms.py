"""What a location wants of event streams."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySpread:
    """How long browsers are told to wait before they come back: a moment by chance from `least` to `most`, in seconds.
    `always`: also where it was the backend that has ended the stream, and properly.
    """

    least: float
    most: float
    always: bool = False


@dataclass(frozen=True, slots=True)
class EventRedial:
    """A backend that is lost is asked again for `window` seconds, `tries` times without an event between them;
    `ended`: also one that ends the stream by itself. `buffer` is how many bytes of an event are kept until it is whole.
    """

    window: float
    tries: int = 5
    buffer: int = 65536
    ended: bool = False


@dataclass(frozen=True, slots=True)
class EventTerms:
    """`types` are media types (in lower case) that are streams of lines; `any_type`: whatever type an answer has, it is
    an event stream. `ping` is in seconds, 0 for none.
    """

    any_type: bool = False
    types: frozenset[str] = frozenset()
    ping: float = 0.0
    retry: RetrySpread | None = None
    redial: EventRedial | None = None
