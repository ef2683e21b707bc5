"""`-v`, `-V`, `-h`: what this is, and what it can do, in the form that tools know from nginx."""

from __future__ import annotations

from penstock import __version__

NGINX_VERSION = "1.31.5"
"""The nginx whose language and behaviour this is."""

VERSION = f"nginx version: nginx/{NGINX_VERSION} (penstock/{__version__})"

HELP = """\
Usage: penstock [-?hvVtTq] [-s signal] [-p prefix]
                [-e filename] [-c filename] [-g directives] [-l address]
       penstock COMMAND [arguments]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and what is built in then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  --compiled    : with -T: also show what is made of it, and which way requests take
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: /etc/penstock/ or /etc/nginx/, whichever
                  has an nginx.conf, or else the current folder)
  -e filename   : set error log file (default: below /var/log, or logs/error.log)
  -c filename   : set configuration file (default: nginx.conf)
  -g directives : set global directives out of configuration file
  -l address    : answer by nginx's control API at unix:/path
"""

_WITHOUT = {
    "http_charset_module": "charset",
    "http_gzip_module": "gzip",
    "http_ssi_module": "ssi",
    "http_userid_module": "userid",
    "http_access_module": "allow",
    "http_auth_basic_module": "auth_basic",
    "http_mirror_module": "mirror",
    "http_autoindex_module": "autoindex",
    "http_geo_module": "geo",
    "http_map_module": "map",
    "http_split_clients_module": "split_clients",
    "http_referer_module": "valid_referers",
    "http_rewrite_module": "rewrite",
    "http_proxy_module": "proxy_pass",
    "http_fastcgi_module": "fastcgi_pass",
    "http_uwsgi_module": "uwsgi_pass",
    "http_scgi_module": "scgi_pass",
    "http_grpc_module": "grpc_pass",
    "http_memcached_module": "memcached_pass",
    "http_limit_conn_module": "limit_conn",
    "http_limit_req_module": "limit_req",
    "http_empty_gif_module": "empty_gif",
    "http_browser_module": "ancient_browser",
    "http_tunnel_module": "tunnel_pass",
    "http_upstream_hash_module": "hash",
    "http_upstream_ip_hash_module": "ip_hash",
    "http_upstream_least_conn_module": "least_conn",
    "http_upstream_least_time_module": "least_time",
    "http_upstream_random_module": "random",
    "http_upstream_keepalive_module": "keepalive",
    "http_upstream_zone_module": "zone",
    "http_upstream_sticky_module": "sticky",
    "http-cache": "proxy_cache",
    "stream_upstream_least_time_module": "least_time",
}
"""What nginx has unless it is built `--without` it, and a directive that only that module has."""

_WITH = {
    "http_ssl_module": "ssl_certificate",
    "http_v2_module": "http2",
    "http_v3_module": "http3",
    "http_realip_module": "set_real_ip_from",
    "http_addition_module": "add_after_body",
    "http_sub_module": "sub_filter",
    "http_dav_module": "dav_methods",
    "http_flv_module": "flv",
    "http_mp4_module": "mp4",
    "http_gunzip_module": "gunzip",
    "http_gzip_static_module": "gzip_static",
    "http_auth_request_module": "auth_request",
    "http_random_index_module": "random_index",
    "http_secure_link_module": "secure_link",
    "http_slice_module": "slice",
    "http_stub_status_module": "stub_status",
    "stream": "stream",
    "stream_ssl_module": "ssl_alpn",
    "stream_ssl_preread_module": "ssl_preread",
    "stream_realip_module": "set_real_ip_from",
    "mail": "mail",
}
"""What nginx has only if it is built `--with` it."""


def configure_arguments() -> list[str]:
    """List what is built in, as nginx would have been configured for it: read off the directives that work."""
    from penstock.config.registry import REGISTRY, Verdict
    from penstock.modules.load import known

    known()

    def works(name: str) -> bool:
        return any(spec.verdict is Verdict.IMPLEMENTED for spec in REGISTRY.specs(name))

    present = [f"--with-{module}" for module, name in _WITH.items() if works(name)]
    absent = [f"--without-{module}" for module, name in _WITHOUT.items() if not works(name)]
    return present + absent


def details() -> str:
    """Return what `-V` prints."""
    from penstock.config.regex.pcre2 import describe as expressions
    from penstock.net.relay.compiled import describe
    from penstock.process.startup.build import interpreter, knows_server_names, tls_library

    sni = "enabled" if knows_server_names() else "disabled"
    return "\n".join(
        (
            VERSION,
            f"built by {interpreter()}",
            f"built with {tls_library()}",
            f"TLS SNI support {sni}",
            f"relay: {describe()}",
            f"regular expressions: {expressions()}",
            "configure arguments: " + " ".join(configure_arguments()),
        )
    )
