"""`proxy_protocol on | v2`: the header that a backend is sent first (nginx: ngx_stream_proxy_module)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock.http.proxy_protocol_out import Tlv, header_binary, header_text, tlv
from penstock.modules.stream.session import StreamSession
from penstock.modules.tls.variables import certificate
from penstock.modules.tls.verify import outcome

if TYPE_CHECKING:
    from penstock.http.client import TlsOfClient

VERSIONS = {"off": 0, "on": 1, "v2": 2}
_ALPN, _AUTHORITY, _SSL = 0x01, 0x02, 0x20
_VERSION, _NAME, _CIPHER = 0x21, 0x22, 0x23
_BY_SSL, _ON_CONNECTION, _IN_SESSION = 1, 2, 4
# The common name in a subject as RFC 4514 writes it.
_common_name = re.compile(r"(?:^|,)CN=((?:[^,\\]|\\.)*)")


def header_for(session: StreamSession, version: int) -> bytes:
    """Write the header about a client, in version 1 or 2."""
    connection = session.connection
    source = connection.client_address, connection.client_port
    destination = connection.local_address, connection.local_port
    if version == 1:
        return header_text(source, destination)
    told = () if connection.tls is None else _about_tls(connection.tls)
    return header_binary(source, destination, told, datagrams=session.udp)


def _about_tls(tls: TlsOfClient) -> Iterator[Tlv]:
    inner: Any = tls.ssl
    if tls.hello is not None and tls.hello.server_name:
        yield _AUTHORITY, tls.hello.server_name.encode("latin-1")
    chosen = inner.selected_alpn_protocol()
    if chosen:
        yield _ALPN, chosen.encode("latin-1")
    der = inner.getpeercert(True)
    parts = [tlv(_VERSION, (inner.version() or "").encode("ascii"))]
    flags, verified = _BY_SSL, 1
    if der:
        flags |= _IN_SESSION | (0 if inner.session_reused else _ON_CONNECTION)
        verified = outcome(tls)[0]
        name = _common_name.search(certificate(tls, der).subject)
        if name is not None:
            parts.append(tlv(_NAME, name[1].encode("latin-1", "replace")))
    cipher = inner.cipher()
    if cipher:
        parts.append(tlv(_CIPHER, cipher[0].encode("ascii")))
    yield _SSL, bytes((flags,)) + verified.to_bytes(4, "big") + b"".join(parts)
