"""What this program stands on."""

from __future__ import annotations

import platform
import ssl


def interpreter() -> str:
    """`CPython 3.11.7`"""
    return f"{platform.python_implementation()} {platform.python_version()}"


def tls_library() -> str:
    """`OpenSSL 3.0.19 27 Jan 2026`"""
    return ssl.OPENSSL_VERSION


def knows_server_names() -> bool:
    """Whether TLS tells the server's name (RFC 6066 section 3)."""
    return ssl.HAS_SNI
