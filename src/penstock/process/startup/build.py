"""What this program stands on."""

from __future__ import annotations

import ssl
import sys

_NAMES = {"cpython": "CPython", "pypy": "PyPy"}


def interpreter() -> str:
    """Name the interpreter: `CPython 3.11.7`."""
    name = sys.implementation.name
    return f"{_NAMES.get(name, name)} {sys.version.split()[0]}"


def tls_library() -> str:
    """Name the TLS library: `OpenSSL 3.0.19 27 Jan 2026`."""
    return ssl.OPENSSL_VERSION


def knows_server_names() -> bool:
    """Return whether TLS tells the server's name (RFC 6066 section 3)."""
    return ssl.HAS_SNI
