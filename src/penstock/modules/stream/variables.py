"""Variables of streams (nginx: ngx_stream_core_module and others).

Those that ask the same of a request and of a session are HTTP's; here is what streams have for themselves.
"""

from __future__ import annotations

from time import monotonic

from penstock.config.vocabulary import HTTP_WORDS, STREAM_WORDS
from penstock.modules.access import limit_conn as limit_conn  # these declare what is taken over
from penstock.modules.core import proxy_protocol as proxy_protocol
from penstock.modules.core import realip as realip
from penstock.modules.core import variables as variables
from penstock.modules.logs import log_variables as log_variables
from penstock.modules.stream.session import StreamSession
from penstock.modules.tls import variables as tls_variables
from penstock.modules.upstream.variables import listed, shown_time

MODULE = "stream_core"

STREAM_WORDS.take_over(
    HTTP_WORDS,
    *("remote_addr", "remote_port", "binary_remote_addr", "server_addr", "server_port", "server_name"),
    *("hostname", "nginx_version", "pid", "msec", "time_iso8601", "time_local", "connection"),
    *("bytes_sent", "tunnel_event", "limit_conn_status", "realip_remote_addr", "realip_remote_port"),
    *("proxy_protocol_addr", "proxy_protocol_port", "proxy_protocol_server_addr", "proxy_protocol_server_port"),
    "proxy_protocol_tlv_",
    *("upstream_addr", "upstream_last_addr", "upstream_connect_time", "upstream_bytes_sent", "upstream_bytes_received"),
    *(name for name in HTTP_WORDS.variables if name.startswith("ssl_") and name != "ssl_early_data"),
)
variable = STREAM_WORDS.variable
assert tls_variables.server_name is HTTP_WORDS.variables["ssl_server_name"].get


@variable("protocol")
def protocol(session: StreamSession) -> str:
    """TCP or UDP."""
    return "UDP" if session.udp else "TCP"


@variable("bytes_received", late=True)
def bytes_received(session: StreamSession) -> str:
    """Bytes from the client."""
    return str(session.received)


@variable("session_time", late=True)
def session_time(session: StreamSession) -> str:
    """Seconds with milliseconds."""
    return f"{max(0.0, (session.finished or monotonic()) - session.started):.3f}"


@variable("status", late=True)
def status(session: StreamSession) -> str:
    """How it ended: 200, 400, 403, 500, 502 or 503."""
    return f"{session.status:03d}"


@variable("upstream_first_byte_time", late=True)
def upstream_first_byte_time(session: StreamSession) -> str | None:
    return listed(session, lambda attempt: shown_time(attempt.header_time))


@variable("upstream_session_time", late=True)
def upstream_session_time(session: StreamSession) -> str | None:
    return listed(session, lambda attempt: shown_time(attempt.response_time))


@variable("ssl_preread_server_name")
def ssl_preread_server_name(session: StreamSession) -> str | None:
    """The name in the ClientHello that `ssl_preread` saw, empty where it has none."""
    return None if session.preread is None else session.preread.server_name


@variable("ssl_preread_alpn_protocols")
def ssl_preread_alpn_protocols(session: StreamSession) -> str | None:
    """Its protocols, with commas between."""
    return None if session.preread is None else session.preread.alpn


@variable("ssl_preread_protocol")
def ssl_preread_protocol(session: StreamSession) -> str | None:
    """The highest version that the client offers, such as `TLSv1.3`."""
    return None if session.preread is None else session.preread.version
