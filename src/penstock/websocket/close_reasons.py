"""Why a conversation ends, and which close code goes to whom (RFC 6455 section 7.4)."""

from __future__ import annotations

from enum import Enum

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
ABNORMAL = 1006
"""Stands for an end without a close frame; never sent."""
POLICY = 1008
TOO_BIG = 1009
RESTART = 1012
BAD_GATEWAY = 1014


class Why(Enum):
    """The reason for which a conversation ends: a name for logs and metrics, the code for whoever gave the reason (or
    for both), the code for the other side.

    `CLOSED` is the end that the peers make among themselves.
    """

    CLOSED = ("closed", 0, 0)
    CLIENT_LOST = ("client_lost", 0, GOING_AWAY)
    BACKEND_LOST = ("backend_lost", 0, BAD_GATEWAY)
    CLIENT_SILENT = ("client_ping_timeout", 0, GOING_AWAY)
    BACKEND_SILENT = ("backend_ping_timeout", 0, GOING_AWAY)
    CLIENT_STUCK = ("client_send_timeout", 0, GOING_AWAY)
    BACKEND_STUCK = ("backend_send_timeout", 0, GOING_AWAY)
    IDLE = ("idle_timeout", GOING_AWAY, GOING_AWAY)
    PROTOCOL = ("protocol_error", PROTOCOL_ERROR, PROTOCOL_ERROR)
    MESSAGE_SIZE = ("message_too_big", TOO_BIG, GOING_AWAY)
    FRAME_SIZE = ("frame_too_big", TOO_BIG, GOING_AWAY)
    RATE = ("rate", POLICY, GOING_AWAY)
    QUOTA = ("quota", POLICY, GOING_AWAY)
    LIFETIME = ("lifetime", GOING_AWAY, GOING_AWAY)
    REAUTH = ("reauth", POLICY, GOING_AWAY)
    DRAIN = ("drain", RESTART, RESTART)
    SHUTDOWN = ("shutdown", GOING_AWAY, GOING_AWAY)
    UNHEALTHY = ("unhealthy", RESTART, RESTART)
    REDIAL_FAILED = ("redial_failed", RESTART, RESTART)
    KILLED = ("killed", GOING_AWAY, GOING_AWAY)

    def __init__(self, token: str, code: int, other: int) -> None:
        self.token = token
        self.code = code
        self.other = other
