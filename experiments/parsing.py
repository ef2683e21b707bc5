"""What a head and a frame cost to parse. Run: `python experiments/parsing.py`.

Python 3.11.7, one shared core, microseconds:

    WebSocket handshake of a browser, 12 headers    4.4 to 4.8   (through the reader 5.3)
    GET on a keep-alive connection, 6 headers       2.9 to 3.1   (through the reader 3.6)
    response of a backend, 6 headers                3.0, finding its end 0.3
    one small frame in a chunk                      0.14         (20 in a chunk: 0.15 each)
    a chunk inside a large frame                    0.07

Tried and left: one `split` per line (1.4 for 12 headers, before any check), `split` of the block and `partition` of
its lines, a checking pass with `fullmatch` before `findall` (0.8 more), classes of characters for values instead of
"anything but CR" (0.6 more; deleting what is forbidden and comparing lengths costs 0.3).
"""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

from penstock.http.chunked import ChunkedDecoder, encode_chunk
from penstock.http.head import parse_request
from penstock.http.reader import HeadReader
from penstock.http.response import head_end, parse_response
from penstock.http.uri import normalize, split_target
from penstock.websocket.frames import FrameScanner, FrameSender
from penstock.websocket.handshake import is_handshake


def head(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


HANDSHAKE = head(
    "GET /chat?room=5 HTTP/1.1",
    "Host: example.com",
    "Connection: Upgrade",
    "Pragma: no-cache",
    "Cache-Control: no-cache",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Upgrade: websocket",
    "Origin: https://example.com",
    "Sec-WebSocket-Version: 13",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
)
GET = head(
    "GET /index.html HTTP/1.1",
    "Host: example.com",
    "User-Agent: curl/8.0",
    "Accept: */*",
    "Connection: keep-alive",
    "Accept-Encoding: gzip",
    "Cookie: a=b",
)
RESPONSE = head(
    "HTTP/1.1 200 OK",
    "Server: uvicorn",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT",
    "Content-Type: text/html; charset=utf-8",
    "Content-Length: 1234",
    "Connection: keep-alive",
    'ETag: "abc"',
)
FRAME = b"\x81\xc0mask" + b"x" * 64
LARGE = b"\x82\x7f" + (1 << 50).to_bytes(8, "big")


def show(what: str, run: Callable[[], object]) -> None:
    print(f"{what:42} {min(repeat(run, number=20000, repeat=9)) / 20000 * 1e6:6.2f} us")


def main() -> None:
    reader, scanner, inside = HeadReader(), FrameScanner(FrameSender.CLIENT), FrameScanner(FrameSender.SERVER)
    parsed = parse_request(HANDSHAKE)
    buffer = bytearray(65536)
    buffer[: len(FRAME) * 20] = FRAME * 20
    inside.feed(LARGE, len(LARGE))
    chunks = encode_chunk(b"x" * 1000) * 10
    show("handshake", lambda: parse_request(HANDSHAKE))
    show("handshake through the reader", lambda: reader.feed(HANDSHAKE))
    show("is it a handshake", lambda: is_handshake(parsed))
    show("GET", lambda: parse_request(GET))
    show("GET through the reader", lambda: reader.feed(GET))
    show("target to path", lambda: normalize(split_target("/index.html?a=b")[0]))
    show("response", lambda: parse_response(RESPONSE))
    show("end of the response's head", lambda: head_end(RESPONSE))
    show("ten chunks of a body", lambda: ChunkedDecoder().feed(chunks))
    show("a small frame", lambda: scanner.feed(buffer, len(FRAME)))
    show("twenty small frames at once", lambda: scanner.feed(buffer, len(FRAME) * 20))
    show("64 KiB inside a large frame", lambda: inside.feed(buffer, 65536))


if __name__ == "__main__":
    main()
