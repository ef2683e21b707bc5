"""Numbers that others have written into the environment: read strictly, however long they are."""

from __future__ import annotations

LARGEST_DESCRIPTOR = 2**31 - 1


def whole(text: str, most: int) -> int | None:
    """Read a number, None where the text is none, or is more than `most`."""
    # The length first: Python takes long for long ones, and refuses the longest.
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit()) or len(digits) > len(str(most)):
        return None
    number = int(digits)
    return number if number <= most else None
