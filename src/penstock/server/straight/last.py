"""The last answer of a connection on the straight way: its end leaves with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.h1.send import send_rest
from penstock.server.straight.begun import sent

if TYPE_CHECKING:
    from penstock.server.straight.passage import Passage

CLOSES = "Connection: close\r\n"


def send_last(passage: Passage, data: bytes, size: int) -> None:
    """Send an answer whose backend has been given back: head and body, which has so many bytes at the end of `data`."""
    client = passage.connection.stream
    count = client.send_last(data)
    if count != len(data):
        passage.over(sent(send_rest(passage, client, data, len(data) - size, count)))
        return
    passage.bytes_sent = count
    passage.body_bytes_sent = size
    passage.completed = True
    passage.done()
