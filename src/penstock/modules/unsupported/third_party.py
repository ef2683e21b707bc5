"""Modules by others that people build into nginx: refused by name, and each with what serves in its place."""

from __future__ import annotations

from penstock.config.registry import strangers

LOGIC = "see map, set, if and auth_request, or put the logic into the backend"
GUARD = "a guard must not vanish without a word: put it before Penstock, or ask a service of it by auth_request"
FILES = "this is about files, not about proxying; keep it in an nginx beside Penstock"
NETWORKS = "databases of this form are not read; geoip2 { } reads those of MaxMind, geo { } takes lists of networks"

strangers(
    "lua_code_cache",
    "lua_need_request_body",
    "lua_check_client_abort",
    "lua_http10_buffering",
    "lua_socket_log_errors",
    "lua_transform_underscores_in_response_headers",
    what="Lua",
    advice=f"Lua is not embedded; {LOGIC}",
    off=("on", "off"),
)
strangers("lua_*", "*_by_lua", "*_by_lua_*", what="Lua", advice=f"Lua is not embedded; {LOGIC}")
strangers(
    "js_fetch_verify",
    "js_fetch_keepalive",
    "js_context_reuse",
    what="JavaScript",
    advice=f"JavaScript is not embedded; {LOGIC}",
    off=("on", "off", "0"),
)
strangers("js_*", what="JavaScript", advice=f"JavaScript is not embedded; {LOGIC}")
strangers("perl_*", "mruby_*", "*_by_mruby*", "php_*", "*_by_php*", what="another language", advice=LOGIC)
strangers(
    "set_escape_uri",
    "set_unescape_uri",
    "set_quote_*",
    "set_if_empty",
    "set_encode_*",
    "set_decode_*",
    "set_hashed_upstream",
    "set_hmac_*",
    "set_sha1",
    "set_md5",
    "set_random",
    "set_secure_random_*",
    "set_rotate",
    "set_base32_alphabet",
    "set_misc_*",
    "set_local_today",
    "set_formatted_*",
    "set_cookie_flag",
    "set_form_input*",
    "set_iconv",
    "encrypted_session_*",
    "set_encrypt_session",
    "set_decrypt_session",
    "array_*",
    "form_*",
    "coolkit_*",
    "override_method",
    "sorted_querystring*",
    "uuid4*",
    "ipscrub*",
    what="the set-misc module or its kin",
    advice="a map gives defaults, $request_uri and $arg_NAME are as the client escaped them, split_clients chooses by "
    "chance, $request_id is a random value; put other computations into the backend",
)
strangers(
    "echo",
    "echo_*",
    what="the echo module",
    advice="return 200 \"text\\n\" answers with text; add_before_body and add_after_body put answers around another",
)
strangers(
    "vhost_traffic_status",
    "vhost_traffic_status_*",
    "req_status*",
    "sts_*",
    "statsd_*",
    "slab_stat",
    "server_traffic_status*",
    "stream_server_traffic_status*",
    what="the vts module",
    advice="metrics gives Prometheus its figures, status and stub_status show them; take these lines out",
    off=("off",),
)
strangers(
    "nchan_*",
    "push_stream_*",
    "push_publisher",
    "push_subscriber",
    "push_message_*",
    "push_channel_*",
    what="a module that is itself a server of messages",
    advice="Penstock passes WebSockets and event streams on, it keeps no channels; run a pub/sub server, or an nginx "
    "with this module, and proxy_pass to it",
)
strangers(
    "auth_ldap*",
    "ldap_server",
    "auth_pam*",
    "auth_spnego*",
    "auth_gss*",
    "auth_krb5*",
    "auth_digest*",
    "auth_totp*",
    "auth_radius*",
    "radius_server",
    "auth_cookie*",
    "auth_hash*",
    "auth_saml*",
    "shib_*",
    "phantom_token*",
    "auth_request_jwt*",
    "oidc_*",
    "openidc_*",
    what="a module that asks who the client is",
    advice="ask a service of it (LDAP, Kerberos, OpenID Connect ...) by auth_request; users in a file: auth_basic",
    off=("off",),
)
strangers(
    "auth_jwt*",
    what="tokens of clients",
    advice=GUARD,
    off=("off",),
)
strangers(
    "modsecurity",
    "modsecurity_*",
    "ModSecurity*",
    "SecRulesEnabled",
    "SecRulesDisabled",
    "LearningMode",
    "DeniedUrl",
    "CheckRule",
    "BasicRule",
    "MainRule",
    "LibInjection*",
    "naxsi_*",
    "waf",
    "waf_*",
    "app_protect_*",
    "ddos_*",
    "testcookie*",
    "limit_bandwidth*",
    "limit_traffic*",
    "limit_upstream*",
    "dynamic_limit*",
    "sysguard*",
    "xss_*",
    "google_recaptcha*",
    "crowdsec*",
    "coraza*",
    what="a guard",
    advice=GUARD,
    off=("off",),
)
strangers(
    "passenger_*",
    "unicorn_*",
    what="Phusion Passenger, which starts applications itself",
    advice="start the application by systemd or its own server (puma, gunicorn, node), and proxy_pass to its address",
    off=("off",),
)
strangers(
    "pagespeed",
    "pagespeed_*",
    "ModPagespeed*",
    what="PageSpeed, which rewrites pages",
    advice="take these lines out: gzip on compresses, the rest is done when a site is built",
    off=("off", "unplugged", "standby"),
)
strangers(
    "opentelemetry_*",
    "OpenTelemetry*",
    "NginxModule*",
    "opentracing",
    "opentracing_*",
    "zipkin_*",
    "jaeger_*",
    "lightstep_*",
    "datadog_*",
    "elastic_apm_*",
    "newrelic_*",
    "instana_*",
    what="tracing",
    advice="no spans are sent; the client's traceparent passes to backends, which trace, and log_format with "
    "$request_id and $upstream_response_time tells where time went",
    off=("off", "ignore"),
)
strangers(
    "ip2location*",
    "ip2proxy*",
    what="addresses of countries",
    advice=NETWORKS,
    off=("off",),
)
strangers(
    "check",
    "check_*",
    "health_check*",
    "healthcheck*",
    "upsync*",
    "dynamic_upstream*",
    "upstream_show",
    "nginx_upstream_*",
    "upstream_conf",
    "upstream_jdomain",
    "jdomain",
    "dynamic_resolve*",
    "dyups_*",
    "consul",
    what="checks and changes of backends from outside",
    advice="health_check in the location asks servers how they are; resolve follows a name, drain and a reload take a "
    "server out",
)
strangers(
    "fair",
    "consistent_hash",
    "session_sticky*",
    "jvm_route",
    "upstream_hash*",
    "chash*",
    "sticky_*",
    what="a way to balance",
    advice="see least_conn (for fair), hash KEY consistent (for consistent_hash), and sticky (for the rest)",
)
strangers(
    "proxy_connect",
    "proxy_connect_*",
    what="a forward proxy",
    advice="CONNECT is carried by tunnel_pass; which targets are allowed, a map says",
)
strangers(
    "subs_filter*",
    "replace_filter*",
    "substitutions_*",
    what="text in answers replaced by patterns",
    advice="sub_filter replaces fixed strings, and variables may stand in both; patterns are for the backend",
)
strangers(
    "cookie_flag*",
    "headers_remove*",
    "security_headers*",
    "hide_server_tokens",
    what="headers and cookies of answers",
    advice="see proxy_cookie_flags, proxy_hide_header and add_header",
    off=("off",),
)
strangers(
    "*_cache_purge",
    "cache_purge_*",
    "srcache_*",
    "slowfs_*",
    "selective_cache_purge*",
    what="a cache",
    advice="answers are not cached here, so that nothing has to be purged; a cache (Varnish, an nginx) goes behind "
    "or before Penstock",
    off=("off",),
)
strangers(
    "memc_*",
    "redis_*",
    "redis2_*",
    "redis_pass",
    "drizzle_*",
    "postgres_*",
    "rds_*",
    "mongo*",
    "gridfs",
    "tarantool_*",
    "tfs_*",
    "tnt_*",
    "kafka*",
    "amqp_*",
    "ajp_*",
    "thrift_*",
    "sftp_*",
    "aws_*",
    "eval*",
    what="a protocol that is not spoken here",
    advice="put a service that speaks it between, and proxy_pass to that",
)
strangers(
    "fancyindex*",
    "dav_ext_*",
    "upload_*",
    "upload",
    "uploadprogress*",
    "track_uploads",
    "report_uploads",
    "upload_progress*",
    "image_filter_*",
    "small_light*",
    "concat*",
    "trim*",
    "footer*",
    "strip*",
    "unzip*",
    "zip",
    "mp4*",
    "vod*",
    "hls*",
    "f4f*",
    "flv*",
    "rtmp*",
    "dash*",
    "video_*",
    "secure_token*",
    "pinba_*",
    what="files and media",
    advice=FILES,
    off=("off",),
)
strangers(
    "auto_ssl*",
    "letsencrypt*",
    what="certificates that are fetched by the server",
    advice="acme_issuer and acme_certificate order them; or let certbot, acme.sh or lego fetch them: with "
    "ssl_certificate_watch on the files are read again when they change",
)
strangers("rewrite_by_*", "access_by_*", "content_by_*", "*_by_njs*", what="another language", advice=LOGIC)
strangers(
    "spdy_*",
    what="SPDY",
    advice="browsers and nginx have given it up: take these lines out, http2 on takes its place",
)
strangers(
    "ssl_dyn_rec_*",
    "ssl_ct*",
    "ct_*",
    what="details of TLS",
    advice="take these lines out: records are cut as the socket takes them, certificates are sent as they are",
)
