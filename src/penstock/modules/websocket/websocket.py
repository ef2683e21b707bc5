"""WebSocket without boilerplate: `websocket on | auto | off`. Where it is not said, all is as in nginx.

    auto    a handshake is checked, and passed on as what it is, whatever `proxy_set_header` says or does not say of
            Upgrade and Connection; every other request is proxied as plain HTTP, over connections that are kept
    on      the same, and requests that are no handshakes get 426
    off     handshakes are refused, other requests go their way

A handshake is what RFC 6455 (section 4.2.1) calls one. With `on` and `auto` no other protocol is switched to (h2c would
be a way around every rule of this server), and a 101 has to be the answer to the handshake that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.config.kinds import custom, flag
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.values import decimal
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.core.error_pages import ErrorPages
from penstock.observe.errorlog import INFO, report
from penstock.plan import phases
from penstock.websocket.frames import close_frame
from penstock.websocket.handshake import accept_key, check_request, check_response

if TYPE_CHECKING:
    from penstock.http.head import RequestHead
    from penstock.http.response import ResponseHead

UPGRADE_REQUIRED = 426
VERSION = "13"
SYNTAX = "on [accept=key|any] | auto [accept=key|any] | off [status]"
TO_WEBSOCKET = [("Upgrade", "websocket"), ("Connection", "upgrade")]
BACK_TO_HTTP = [("Upgrade", "HTTP/1.1"), ("Connection", "upgrade")]
_REFUSED: Key[bool] = Key("websocket refused")


@dataclass(frozen=True, slots=True)
class Wish:
    """A `websocket` directive. `status` is that of a refusal; `lenient` takes any 101 for an answer."""

    mode: str
    status: int = UPGRADE_REQUIRED
    lenient: bool = False

    @property
    def carries(self) -> bool:
        """Return whether handshakes are passed on by us, and not as the configuration spells them out."""
        return self.mode != "off"


def _wish(call: Call) -> Wish:
    mode, *more = call.args
    if mode.text not in ("on", "auto", "off"):
        raise call.fail(f'invalid value "{mode.text}" in "websocket" directive', mode, hint="it may be: on, auto, off")
    status, lenient = UPGRADE_REQUIRED, False
    for word in more:
        text = word.text
        given = decimal(text) or 0
        if mode.text == "off" and 400 <= given <= 599:
            status = given
        elif mode.text != "off" and text in ("accept=key", "accept=any"):
            lenient = text == "accept=any"
        else:
            raise call.fail(f'invalid parameter "{text}"', word, hint=f"syntax: websocket {SYNTAX};")
    return Wish(mode.text, status, lenient)


class WebSocket(Settings):
    """What becomes of WebSocket handshakes. Unset: what `proxy_set_header` makes of them, as in nginx."""

    wish: Wish | None = directive(
        "websocket",
        where=HTTP_LEVELS,
        takes=custom(_wish, most=2, syntax=SYNTAX),
        doc="`auto` passes handshakes on with what they need and everything else as plain HTTP; `on` takes nothing but "
        "handshakes; `off` refuses them (426, or another status). `accept=any` passes a 101 on even if it does not "
        "answer the handshake's key, or chooses what was not offered. Unset: as in nginx.",
    )
    extended_connect: bool | None = directive(
        "accept_extended_connect",
        where=HTTP_LEVELS,
        takes=flag,
        shown="off",
        doc="`on` is another name for `websocket auto`, `off` for none, where `websocket` itself is not said.",
    )

    def finish(self, scope: Scope) -> None:
        if self.extended_connect is not None and "wish" not in self.origins:
            self.wish = Wish("auto") if self.extended_connect else None

    @phase(phases.PREACCESS, when=lambda self: self.wish is not None)
    def check(self, request: Request) -> Outcome:
        """Refuse what does not belong here."""
        wish = self.wish
        assert wish is not None
        if request.parent is not None or has_refused(request):
            return None
        if not asks(request):
            if wish.mode == "on" and request.method != "CONNECT":
                return refuse(request, UPGRADE_REQUIRED, "only WebSocket handshakes are served here", TO_WEBSOCKET)
            return None
        if wish.mode == "off":
            return switched_off(request, wish)
        problems = what_is_wrong(request)
        return refuse_bad(request, problems) if problems else None


def asks(request: Request) -> bool:
    """Return whether a request wants to become a WebSocket, be the handshake good or bad."""
    head = request.head
    if "upgrade" not in head.fields:
        return False
    if head.method != "GET" or head.version < 11:
        return False  # Upgrade means nothing there (RFC 9110, section 7.8)
    offered = head.joined("upgrade") or ""
    if offered == "websocket":
        return True  # nearly always, and it is asked several times for a handshake
    return any(token.strip(" \t").lower() == "websocket" for token in offered.split(","))


def what_is_wrong(request: Request) -> list[str]:
    """Return why a handshake is none that could be passed on; empty if nothing is wrong."""
    head = request.head
    if head.version >= 20:
        # What RFC 8441 opens has become a handshake of HTTP/1.1 before anybody sees it.
        return ["the stream was not opened by an extended CONNECT"]
    problems = check_request(head)
    if head.chunked or head.content_length:
        problems.append("it has a body")
    return problems


def switched_off(request: Request, wish: Wish) -> Answer:
    """Make the answer of `websocket off`."""
    headers = BACK_TO_HTTP if wish.status == UPGRADE_REQUIRED else []
    return refuse(request, wish.status, "WebSocket is switched off here", headers)


def refuse_bad(request: Request, problems: list[str]) -> Answer:
    """Refuse a handshake that is none, for these reasons."""
    words = "this is no valid WebSocket handshake: " + "; ".join(problems)
    given = request.head.joined("sec-websocket-version")
    if given is not None and given != VERSION and len(problems) == 1:
        return refuse(request, UPGRADE_REQUIRED, words, [*TO_WEBSOCKET, ("Sec-WebSocket-Version", VERSION)])
    return refuse(request, 400, words)


def refuse(
    request: Request,
    status: int,
    words: str,
    headers: list[tuple[str, str]] | None = None,
    *,
    said: str = "",
    level: int = INFO,
) -> Answer:
    """Answer in plain words (or with the `error_page` of the status), and write a line to the log: `said`, or the same.
    """
    report(request, level, said or words)
    request.context(_REFUSED, lambda: True)
    if request.location[ErrorPages].find(status) is not None:
        answer = special(status)
    else:
        answer = Answer(status, f"{words}\n".encode("latin-1"), content_type="text/plain")
    hop = request.head.version < 20
    answer.headers += [pair for pair in headers or () if hop or pair[0] not in ("Upgrade", "Connection")]
    return answer


def closed_at_once(request: Request, code: int, words: str) -> Answer:
    """Make the answer of a WebSocket that is closed as soon as it is open, since pages never see a status."""
    fields = request.head.fields
    headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept_key(fields["sec-websocket-key"].strip()))]
    offered = request.head.joined("sec-websocket-protocol")
    if offered:
        # Without one of those they offered, browsers would not get as far as the close frame.
        headers.append(("Sec-WebSocket-Protocol", offered.partition(",")[0].strip()))
    answer = Answer(101, close_frame(code, words), headers=headers)
    answer.close = True
    return answer


def has_refused(request: Request) -> bool:
    """Return whether the handshake has been refused already, and this is the way to the page that says so."""
    return request.contexts is not None and _REFUSED in request.contexts


def answered_wrong(wish: Wish, request: Request, head: ResponseHead) -> str:
    """Return why a backend's 101 can not be passed on; "" where it can."""
    if not asks(request):
        return "the client did not ask for a WebSocket, and nothing else is switched to here"
    if wish.lenient or request.head.version >= 20:
        return ""
    own: RequestHead = request.head
    return "; ".join(check_response(head, own))
