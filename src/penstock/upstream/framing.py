"""Where the body of a backend's answer ends (RFC 9112, section 6.3): by its length, by its chunks, by the close."""

from __future__ import annotations

from typing import Protocol

from penstock.http.chunked import ChunkedDecoder


class Framing(Protocol):
    """Takes what comes behind the head and gives what of it is body.

    `done`: the end has been seen. `surplus`: the words for the log where more came than belongs to the answer, else "".
    `trailers` are known once it is done.
    """

    surplus: str

    @property
    def done(self) -> bool: ...

    @property
    def trailers(self) -> list[tuple[str, str]]: ...

    def feed(self, data: bytes) -> bytes:
        """Raises `BadResponse` where the coding is broken."""
        ...

    def may_end(self) -> bool:
        """Whether the backend may close the connection now; then that was the end."""
        ...


class LengthFraming:
    """A body of so many bytes."""

    __slots__ = ("done", "left", "surplus", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        count = len(data)
        left = self.left
        if count > left:
            self.surplus = 'upstream sent more data than specified in "Content-Length" header'
            data = data[:left]
            count = left
        self.left = left = left - count
        self.done = left == 0
        return data

    def may_end(self) -> bool:
        return self.done


class CloseFraming:
    """A body that ends when the backend closes."""

    __slots__ = ("done", "surplus", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        return data

    def may_end(self) -> bool:
        self.done = True
        return True


class ChunkedFraming:
    """A chunked body, decoded."""

    __slots__ = ("_decoder", "done", "surplus", "trailers")

    def __init__(self) -> None:
        self._decoder = ChunkedDecoder()
        self.done = False
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        decoder = self._decoder
        pieces = decoder.feed(data)
        if decoder.done:
            self.done = True
            self.trailers = list(decoder.trailers)
            if decoder.rest:
                self.surplus = "upstream sent data after final chunk"
        if not pieces:
            return b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def may_end(self) -> bool:
        return self.done
