"""`ssl_preread`: what a client asks for in the ClientHello that is passed on (nginx: ngx_stream_ssl_preread_module)."""

from __future__ import annotations

from penstock.config.kinds import flag
from penstock.config.registry import STREAM_LEVELS
from penstock.config.settings import Settings, directive
from penstock.modules.stream.session import Preread
from penstock.net.tls.hello import Hello

MODULE = "stream_ssl_preread"
PAGE = "ngx_stream_ssl_preread_module.html"
VERSIONS = {
    0x0002: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
}
_DRAFT = 0x7F
"""What versions of drafts of TLS 1.3 begin with."""


class SslPreread(Settings):
    """Whether the first bytes of a client are looked at for a ClientHello."""

    enabled: bool = directive(
        "ssl_preread",
        where=STREAM_LEVELS,
        takes=flag,
        default=False,
        nginx=PAGE,
        doc="For `$ssl_preread_server_name`, `$ssl_preread_alpn_protocols` and `$ssl_preread_protocol`, and for a "
        "server by its name. TLS is not ended here: the bytes go on as they came.",
    )


def seen_in(hello: Hello) -> Preread:
    """Return what variables tell of a hello."""
    known = [0x0304 if number >> 8 == _DRAFT else number for number in hello.versions]
    known = [number for number in known if number in VERSIONS]
    version = VERSIONS[max(known)] if known else ""
    return Preread(hello.server_name, ",".join(hello.alpn), version)


def seen_of_old(data: bytes) -> Preread | None:
    """Return what variables tell of a hello in the form of SSL 2.

    That is of RFC 5246, appendix E.2; None for all that is no hello."""
    if len(data) < 5 or not data[0] & 0x80 or data[2] != 1 or data[3] not in (0, 3):
        return None
    return Preread("", "", VERSIONS.get(int.from_bytes(data[3:5], "big"), ""))
