"""Showing and writing what `penstock check --fix` has changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from penstock.cli.colour import ink_for
from penstock.doctor.finding import Finding

STDIN = "<stdin>"
"""What standard input is called in reports."""


def own_output(given: Any) -> bool:
    """Return whether standard output is for changes alone: a patch, or the whole of what came by standard input."""
    return bool(given.fix and (given.dry_run or "-" in (given.file, given.name)))


def show(before: Mapping[str, str], texts: Mapping[str, str], done: list[Finding], given: Any) -> None:
    """Show what changes as `patch` reads it: on standard output, or where a report for programs goes there, beside it.

    Of standard input, what is written is the whole text, and the difference stands beside it.
    """
    from penstock.config.source import shown
    from penstock.doctor.repair.repair import difference

    whole = "-" in (given.file, given.name) and not given.dry_run
    stream = sys.stdout if given.format == "text" and not whole else sys.stderr
    ink = ink_for(stream, given.color)
    for path, text in texts.items():
        lines = difference(path, before.get(path, ""), text)
        if not ink.on and not stream.isatty():
            stream.flush()
            stream.buffer.write("".join(lines).encode("latin-1"))  # a patch has every byte
            stream.buffer.flush()
            continue
        for line in lines:
            bare = "\t".join(shown(part) for part in line.removesuffix("\n").split("\t"))
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            stream.write(f"{ink(style, bare) if style else bare}\n")
    for finding in done:
        assert finding.fix is not None
        sys.stderr.write(f"{'would be ' if given.dry_run else ''}fixed [{finding.rule}]: {shown(finding.fix.title)}\n")
    if whole:
        sys.stdout.flush()
        sys.stdout.buffer.write((texts.get(STDIN) or before.get(STDIN, "")).encode("latin-1"))
        sys.stdout.buffer.flush()


def write(texts: Mapping[str, str]) -> bool:
    """Write the new texts to their files; False where one can not be written, which is said."""
    from penstock.config.source import shown

    for path, text in texts.items():
        if path == STDIN:
            continue
        try:
            _replace(path, text)
        except OSError as error:
            sys.stderr.write(f'penstock check: can not write "{shown(path)}": {os.strerror(error.errno or 0)}\n')
            return False
    return True


def _replace(path: str, text: str) -> None:
    """Write a file whole or not at all, with its mode and owner, through links to where it is."""
    real = os.path.realpath(path.encode("latin-1"))
    beside = real + b".penstock-fix"
    kept = os.stat(real)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123  a descriptor
            file.write(text.encode("latin-1"))
        os.chmod(beside, kept.st_mode & 0o7777)  # noqa: PTH101  bytes
        if os.geteuid() == 0:
            os.chown(beside, kept.st_uid, kept.st_gid)
        os.replace(beside, real)  # noqa: PTH105  bytes
    except BaseException:
        os.unlink(beside)  # noqa: PTH108  bytes
        raise
