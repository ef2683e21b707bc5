"""How long a WebSocket may last: `websocket_max_lifetime`, `websocket_reauth`, and `websocket_close_timeout`."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.kinds import Kind, custom, either, seconds
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive
from penstock.modules.websocket.params import code, options, share, some_time

MODULE = "websocket_lifetime"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`jitter` is the share of `seconds` that a tunnel may be closed earlier."""

    seconds: float = 0.0
    jitter: float = 0.0
    code: int = 1001


@dataclass(frozen=True, slots=True)
class ReauthRule:
    """Every `every` seconds `uri` is asked; a refusal closes with `code`."""

    every: float = 0.0
    uri: str = ""
    code: int = 1008


def _first_time(call: Call) -> float:
    word = call.args[0]
    try:
        return some_time(word.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None


def _lifetime(call: Call) -> Lifetime:
    given = options(call, call.args[1:], {"jitter": share, "code": code})
    return Lifetime(_first_time(call), given.get("jitter", 0.0), given.get("code", 1001))


def _reauth(call: Call) -> ReauthRule:
    if len(call.args) < 2 or not call.args[1].text.startswith("/"):
        raise call.fail("a path of this server to ask is wanted", hint="write: websocket_reauth 5m /auth;")
    given = options(call, call.args[2:], {"code": code})
    return ReauthRule(_first_time(call), call.args[1].text, given.get("code", 1008))


LIFETIME: Kind = custom(_lifetime, most=3, syntax="time [jitter=share%] [code=number]")
REAUTH: Kind = custom(_reauth, most=3, syntax="time uri [code=number]")


class Lifetimes(Settings):
    """Ends that come by the clock."""

    lifetime: Lifetime = directive(
        "websocket_max_lifetime",
        where=HTTP_LEVELS,
        takes=either("off", Lifetime(), LIFETIME),
        default=Lifetime(),
        shown="off",
        doc="A WebSocket is closed when it is that old, with 1001 or `code`; with `jitter=10%` up to a tenth earlier, "
        "so that those which came together do not go together.",
    )
    reauth: ReauthRule = directive(
        "websocket_reauth",
        where=HTTP_LEVELS,
        takes=either("off", ReauthRule(), REAUTH),
        default=ReauthRule(),
        shown="off",
        doc="Asks `uri` again every so often, in the name of the handshake and with its headers, as `auth_request` "
        "does: 401 and 403 close the WebSocket with 1008 or `code`. An answer that is neither these nor 2xx is "
        "logged, and asked for again soon; after three in a row the WebSocket is closed with 1011.",
    )
    close_timeout: float = directive(
        "websocket_close_timeout",
        where=HTTP_LEVELS,
        takes=seconds,
        default=5.0,
        shown="5s",
        doc="How long close frames are waited for when the proxy closes a WebSocket, after which the connections are "
        "closed without.",
    )
