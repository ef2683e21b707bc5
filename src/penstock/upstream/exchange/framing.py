"""Where the body of a backend's answer ends (RFC 9112, section 6.3): by its length, by its chunks, by the close."""

from __future__ import annotations

from typing import Protocol

from penstock.http.chunked import ChunkedDecoder


class Framing(Protocol):
    """A framing takes what comes behind the head and gives what of it is body.

    `done`: the end has been seen. `surplus`: the words for the log where more came than belongs to the answer, else "".
    `trailers` are known once it is done.
    """

    surplus: str

    @property
    def done(self) -> bool:
        """Return whether the end of the body has been seen."""
        ...

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """Return the fields that came behind the body; they are whole once it is done."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Return the body in these bytes. Raises `BadResponse` if the coding is broken."""
        ...

    def may_end(self) -> bool:
        """Return whether the backend may close the connection now; then that was the end."""
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
        """Return what of these bytes belongs to the body; what is more is noted in `surplus`, and dropped."""
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
        """Return whether all bytes have come: a close before that cuts the answer short."""
        return self.done


class CloseFraming:
    """A body that ends when the backend closes."""

    __slots__ = ("done", "surplus", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        """Return all of it: whatever comes is body."""
        return data

    def may_end(self) -> bool:
        """Take the close for the end."""
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
        """Return the decoded bytes. Raises `BadResponse` if the coding is broken."""
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
        """Return whether the last chunk has come: a close before that cuts the answer short."""
        return self.done
