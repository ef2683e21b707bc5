"""What nginx's paid edition adds, as nginx.org documents it: what of it is without effect here, and what is refused."""

from __future__ import annotations

from penstock.config.registry import (
    EVENTS,
    HTTP,
    HTTP_LEVELS,
    IF_LOCATION,
    LIMIT_EXCEPT,
    LOCATION,
    MAIN,
    SERVER,
    UPSTREAM,
    inert,
    refused,
)

GUARDED = HTTP_LEVELS | LIMIT_EXCEPT
GUARD = "a guard must not vanish without a word: put it before Penstock, or ask a service of it by auth_request"
DETAIL = "what it is a detail of is refused where it stands"

refused("auth_jwt", "auth_oidc", where=GUARDED, advice=GUARD, module="paid", off=("off",))
refused("auth_jwt_require", "auth_jwt_claim_set", "auth_jwt_header_set", where=GUARDED, advice=GUARD, module="paid")
inert("auth_jwt_key_cache", "auth_jwt_leeway", where=HTTP_LEVELS, reason=DETAIL, module="paid")
inert(
    *(f"auth_jwt_{name}" for name in "key_file key_request type".split()),
    where=GUARDED,
    reason=DETAIL,
    module="paid",
    again=("auth_jwt_key_file", "auth_jwt_key_request"),
)
inert(
    "oidc_provider",
    where=HTTP,
    reason="auth_oidc, which would use it, is refused",
    module="paid",
    block=True,
    again=("oidc_provider",),
)
refused(
    "upstream_conf",
    where=LOCATION,
    advice="it was replaced by api: write api write=on;",
    module="paid",
)
inert(
    "ssl_key_log",
    where=HTTP | SERVER,
    reason="keys of connections are not written down; clients can do so (SSLKEYLOGFILE)",
    module="paid",
    told="keys of connections are not written down here",
)
inert(
    "grpc_ssl_key_log",
    "proxy_ssl_key_log",
    "uwsgi_ssl_key_log",
    where=HTTP_LEVELS,
    reason="keys of connections are not written down; backends can do so",
    module="paid",
    told="keys of connections are not written down here",
)
refused(
    "ntlm",
    where=UPSTREAM,
    advice="NTLM ties a login to one connection; use Kerberos or basic authentication, or an nginx beside Penstock",
    module="paid",
)
inert(
    "error_log_tag",
    where=HTTP_LEVELS,
    reason="lines of the error log have no tags; log_format carries $request_id and its kin",
    module="paid",
    again=("error_log_tag",),
    told="lines of the error log have no tags here",
)
inert(
    "session_log",
    where=HTTP_LEVELS,
    reason="sessions are not logged; access_log has every request",
    module="paid",
    told="sessions are not logged here, access_log has every request",
)
inert(
    "session_log_format",
    "session_log_zone",
    where=HTTP,
    reason="sessions are not logged; access_log has every request",
    module="paid",
    again=("session_log_format", "session_log_zone"),
)
inert(
    "status_zone",
    where=SERVER | LOCATION | IF_LOCATION,
    reason="it only names what nginx's paid edition counts; see stub_status",
    module="paid",
    again=("status_zone",),
)
inert("status_format", where=HTTP_LEVELS, reason="status chooses its format itself", module="paid")
inert("mgmt", where=MAIN, least=0, reason="there is no licence to report about", module="paid", block=True)
inert("stall_threshold", where=EVENTS, reason="stalls of the event loop are not reported", module="paid")
refused(
    "limit_zone",
    where=HTTP,
    advice="nginx has given it up in 1.7.6, too; write: limit_conn_zone $binary_remote_addr zone=name:1m;",
    module="paid",
)
inert(
    "google_perftools_profiles",
    where=MAIN,
    reason="it profiles nginx itself; for Penstock see perf and py-spy",
    module="paid",
)
inert(
    *"devpoll_changes devpoll_events eventport_events kqueue_changes kqueue_events".split(),
    *"iocp_threads post_acceptex acceptex_read".split(),
    where=EVENTS,
    reason="epoll is the way to wait for connections on Linux",
    module="paid",
)
