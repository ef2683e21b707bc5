"""What directives without effect take, as in nginx: how many arguments, and of which kind.

A mistake in such a line is a mistake all the same: whoever wrote it meant something, and nginx would not start.
"""

from __future__ import annotations

from penstock.config.kinds import (
    Kind,
    buffers,
    choice,
    choices,
    either,
    flag,
    number,
    offset,
    seconds,
    size,
    template,
    text,
    texts,
    whole_seconds,
)
from penstock.config.registry import REGISTRY
from penstock.modules.proxy.pass_request import IGNORABLE
from penstock.modules.unsupported.inert_kinds import (
    AFFINITY,
    AIO,
    OPEN_FILES,
    POOL,
    POWER_OF_TWO,
    SOURCE_ADDRESS,
    TEMPLATES,
    THREADS,
    one_of,
)

ANY = texts
UPSTREAM: dict[str, Kind] = {
    "bind": SOURCE_ADDRESS,
    "buffer_size": size,
    "connect_timeout": seconds,
    "next_upstream_timeout": seconds,
    "next_upstream_tries": number,
    "read_timeout": seconds,
    "send_timeout": seconds,
    "socket_keepalive": flag,
    "socket_rcvbuf": size,
    "socket_sndbuf": size,
    "hide_header": text,
    "ignore_headers": choices(*IGNORABLE),
    "intercept_errors": flag,
    "pass_header": text,
    "send_lowat": size,
}
"""What every module that passes requests on calls so, behind its prefix."""

