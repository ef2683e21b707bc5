"""Which nginx has what: directives, and words of directives, that came, went, or were called obsolete.

From the "Changes with nginx" of each version, as far as people who proxy WebSockets meet them.
"""

from __future__ import annotations

Version = tuple[int, ...]

OWN = frozenset(
    (
        "control_socket", "metrics", "status", "status_tunnels", "ssl_certificate_watch", "upstream_names_valid",
        "http2_extended_connect",
    )
)  # fmt: skip
"""Directives of Penstock, beside those that begin with websocket."""

SINCE: dict[str, Version] = {
    "http2": (1, 25, 1),
    "http3": (1, 25, 0),
    "http3_hq": (1, 25, 0),
    "http3_max_concurrent_streams": (1, 25, 0),
    "http3_stream_buffer_size": (1, 25, 0),
    "quic_retry": (1, 25, 0),
    "quic_gso": (1, 25, 0),
    "quic_host_key": (1, 25, 0),
    "quic_active_connection_id_limit": (1, 25, 0),
    "listen quic": (1, 25, 0),
    "server resolve": (1, 27, 3),
    "server service": (1, 27, 3),
    "keepalive_min_timeout": (1, 27, 4),
    "ssl_object_cache_inheritable": (1, 27, 4),
    "ssl_certificate_cache": (1, 27, 4),
    "proxy_ssl_certificate_cache": (1, 27, 4),
    "ssl_certificate_compression": (1, 29, 1),
    "proxy_pass_trailers": (1, 27, 2),
    "early_hints": (1, 29, 0),
    "add_header_inherit": (1, 29, 3),
    "add_trailer_inherit": (1, 29, 3),
    "sticky": (1, 29, 6),
    "tunnel_pass": (1, 31, 0),
    "location $variable": (1, 31, 5),
    "client_body_early_read": (1, 31, 5),
    "json_set": (1, 31, 5),
    "json_max_depth": (1, 31, 5),
    "keepalive_time": (1, 19, 10),
    "ssl_reject_handshake": (1, 19, 4),
    "ssl_conf_command": (1, 19, 4),
    "proxy_ssl_conf_command": (1, 19, 4),
    "proxy_cookie_flags": (1, 19, 3),
    "ssl_ocsp": (1, 19, 0),
    "auth_delay": (1, 17, 10),
    "limit_req_dry_run": (1, 17, 1),
    "limit_conn_dry_run": (1, 17, 6),
    "proxy_socket_keepalive": (1, 15, 6),
    "ssl_early_data": (1, 15, 3),
    "random": (1, 15, 1),
    "http2_push": (1, 13, 9),
    "http2_push_preload": (1, 13, 9),
    "mirror": (1, 13, 4),
    "worker_shutdown_timeout": (1, 11, 11),
}

GONE: dict[str, Version] = {"ssl": (1, 25, 1)}
"""Since these versions it is an unknown directive."""

OBSOLETE: dict[str, Version] = {
    "listen ... http2": (1, 25, 1),
    "http2_push": (1, 25, 1),
    "http2_push_preload": (1, 25, 1),
    "http2_max_concurrent_pushes": (1, 25, 1),
    "http2_idle_timeout": (1, 19, 7),
    "http2_recv_timeout": (1, 19, 7),
    "http2_max_requests": (1, 19, 7),
    "http2_max_field_size": (1, 19, 7),
    "http2_max_header_size": (1, 19, 7),
}
"""Since these versions nginx says so."""


def shown_version(version: Version) -> str:
    return ".".join(str(each) for each in version)
