import errno

import pytest

from penstock.config.os_errors import os_failure, os_reason


def _error(call: object) -> OSError:
    try:
        call()  # type: ignore[operator]
    except OSError as error:
        return error
    raise AssertionError


def test_a_failure_reads_as_nginx_writes_it() -> None:
    error = _error(lambda: open("/nonexistent/file", "rb"))  # noqa: PTH123, SIM115
    assert os_failure("open()", error, "/nonexistent/file") == (
        'open() "/nonexistent/file" failed (2: No such file or directory)'
    )


def test_a_failure_without_a_path_or_with_what_was_being_done() -> None:
    assert os_failure("accept4()", errno.EMFILE) == "accept4() failed (24: Too many open files)"
    words = os_failure("fork()", OSError(errno.ENOMEM, "Cannot allocate memory"), doing="while spawning a worker")
    assert words == "fork() failed while spawning a worker (12: Cannot allocate memory)"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "Permission denied", "/x"), "13: Permission denied"),
        (TimeoutError(), "110: Connection timed out"),
        (OSError("no such thing"), "no such thing"),
        (OSError(), "OSError"),
        (errno.EPIPE, "32: Broken pipe"),
    ],
)
def test_every_error_has_a_reason(error: OSError | int, words: str) -> None:
    assert os_reason(error) == words
