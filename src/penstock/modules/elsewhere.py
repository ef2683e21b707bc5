"""What Penstock does not do and says so: other gateways, other protocols, other languages."""

from __future__ import annotations

from penstock.config.registry import HTTP, HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, SERVER, inert, refused

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
            "temp_file_write_size temp_path cache cache_background_update cache_bypass cache_key cache_lock "
            "cache_lock_age cache_lock_timeout cache_max_range_offset cache_methods cache_min_uses cache_path "
            "cache_revalidate cache_use_stale cache_valid catch_stderr no_cache send_lowat socket_rcvbuf "
            "socket_sndbuf store store_access"
        ).split()
    ),
    where=HTTP_LEVELS | IF_LOCATION,
    reason="it concerns fastcgi_pass, whose locations answer 502",
    module="fastcgi",
)
inert(
    *(
        f"grpc_{name}"
        for name in (
            "bind buffer_size connect_timeout hide_header ignore_headers intercept_errors next_upstream "
            "next_upstream_timeout next_upstream_tries pass_header read_timeout send_timeout set_header "
            "socket_keepalive socket_rcvbuf socket_sndbuf ssl_certificate ssl_certificate_cache "
            "ssl_certificate_key ssl_ciphers ssl_conf_command ssl_crl ssl_name ssl_password_file ssl_protocols "
            "ssl_server_name ssl_session_reuse ssl_trusted_certificate ssl_verify ssl_verify_depth"
        ).split()
    ),
    where=HTTP_LEVELS,
    reason="it concerns grpc_pass, whose locations answer 502",
    module="grpc",
)
inert(
    *(
        f"memcached_{name}"
        for name in (
            "bind buffer_size connect_timeout gzip_flag next_upstream next_upstream_timeout next_upstream_tries "
            "read_timeout send_timeout socket_keepalive"
        ).split()
    ),
    where=HTTP_LEVELS | IF_LOCATION,
    reason="it concerns memcached_pass, which is refused where it stands",
    module="memcached",
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
    "random_index",
    where=HTTP_LEVELS | LIMIT_EXCEPT,
    advice="this is about files, not about proxying; keep it in an nginx beside Penstock",
    module="elsewhere",
)
inert(
    *(f"image_filter_{name}" for name in "buffer interlace jpeg_quality sharpen transparency webp_quality".split()),
    *(f"mp4_{name}" for name in "buffer_size max_buffer_size start_key_frame".split()),
    *(f"xslt_{name}" for name in "last_modified param string_param types".split()),
    "xml_entities",
    "xml_external_entities",
    "create_full_put_path",
    "dav_access",
    "min_delete_depth",
    where=HTTP_LEVELS,
    reason="what it is a detail of is refused where it stands",
    module="elsewhere",
)
refused(
    "ancient_browser",
    "ancient_browser_value",
    "modern_browser",
    "modern_browser_value",
    where=HTTP_LEVELS,
    advice="browsers are not told apart here; say which ones you mean in a map of $http_user_agent",
    module="elsewhere",
)
refused(
    "geoip_city",
    "geoip_country",
    "geoip_org",
    "geoip_proxy",
    "geoip_proxy_recursive",
    where=HTTP,
    advice="GeoIP databases are not read; list the networks in geo { }, which takes files by include",
    module="elsewhere",
)
refused(
    "slice",
    where=HTTP_LEVELS,
    advice="answers are not cached, so there is nothing to fill in slices; take slice and $slice_range out",
    module="elsewhere",
)
inert(
    "degradation",
    "degrade",
    where=HTTP_LEVELS,
    reason="it watches sbrk(), which says little about a process today; see limit_conn",
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
    *(f"brotli_{name}" for name in "buffers comp_level min_length static types window".split()),
    *(f"zstd_{name}" for name in "buffers comp_level min_length static types".split()),
    "brotli",
    "zstd",
    where=HTTP_LEVELS | IF_LOCATION,
    reason="clients get gzip where gzip is on, else the answer as it is; what backends compress passes as it is",
    module="modules by others",
)
refused(
    "more_set_headers",
    "more_clear_headers",
    "more_set_input_headers",
    "more_clear_input_headers",
    where=HTTP_LEVELS | IF_LOCATION,
    advice="see add_header ... always, add_header_inherit and proxy_hide_header; for requests, proxy_set_header",
    module="modules by others",
)
refused(
    "modsecurity",
    "modsecurity_rules",
    "modsecurity_rules_file",
    "auth_jwt",
    where=HTTP_LEVELS,
    advice="a guard must not vanish without a word: put it before Penstock, or ask a service of it by auth_request",
    module="modules by others",
)
refused(
    "geoip2",
    where=HTTP,
    advice="GeoIP databases are not read; list the networks in geo { }, which takes files by include",
    module="modules by others",
)
refused(
    "js_import",
    "js_path",
    "js_set",
    "js_content",
    where=HTTP_LEVELS,
    advice="JavaScript is not embedded; see map, set, if and auth_request, or put the logic into the backend",
    module="modules by others",
)
refused(
    "health_check",
    where=LOCATION,
    advice="servers are judged by the requests they get: see max_fails and fail_timeout of server",
    module="modules by others",
)
inert(
    "status_zone",
    where=SERVER | LOCATION,
    reason="it only names what nginx's paid edition counts; see stub_status",
    module="modules by others",
)
