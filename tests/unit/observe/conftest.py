"""The process's own log is one for all tests: each puts it back."""

from collections.abc import Iterator

import pytest

from penstock.observe import errorlog


@pytest.fixture(autouse=True)
def _log_put_back() -> Iterator[None]:
    before = errorlog.fallback()
    yield
    errorlog.set_fallback(before)
    errorlog.use_console(None)
