"""What a client says of itself in `User-Agent`, as nginx reads it: browsers that need something else than others."""

from __future__ import annotations

_SHORTEST = 8
"""Behind `MSIE ` stands a version, such as `6.0`."""


def _version_of_msie(agent: str) -> int:
    """Where the version of an Internet Explorer stands; -1 for what is none. An Opera may say that it is one."""
    at = agent.find("MSIE ")
    return at + 5 if 0 <= at <= len(agent) - _SHORTEST and "Opera" not in agent else -1


def is_msie(agent: str) -> bool:
    """Return whether it is an Internet Explorer up to 10."""
    return _version_of_msie(agent) >= 0


def is_msie6(agent: str) -> bool:
    """Return whether it is an Internet Explorer 4, 5, or 6 without its second service pack."""
    at = _version_of_msie(agent)
    if at < 0 or agent[at + 1] != ".":
        return False
    return agent[at] in "45" or (agent[at] == "6" and agent.find("SV1", at + 3) < 0)
