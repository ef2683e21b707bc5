"""What every family of modules that pass requests on accepts without effect, or refuses: storing answers as files."""

from __future__ import annotations

from penstock.config.registry import HTTP_LEVELS, inert, refused


def declare_inert(prefix: str, page: str) -> None:
    """Declare what a family accepts without effect, and what it refuses."""
    refused(
        f"{prefix}_store",
        where=HTTP_LEVELS,
        advice="answers are not stored as files; serve them with root from where they are made",
        nginx=page,
        module=prefix,
        off=("off",),
    )
    inert(
        f"{prefix}_store_access",
        where=HTTP_LEVELS,
        reason="what it is a detail of is refused where it stands",
        nginx=page,
        module=prefix,
    )