SECURE: dict[str, Kind] = {
    "ssl_certificate": template,
    "ssl_certificate_cache": texts.taking(1, 3),
    "ssl_certificate_key": template,
    "ssl_ciphers": text,
    "ssl_conf_command": texts.taking(2, 2),
    "ssl_crl": text,
    "ssl_key_log": text,
    "ssl_name": template,
    "ssl_password_file": text,
    "ssl_protocols": one_of("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_server_name": flag,
    "ssl_session_reuse": flag,
    "ssl_trusted_certificate": text,
    "ssl_verify": flag,
    "ssl_verify_depth": number,
}

_FAMILY = {**UPSTREAM, **SECURE}
FAMILIES: dict[str, dict[str, Kind]] = {
    "fastcgi": _FAMILY,
    "grpc": _FAMILY,
    "memcached": _FAMILY,
    "proxy": _FAMILY,
    "uwsgi": _FAMILY,
    "scgi": _FAMILY,
    "tunnel": _FAMILY,
}

OWN: dict[str, Kind] = {
    "accept_mutex": flag,
    "accept_mutex_delay": seconds,
    "acceptex_read": flag,
    "acme_shared_zone": text,
    "aio": AIO,
    "aio_write": flag,
    "auth_jwt_key_cache": seconds,
    "auth_jwt_key_file": text,
    "auth_jwt_key_request": texts.taking(1, 2),
    "auth_jwt_leeway": seconds,
    "auth_jwt_type": choice("signed", "encrypted", "nested"),
    "brotli_buffers": buffers,
    "client_body_in_single_buffer": flag,
    "connection_pool_size": POOL,
    "debug_connection": text,
    "debug_points": choice("stop", "abort"),
    "degradation": text,
    "degrade": choice("204", "444", "off"),
    "directio": either("off", 0, size),
    "directio_alignment": offset,
    "epoll_events": number,
    "error_log_tag": ANY,
    "google_perftools_profiles": text,
    "gunzip_buffers": buffers,
    "gzip_buffers": buffers,
    "gzip_no_buffer": flag,
    "http2_pool_size": POOL,
    "http2_streams_index_size": POWER_OF_TWO,
    "http3": flag,
    "http3_extended_connect": flag,
    "http3_hq": flag,
    "http3_max_concurrent_streams": number,
    "http3_stream_buffer_size": size,
    "image_filter_buffer": size,
    "image_filter_interlace": flag,
    "image_filter_jpeg_quality": template,
    "image_filter_sharpen": template,
    "image_filter_transparency": flag,
    "image_filter_webp_quality": template,
    "load_module": text,
    "lock_file": text,
    "map_hash_bucket_size": number,
    "map_hash_max_size": number,
    "mgmt": ANY.taking(0, 0),
    "mp4_buffer_size": size,
    "mp4_limit_rate": text,
    "mp4_limit_rate_after": text,
    "mp4_max_buffer_size": size,
    "mp4_start_key_frame": flag,
    "multi_accept": flag,
    "oidc_provider": text,
    "open_file_cache": OPEN_FILES,
    "open_file_cache_errors": flag,
    "open_file_cache_events": flag,
    "open_file_cache_min_uses": number,
    "open_file_cache_valid": whole_seconds,
    "output_buffers": buffers,
    "postpone_gzipping": size,
    "postpone_output": size,
    "proxy_downstream_buffer": size,
    "proxy_headers_hash_bucket_size": number,
    "proxy_headers_hash_max_size": number,
    "proxy_upstream_buffer": size,
    "quic_active_connection_id_limit": number,
    "quic_bpf": flag,
    "quic_gso": flag,
    "quic_host_key": text,
    "quic_retry": flag,
    "read_ahead": size,
    "referer_hash_bucket_size": number,
    "referer_hash_max_size": number,
    "request_pool_size": POOL,
    "send_lowat": size,
    "sendfile_max_chunk": size,
    "server_names_hash_bucket_size": number,
    "server_names_hash_max_size": number,
    "session_log": text,
    "session_log_format": texts.taking(2, None),
    "session_log_zone": ANY,
    "ssi_ignore_recycled_buffers": flag,
    "ssi_min_file_chunk": size,
    "ssi_value_length": size,
    "ssl_buffer_size": size,
    "ssl_certificate_compression": flag,
    "ssl_early_data": flag,
    "ssl_ech_file": text,
    "ssl_engine": text,
    "ssl_key_log": text,
    "ssl_object_cache_inheritable": flag,
    "ssl_ocsp_cache": text,
    "ssl_ocsp_responder": text,
    "ssl_stapling": flag,
    "ssl_stapling_file": text,
    "ssl_stapling_responder": text,
    "ssl_stapling_verify": flag,
    "stall_threshold": seconds,
    "status_format": texts.taking(1, 2),
    "status_zone": ANY,
    "subrequest_output_buffer_size": size,
    "tcp_nopush": flag,
    "thread_pool": THREADS,
    "timer_resolution": seconds,
    "types_hash_bucket_size": number,
    "types_hash_max_size": number,
    "variables_hash_bucket_size": number,
    "variables_hash_max_size": number,
    "worker_aio_requests": number,
    "worker_cpu_affinity": AFFINITY,
    "worker_rlimit_core": offset,
    "xml_entities": text,
    "xml_external_entities": flag,
    "xslt_last_modified": flag,
    "xslt_param": TEMPLATES.taking(2, 2),
    "xslt_string_param": TEMPLATES.taking(2, 2),
    "xslt_types": texts,
    "zstd": flag,
    "zstd_buffers": buffers,
    "zstd_comp_level": number,
    "zstd_dict_file": text,
    "zstd_min_length": size,
    "zstd_static": choice("on", "off", "always"),
    "zstd_types": texts,
    **dict.fromkeys("devpoll_changes devpoll_events eventport_events kqueue_changes kqueue_events".split(), number),
    **dict.fromkeys("iocp_threads post_acceptex".split(), number),
}


def arguments_of(name: str) -> Kind | None:
    """Return what a directive without effect takes; None for one that is not in these tables."""
    own = OWN.get(name)
    if own is not None:
        return own
    prefix, _, rest = name.partition("_")
    return FAMILIES.get(prefix, {}).get(rest)


def declare_arguments() -> None:
    """Say it to the registry, once every module has declared its directives."""
    for name in REGISTRY.names():
        kind = arguments_of(name)
        if kind is not None:
            REGISTRY.give_arguments(name, kind)
