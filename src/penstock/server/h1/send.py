"""An answer onto the wire of HTTP/1.1: framing, the head, the body in whatever shape it comes, the rate limit.

What a body is made of belongs to the request, which closes it when it ends: the sender closes nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from penstock.config.addresses import bracketed
from penstock.http.chunked import LAST_CHUNK, encode_chunk, last_chunk
from penstock.http.line import location_safe
from penstock.http.rate import Pace, allowance, delay
from penstock.http.request import Answer, FilePart, Request
from penstock.http.status import error_page, refresh_page, shown
from penstock.modules.access.delay import delay as wait
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.user_agent import is_msie
from penstock.net.posting import LONGEST
from penstock.server.head import product, render_head

if TYPE_CHECKING:
    from penstock.net.stream import Stream

BARE = frozenset({204, 304})
SMALL = 65536
"""Bodies up to this size leave with their head in one write."""
DATED = frozenset({200, 206, 304})
"""Only these keep the date of a file: an error page is not what was asked for."""


async def send_answer(request: Request, answer: Answer, stream: Stream) -> None:
    """Send head and body. Raises what the net floor raises; `request.completed` tells whether all went out."""
    unsent = begin_answer(request, answer, stream)
    if unsent is not None:
        await unsent


def begin_answer(request: Request, answer: Answer, stream: Stream) -> Coroutine[object, None, None] | None:
    """Send nearly every answer whole, in one write, and return None. What may have to wait is left to be awaited."""
    if answer.special:
        make_page(request, answer)
    status = answer.status
    head_only = request.method == "HEAD"
    if status in BARE:
        head_only = True
        bare(request, answer)
    if answer.last_modified is not None and request.error_status and status not in DATED:
        answer.last_modified = None
    if answer.location is not None:
        answer.location = absolute(request, answer.location)
    if answer.close:
        request.keep_alive = False
    request.answer = answer
    request.status = status
    version = request.head.version
    if version == 9:
        request.keep_alive = False
        return _counted(request, stream, _send_old(request, answer, stream))
    core = request.location[HttpCore]
    chunked = False
    if (answer.length is None or answer.trailers is not None) and not head_only:
        chunked = version >= 11 and core.chunked_transfer_encoding
        if chunked:
            answer.length = None
        elif answer.length is None:
            request.keep_alive = False
    head = render_head(request, answer, chunked=chunked)
    body = b"" if head_only else answer.body
    if type(body) is not bytes:
        return _counted(request, stream, _send_body(request, answer, stream, head, chunked=chunked), len(head))
    if chunked:
        body = encode_chunk(body) + _last_chunk(answer)
    size = len(body)
    if size > SMALL or ((request.limit_rate is not None or core.limit_rate is not None) and _limited(request)):
        return _counted(request, stream, _send_large(request, stream, head, body), len(head))
    data = head + body
    sent = len(data)
    # A client that waits for its answer has room for it.
    if not (sent <= LONGEST and request.keep_alive and not request.pipelined and stream.post(data)):
        sent = stream.send_now(data) if request.keep_alive else stream.send_last(data)
        if sent != len(data):
            return send_rest(request, stream, data, len(head), sent)
    request.bytes_sent += sent
    request.body_bytes_sent += size
    request.completed = True
    return None


async def _counted(
    request: Request, stream: Stream, sending: Coroutine[object, None, None], head: int = 0, sent: int = 0
) -> None:
    """What may have to wait, and may end early: what has gone is counted either way. `head` is the length of the head,
    `sent` what has left of the answer before."""
    before = stream.sent + stream.owed - sent
    try:
        await sending
        request.completed = True
    finally:
        gone = max(0, stream.sent - before)
        request.bytes_sent += gone
        request.body_bytes_sent += max(0, gone - head)


async def _send_large(request: Request, stream: Stream, head: bytes, body: bytes) -> None:
    """More than should be copied, or what may not go at once."""
    await _write(request, stream, head)
    await _paced(request, stream, body)


def send_rest(
    request: Request, stream: Stream, data: bytes, head: int, sent: int
) -> Coroutine[object, None, None]:
    """Send what is left of a whole answer, of which the kernel has taken the first `sent` bytes; `head` is the length
    of its head."""
    return _counted(request, stream, _send_rest(request, stream, data, sent), head, sent)


async def _send_rest(request: Request, stream: Stream, data: bytes, sent: int) -> None:
    """What the kernel did not take at once of head and body."""
    await stream.send_all(memoryview(data)[sent:], timeout=request.location[HttpCore].send_timeout)


async def _send_old(request: Request, answer: Answer, stream: Stream) -> None:
    """To a client of HTTP/0.9 goes the body alone."""
    if isinstance(answer.body, bytes):
        await _paced(request, stream, answer.body)
        return
    await _send_body(request, answer, stream, b"", chunked=False)


async def _send_body(request: Request, answer: Answer, stream: Stream, head: bytes, *, chunked: bool) -> None:
    """A body that is a file, parts, or pieces still to come."""
    body = answer.body
    if head:
        await _write(request, stream, head)
    assert not isinstance(body, bytes)
    if isinstance(body, (FilePart, list)):
        await _send_parts(request, stream, body if isinstance(body, list) else [body], chunked=chunked)
    else:
        async for piece in body:
            if not piece:
                continue
            data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            await _paced(request, stream, data)
    if chunked:
        await _write(request, stream, _last_chunk(answer))


def _last_chunk(answer: Answer) -> bytes:
    trailers = list(answer.trailers or ())
    return last_chunk(trailers) if trailers else LAST_CHUNK


async def _send_parts(request: Request, stream: Stream, parts: list[bytes | FilePart], *, chunked: bool) -> None:
    timeout = request.location[HttpCore].send_timeout
    for part in parts:
        if isinstance(part, bytes):
            data = b"%x\r\n%b\r\n" % (len(part), part) if chunked and part else part
            await _write(request, stream, data)
        else:
            if chunked:
                await _write(request, stream, b"%x\r\n" % part.count)
            await _send_file(request, stream, part, timeout)
            if chunked:
                await _write(request, stream, b"\r\n")


async def _send_file(request: Request, stream: Stream, part: FilePart, timeout: float) -> None:
    if not _limited(request):
        await stream.sendfile(part.file.fd, part.offset, part.count, timeout=timeout)
        return
    offset, left = part.offset, part.count
    while left:
        allowance = min(left, await _allowance(request))
        await stream.sendfile(part.file.fd, offset, allowance, timeout=timeout)
        _spend(request, allowance)
        offset += allowance
        left -= allowance


async def _write(request: Request, stream: Stream, data: bytes) -> None:
    sent = stream.send_now(data)
    if sent != len(data):
        await stream.send_all(memoryview(data)[sent:], timeout=request.location[HttpCore].send_timeout)


async def _paced(request: Request, stream: Stream, data: bytes) -> None:
    if not _limited(request):
        await _write(request, stream, data)
        return
    view = memoryview(data)
    while view:
        allowance = min(len(view), await _allowance(request))
        await _write(request, stream, bytes(view[:allowance]))
        _spend(request, allowance)
        view = view[allowance:]


def _limited(request: Request) -> bool:
    if request.limit_rate is None:
        core = request.location[HttpCore]
        if core.limit_rate is None:
            return False
        request.limit_rate = _size(core.limit_rate.evaluate(request))
    return request.limit_rate > 0


def _size(text: str) -> int:
    from penstock.config.values import size

    try:
        return size(text) if text else 0
    except ValueError:
        return 0


async def _allowance(request: Request) -> int:
    """How many bytes may go now, at least one; waits where the rate has been used up."""
    service = request.connection.service
    pace = request.pace
    rate = request.limit_rate or 0
    if pace is None:
        core = request.location[HttpCore]
        free = _size(core.limit_rate_after.evaluate(request)) if core.limit_rate_after is not None else 0
        pace = request.pace = Pace(rate, free, service.timers.now)
    while True:
        allowed = allowance(rate, service.timers.now - pace.started, pace.sent - pace.free)
        if allowed > 0:
            return allowed
        await wait(request, delay(rate, allowed))


def _spend(request: Request, count: int) -> None:
    pace = request.pace
    if pace is not None:
        pace.sent += count


def bare(request: Request, answer: Answer) -> None:
    """Take from the head of an answer without a body what would describe one. What a backend says of its own 204 or
    304 is the backend's affair."""
    answer.length = None
    if answer.from_upstream and not request.error_status:
        return
    answer.content_type = None
    if answer.status == 204:
        answer.last_modified = None


