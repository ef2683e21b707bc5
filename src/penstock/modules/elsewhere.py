"""What Penstock does not do and says so: other gateways, other protocols, other languages."""

from __future__ import annotations

from penstock.config.registry import HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, SERVER, inert, refused

FASTCGI = "FastCGI is not spoken here; keep an nginx for PHP beside Penstock and proxy_pass to it"
GRPC = "gRPC needs HTTP/2 to the backend, which is not there yet"

refused("fastcgi_pass", where=LOCATION | IF_LOCATION, advice=FASTCGI, module="fastcgi")
refused("grpc_pass", where=LOCATION | IF_LOCATION, advice=GRPC, module="grpc")
refused(
    "memcached_pass",
    where=LOCATION | IF_LOCATION,
    advice="memcached is not spoken here; read the cache in the application",
    module="memcached",
)
inert(
    *(
        f"fastcgi_{name}"
        for name in (
            "bind buffer_size buffering buffers busy_buffers_size connect_timeout force_ranges hide_header "
            "ignore_client_abort ignore_headers index intercept_errors keep_conn limit_rate max_temp_file_size "
            "next_upstream next_upstream_timeout next_upstream_tries param pass_header pass_request_body "
            "pass_request_headers read_timeout request_buffering send_timeout socket_keepalive split_path_info "
            "temp_file_write_size temp_path"
        ).split()
    ),
    where=HTTP_LEVELS | IF_LOCATION,
    reason="it concerns fastcgi_pass, which is refused where it stands",
    module="fastcgi",
)
inert(
    *(
        f"grpc_{name}"
        for name in (
            "bind buffer_size connect_timeout hide_header ignore_headers intercept_errors next_upstream "
            "next_upstream_timeout next_upstream_tries pass_header read_timeout send_timeout set_header "
            "socket_keepalive ssl_server_name ssl_verify"
        ).split()
    ),
    where=HTTP_LEVELS,
    reason="it concerns grpc_pass, which is refused where it stands",
    module="grpc",
)
refused(
    *(
        f"{phase}_by_lua{suffix}"
        for phase in "rewrite access content header_filter body_filter log set init init_worker".split()
        for suffix in ("", "_block", "_file")
    ),
    where=HTTP_LEVELS | IF_LOCATION,
    advice="Lua is not embedded; see map, set, if and auth_request, or put the logic into the backend",
    module="lua",
)
refused(
    "perl",
    "image_filter",
    "xslt_stylesheet",
    "flv",
    "mp4",
    "dav_methods",
    where=HTTP_LEVELS | LIMIT_EXCEPT,
    advice="this is about files, not about proxying; keep it in an nginx beside Penstock",
    module="elsewhere",
)
refused("lua_shared_dict", "lua_package_path", where=HTTP, advice="Lua is not embedded", module="lua")
inert(
    "http3",
    "http3_hq",
    "http3_max_concurrent_streams",
    "http3_stream_buffer_size",
    "quic_active_connection_id_limit",
    "quic_bpf",
    "quic_gso",
    "quic_host_key",
    "quic_retry",
    where=HTTP | SERVER,
    reason="HTTP/3 is not spoken; browsers fall back to TCP by themselves",
    module="http3",
)
inert(
    "http2",
    "http2_max_concurrent_streams",
    "http2_body_preread_size",
    "http2_chunk_size",
    "http2_recv_buffer_size",
    "http2_max_field_size",
    "http2_max_header_size",
    "http2_max_requests",
    "http2_idle_timeout",
    "http2_push",
    "http2_push_preload",
    "http2_max_concurrent_pushes",
    "http2_recv_timeout",
    where=HTTP_LEVELS,
    reason="HTTP/2 is not spoken yet; clients are offered HTTP/1.1, over which WebSockets run in every browser",
    module="http2",
)
