"""`-s`: a signal to the master whose process id is in the pid file."""

from __future__ import annotations

import os
from errno import ENOENT, ESRCH

from penstock.config.os_errors import os_reason
from penstock.modules.core.main import Main
from penstock.observe.errorlog import ALERT, ERROR, NOTICE, report, set_fallback, use_console
from penstock.process.startup.cycle import read
from penstock.process.startup.launch import PROGRAM, Launch, NotStarted
from penstock.process.startup.logs import boot_log
from penstock.process.startup.signals import BY_NAME

_LARGEST = 2**31 - 1
_MOST = 22
"""Bytes of the pid file that are looked at, as in nginx."""


def send_signal(launch: Launch, word: str) -> int:
    """Send what `word` stands for; the exit code. The configuration is read for the pid file's name, as nginx does."""
    set_fallback(boot_log(launch))
    use_console(PROGRAM)
    try:
        plan = read(launch, console=True)
    except NotStarted:
        return 1
    report(None, NOTICE, "signal process started")
    path = plan.main.settings(Main).pid or launch.pid_file
    try:
        fd = os.open(path.encode("latin-1"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        code = _fail(ERROR, f'open() "{path}" failed', error)
        if error.errno == ENOENT:
            report(None, ERROR, f"{PROGRAM} does not run, or its configuration names another pid file")
        return code
    try:
        text = os.read(fd, _MOST).decode("latin-1").rstrip("\r\n")
    finally:
        os.close(fd)
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
        return _fail(ERROR, f'invalid PID number "{text}" in "{path}"')
    number = BY_NAME[word]
    try:
        os.kill(int(text), number)
    except OSError as error:
        code = _fail(ALERT, f"kill({text}, {int(number)}) failed", error)
        if error.errno == ESRCH:
            report(None, ERROR, f'{PROGRAM} does not run: "{path}" was left behind by a process that is no more')
        return code
    return 0


def _fail(level: int, words: str, error: OSError | None = None) -> int:
    if error is not None:
        words += f" ({os_reason(error)})"
    report(None, level, words)
    return 1