def make_page(request: Request, answer: Answer) -> None:
    """Make the body of a special answer: the page for its status, or one that leads on (`msie_refresh`)."""
    answer.special = False
    if answer.status in BARE or answer.status < 300:
        answer.body = b""
        answer.length = 0
        return
    core = request.location[HttpCore]
    if core.msie_refresh and answer.status in (301, 302) and answer.location and _is_msie(request):
        answer.body = refresh_page(answer.location)
        answer.status, answer.location = 200, None
    else:
        answer.body = error_page(answer.status, product(core.server_tokens))
    answer.length = len(answer.body)
    answer.content_type = "text/html" if answer.body else None
    answer.status = shown(answer.status)
    answer.charset = None


def _is_msie(request: Request) -> bool:
    return is_msie(request.head.fields.get("user-agent", ""))


def absolute(request: Request, location: str) -> str:
    """Make `Location` as the client gets it: within its line; paths of this server become absolute
    (`absolute_redirect`)."""
    location = location_safe(location)
    if not location.startswith("/"):
        return location
    core = request.location[HttpCore]
    if not core.absolute_redirect:
        return location
    connection = request.connection
    if core.server_name_in_redirect:
        host = request.server.name
    elif request.host:
        host = request.host
    else:
        host = bracketed(connection.local_address)
    port = ""
    if core.port_in_redirect:
        number = connection.local_port
        if number and number != (443 if connection.scheme == "https" else 80):
            port = f":{number}"
    return f"{connection.scheme}://{host}{port}{location}"
