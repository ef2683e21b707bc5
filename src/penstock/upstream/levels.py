"""Files in folders that are named by the last characters of their names (nginx: ngx_create_hashed_filename)."""

from __future__ import annotations

import os


def place_in(folder: str, levels: tuple[int, ...], name: str) -> str:
    """Return the path of a file: with the levels (1, 2) `0000000123` lies in `FOLDER/3/12/`."""
    parts = [folder]
    at = len(name)
    for level in levels:
        parts.append(name[at - level : at])
        at -= level
    return "/".join((*parts, name))


def make_folders_to(path: str, folder: str) -> None:
    """Make the folders on the way to a file in `folder`, and that itself if somebody has cleaned up. Raises
    `OSError`."""
    at = path.find("/", len(folder))
    while at > 0:
        try:
            os.mkdir(path[:at].encode("latin-1"), 0o700)  # noqa: PTH102  bytes
        except FileExistsError:
            pass
        at = path.find("/", at + 1)
