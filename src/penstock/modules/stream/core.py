"""What connections of streams are given before they are passed on (nginx: ngx_stream_core_module)."""

from __future__ import annotations

from penstock.config.kinds import seconds, size
from penstock.config.registry import STREAM_LEVELS
from penstock.config.settings import Settings, directive

MODULE = "stream_core"
PAGE = "ngx_stream_core_module.html"
SSL_PAGE = "ngx_stream_ssl_module.html"


class StreamCore(Settings):
    """How long a client may take for its first words, and how many of them are looked at."""

    proxy_protocol_timeout: float = directive(
        "proxy_protocol_timeout", where=STREAM_LEVELS, takes=seconds, default=30.0, nginx=PAGE, shown="30s"
    )
    preread_timeout: float = directive(
        "preread_timeout", where=STREAM_LEVELS, takes=seconds, default=30.0, nginx=PAGE, shown="30s"
    )
    preread_buffer_size: int = directive(
        "preread_buffer_size", where=STREAM_LEVELS, takes=size, default=16384, nginx=PAGE, shown="16k"
    )
    handshake_timeout: float = directive(
        "ssl_handshake_timeout", where=STREAM_LEVELS, takes=seconds, default=60.0, nginx=SSL_PAGE, shown="60s"
    )
