"""What is taken over from the straight way is given once, and leads nowhere."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from penstock.net.errors import PeerGone
from penstock.server.straight.begun import giving, raised, sent, told


def test_a_stream_is_given() -> None:
    stream: Any = object()
    assert giving(stream)() is stream


def test_an_error_is_raised_and_no_frame_leads_to_it() -> None:
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(PeerGone):
            giving(PeerGone(104))()
        assert gc.collect() < 50
    finally:
        gc.enable()


def test_coroutines_give_what_they_were_made_with() -> None:
    async def wait() -> None:
        return None

    assert asyncio.run(told(None)) is None
    assert asyncio.run(sent(wait())) is None
    with pytest.raises(ValueError, match="ours"):
        asyncio.run(raised(ValueError("ours")))
