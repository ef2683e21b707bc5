"""Variables whose values hold no control character, whatever a peer sends: texts made of them need no look.

What a client writes in its head is refused with control characters in it, so what is passed on undecoded is clean. What
is decoded ($uri, captures of it, $remote_user) is not, nor what a backend or a certificate says, nor what is stored by
`set`: that may be anything.
"""

CLEAN = frozenset(
    (
        "host request_uri request_method request_id request_length request_port is_request_port request_time scheme "
        "https is_args content_type content_length remote_addr remote_port realip_remote_addr realip_remote_port "
        "server_addr server_port server_protocol nginx_version pid pipe msec status time_local time_iso8601 connection "
        "connection_requests connection_time bytes_sent body_bytes_sent http2 proxy_add_x_forwarded_for"
    ).split()
)
CLEAN_FAMILIES = frozenset({"http_", "cookie_"})
