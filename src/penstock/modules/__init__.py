"""One file per nginx module: its directives, how they compile, what they do, in that order.

`ORDER` is the order in which handlers of one phase run, as in nginx.
"""

ORDER = (
    "main",
    "log",
    "http_core",
    "variables",
    "sent",
    "proxy_protocol",
    "locations",
    "virtual",
    "rewrite",
    "map",
    "split_clients",
    "geo",
    "error_pages",
    "realip",
    "limit_req",
    "limit_conn",
    "access",
    "upstream",
    "upstream_variables",
    "tunnel",
    "proxy",
    "uwsgi",
    "scgi",
    "try_files",
    "index",
    "static",
    "conditional",
    "headers",
    "ranges",
    "ssl",
    "ssl_variables",
    "elsewhere",
)
