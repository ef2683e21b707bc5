"""What was seen of a case, with all made equal that may differ between two runs of the same proxy.

Dates, product names and their lengths, ports and addresses become words; chunks are joined.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from differential.client import Heard

_PRODUCT = re.compile(rb"\b(?:nginx|penstock)/[0-9.]+")
_BARE_PRODUCT = re.compile(rb"<center>(?:nginx|penstock)(?:/[0-9.]+)?</center>")
_SERVER = re.compile(r"^ (?:nginx|penstock)(/[0-9.]+)?$")
_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_TIME = re.compile(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]")
_METHODS = re.compile(rb"(?:^|\n)([A-Z]+) [^ ]+ HTTP/1")
_RESPONSE = re.compile(rb"HTTP/\d\.\d (\d{3})")
_SENT = re.compile(r'^((?:[^"\\]|\\.)*"(?:[^"\\]|\\.)*" \d+ )(\d+) ')
_BOUNDARY = re.compile(r"(boundary=|--)[0-9]{20}\b")
_SIGNED = b"PRODUCT"
_MANY_CHUNKS = 4096


@dataclass(slots=True)
class Message:
    """A response, or a request as the backend had it: `framing` is "length", "chunked", "close" or "none"."""

    line: str
    headers: list[tuple[str, str]]
    framing: str = "none"
    body: bytes = b""
    complete: bool = True
    # By how much the product's name made the body longer than it is here.
    longer: int = 0

    @property
    def status(self) -> str:
        return self.line.partition(" ")[2].partition(" ")[0]


@dataclass(slots=True)
class Observation:
    """One proxy's part in a case. `rest` is what came and was no response: a tunnel, HTTP/0.9."""

    responses: list[Message] = field(default_factory=list)
    rest: bytes = b""
    end: str = "open"
    passed: list[Message] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @property
    def answers(self) -> str:
        """The shortest account: statuses, how it ended, and how many requests reached the backend."""
        parts = [message.status for message in self.responses]
        if self.rest and not any(status == "101" for status in parts):
            parts.append("bytes")
        return " ".join([*parts, self.end]) + (f", {len(self.passed)} passed" if self.passed else "")


class Normal:
    """What is to be made equal of one proxy: its ports, the address of the case."""

    def __init__(self, ports: Mapping[str, int], address: str) -> None:
        names = {str(number): name for name, number in ports.items()}
        self._port = re.compile(rf"\b({'|'.join(names)})\b") if names else re.compile(r"(?!)")
        self._names = names
        self._address = address
        self._directory = ""

    def text(self, text: str) -> str:
        text = self._port.sub(lambda found: f"PORT-{self._names[found[1]]}", text)
        return _BOUNDARY.sub(r"\1BOUNDARY", text.replace(self._address, "127.C.C.C"))

    def data(self, data: bytes) -> bytes:
        return self.text(data.decode("latin-1")).encode("latin-1")


def observe(sent: bytes, heard: Heard, passed: Sequence[bytes], log: Sequence[str], normal: Normal) -> Observation:
    """Put together what was seen of a case."""
    seen = Observation(end=heard.end)
    methods = [match.decode() for match in _METHODS.findall(sent)]
    data = heard.data
    while _RESPONSE.match(data) and b"\r\n\r\n" in data:
        final = sum(1 for message in seen.responses if not 100 <= int(message.status) < 200)
        method = methods[final] if final < len(methods) else "GET"
        message, data = _response(data, method)
        seen.responses.append(message)
        if message.status == "101":
            break
    signed = _PRODUCT.sub(_SIGNED, data)
    seen.rest = normal.data(signed)
    finals = [message for message in seen.responses if not message.status.startswith("10")]
    for message in seen.responses:
        _settle(message, normal)
    seen.passed = [_request(record, normal) for record in passed]
    finals = finals or [Message("", [], body=signed, longer=len(data) - len(signed))]
    seen.log = [
        normal.text(_TIME.sub("[TIME]", _counted(line, finals[at]) if at < len(finals) else line))
        for at, line in enumerate(log)
    ]
    return seen


def _split_head(data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name, value))
    return first, headers, rest


def _value(headers: list[tuple[str, str]], name: str) -> str | None:
    return next((value.strip() for key, value in headers if key.lower() == name), None)


def _response(data: bytes, method: str) -> tuple[Message, bytes]:
    line, headers, rest = _split_head(data)
    message = Message(line, headers)
    status = int(message.status)
    if status < 200 or status in (204, 304) or method == "HEAD":
        return message, rest
    if _value(headers, "transfer-encoding") == "chunked":
        message.framing = "chunked"
        message.body, rest, message.complete = _joined(rest)
    elif (length := _value(headers, "content-length")) is not None and length.isdigit():
        message.framing = "length"
        message.body, rest = rest[: int(length)], rest[int(length) :]
        message.complete = len(message.body) == int(length)
    else:
        message.framing = "close"
        message.body, rest = rest, b""
    return message, rest


def _joined(data: bytes) -> tuple[bytes, bytes, bool]:
    """A chunked body: its content with its trailers behind it, what follows, and whether it was whole."""
    body = b""
    while True:
        line, mark, rest = data.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return body + data, b"", not data and False
        if not mark:
            return body + data, b"", False
        if size == 0:
            trailers, mark, rest = (b"\r\n" + rest).partition(b"\r\n\r\n")
            return body + trailers, rest, bool(mark)
        if len(rest) < size + 2:
            return body + rest, b"", False
        body += rest[:size]
        data = rest[size + 2 :]


def _settle(message: Message, normal: Normal) -> None:
    body = _BARE_PRODUCT.sub(b"<center>" + _SIGNED + b"</center>", message.body)
    message.longer = len(message.body) - len(body)
    message.body = normal.data(body)
    page = message.framing == "none" and (_value(message.headers, "content-type") or "").startswith("text/html")
    settled = []
    for name, value in message.headers:
        key = name.lower()
        if key == "server":
            value = _SERVER.sub(lambda found: f" PRODUCT{'/VERSION' if found[1] else ''}", value)
        elif key == "date":
            value = _DATE.sub("DATE", value)
        elif key == "content-length" and value.strip().isdigit():
            value = " PAGE" if page and int(message.status) >= 300 else f" {int(value) - message.longer}"
        else:
            value = normal.text(value)
        settled.append((name, value))
    message.headers = settled


def _request(record: bytes, normal: Normal) -> Message:
    line, headers, rest = _split_head(record)
    message = Message(normal.text(line), [(name, normal.text(value)) for name, value in headers if name != "Case"])
    if _value(headers, "transfer-encoding") == "chunked":
        message.framing = "chunked"
        message.body, after, message.complete = _joined(rest)
        message.body += after
    else:
        message.framing = "length" if _value(headers, "content-length") is not None else "none"
        message.body = rest
    return message


def _counted(line: str, message: Message) -> str:
    """A line of the log without what the product's name, or the number of chunks, added to the body."""

    def settle(found: re.Match[str]) -> str:
        count = int(found[2])
        if message.framing == "chunked" and len(message.body) > _MANY_CHUNKS < count:
            return f"{found[1]}{len(message.body)}+chunks "
        return f"{found[1]}{max(count - message.longer, 0)} "

    return _SENT.sub(settle, line)
