"""Rights of files that are made: `user:rw group:r all:r` (nginx: ngx_conf_set_access_slot)."""

from __future__ import annotations

from penstock.config.kinds import custom
from penstock.config.scope import Call

OWN = 0o600
"""Files are their owner's alone unless more is said."""
_SHIFTS = {"user": 6, "group": 3, "all": 0}
_RIGHTS = {"r": 4, "rw": 6}


def _access(call: Call) -> int:
    access = 0
    for word in call.args:
        who, _, rights = word.text.partition(":")
        if who not in _SHIFTS or rights not in _RIGHTS:
            raise call.fail(f'invalid value "{word.text}"', word, hint="write for example: user:rw group:r")
        access |= _RIGHTS[rights] << _SHIFTS[who]
    return access if any(word.text.startswith("user:") for word in call.args) else access | OWN


ACCESS_BITS = custom(_access, most=3, syntax="users:permissions ...")


def folder_access(access: int) -> int:
    """Return the bits of a folder for files with these: who may read may enter."""
    return access | (access & 0o444) >> 2
