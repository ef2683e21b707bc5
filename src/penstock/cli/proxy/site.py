"""What `penstock proxy` and `penstock init` are about: where to listen, what is behind it; and that as an nginx.conf.

The plain form runs with nginx (1.18 and newer) as well as with Penstock. Penstock's own form says the same in fewer
words, and keeps silent tunnels alive by pings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Flavour = Literal["nginx", "penstock"]
Sticky = Literal["", "cookie", "ip"]
Challenge = Literal["http-01", "tls-alpn-01"]


@dataclass(frozen=True, slots=True)
class ProxiedGroup:
    """Servers that are as good as one another. `servers` are addresses as an `upstream` takes them; `host` what the
    Host header says, "" for what the client said."""

    name: str
    servers: tuple[str, ...]
    secure: bool = False
    host: str = ""
    sticky: Sticky = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A path that leads to a group; `uri` takes the path's place, "" passes it on as it is."""

    path: str
    group: str
    uri: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Front:
    """One server block. `listens` are addresses as `listen` takes them; `certificate` and `key` paths, "" without TLS;
    `names` what it answers for, none for everything; `lines` are directives that go before the locations, as they
    are."""

    listens: tuple[str, ...]
    routes: tuple[Route, ...]
    certificate: str = ""
    key: str = ""
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateIssuer:
    """Who certificates are ordered from. `uri` is its ACME directory, `state` the folder for account and certificates,
    `trusted` the file of the authorities that may vouch for its server, "" for those of the system."""

    name: str
    uri: str
    state: str
    challenge: Challenge = "http-01"
    contact: str = ""
    trusted: str = ""


@dataclass(frozen=True, slots=True)
class ProxiedSite:
    """All of it. `notes` head the file; `main` are directives at its main level; `issuer` is there if a front's
    certificate is ordered."""

    groups: tuple[ProxiedGroup, ...]
    fronts: tuple[Front, ...]
    notes: tuple[str, ...] = ()
    main: tuple[str, ...] = ()
    issuer: CertificateIssuer | None = None


def written(site: ProxiedSite, flavour: Flavour) -> str:
    """Write the configuration as text."""
    own = flavour == "penstock"
    lines = [f"# {note}".rstrip() for note in site.notes]
    lines += ["", *site.main] if site.main else []
    lines += ["", "events {", "    worker_connections 1024;", "}", "", "http {"]
    inside = [*(_LOG_OWN if own else _LOG), *_LIMITS]
    if own:
        inside += _OWN
    else:
        inside += _MAPS
    for sticky in sorted({group.sticky for group in site.groups if len(group.servers) > 1} - {""}):
        inside += _STICKY[sticky]
    if site.issuer is not None:
        inside += ["", *_issuer(site.issuer)]
    for group in site.groups:
        inside += ["", *_upstream(group)]
    groups = {group.name: group for group in site.groups}
    for front in site.fronts:
        inside += ["", *_server(front, groups, own=own)]
    lines += [f"    {line}".rstrip() for line in inside]
    return "\n".join([*lines, "}", ""])


_LOG = (
    "# One line a request: time, status, what was asked, who answered, how long. A WebSocket's comes when it ends.",
    'map $time_iso8601 $clock { "~T(?<seconds>[0-9:]+)" $seconds; }',
    "log_format brief '$clock  $status  $request_method $request_uri -> $upstream_addr  "
    "$request_time s, $bytes_sent bytes';",
    "access_log /dev/stdout brief;",
)
_LOG_OWN = (
    "# One line a request: time, status, what was asked, who answered, how long. A WebSocket has two.",
    'map $time_iso8601 $clock { "~T(?<seconds>[0-9:]+)" $seconds; }',
    "map $status $a_tunnel { 101 1; default ''; }",
    "map $status $a_request { 101 ''; default 1; }",
    "log_format brief '$clock  $status  $request_method $request_uri -> $upstream_addr  "
    "$request_time s, $bytes_sent bytes';",
    "log_format opened '$clock  $status  WebSocket $request_uri -> $upstream_addr  opened';",
    "log_format closed '$clock  $status  WebSocket $request_uri -> $upstream_addr  "
    "$request_time s, $websocket_messages_in messages in, $websocket_messages_out out, "
    "closed by $websocket_close_from with $websocket_close_code';",
    "access_log /dev/stdout brief if=$a_request;",
    "access_log /dev/stdout opened if=$a_tunnel on=open;",
    "access_log /dev/stdout closed if=$a_tunnel on=close;",
)
_LIMITS = (
    "",
    "client_max_body_size 0;     # uploads of any size",
    "proxy_buffering off;        # events and streamed answers pass at once",
    "proxy_read_timeout 1h;      # a silent WebSocket may stay so long; 60 s would cut it every minute",
    "proxy_send_timeout 1h;",
)
_OWN = (
    "",
    "websocket auto;             # handshakes pass with what they need, all else as plain HTTP",
    "websocket_ping 30s;         # who is silent is asked whether it is there: no box on the way forgets the tunnel",
    "websocket_drain 1s code=1001;   # at the end, WebSockets are told that the server goes away",
)
# No spelling is known to every nginx in use and warned of by none: HTTP/2 is left to who knows the version.
_HTTP2 = "    # http2 on;   # HTTP/2: nginx 1.25.1 and newer, Penstock (older ones: listen ... ssl http2;)"
_MAPS = (
    "",
    "# A WebSocket's handshake passes on as one; no other protocol is switched to (h2c would go around all rules).",
    "map $http_upgrade $upgrade_to       { ~*^websocket$ websocket; default ''; }",
    "map $http_upgrade $connection_there { ~*^websocket$ upgrade;   default ''; }",
)
_STICKY = {
    "cookie": (
        "",
        "# Each client keeps its server, by a cookie that is set on its first request.",
        "map $cookie_penstock_route $route     { '' $request_id; default $cookie_penstock_route; }",
        "map $cookie_penstock_route $set_route {",
        "    ''      \"penstock_route=$request_id; Path=/; HttpOnly; SameSite=Lax\";",
        "    default '';",
        "}",
    ),
    "ip": ("", "# Each client keeps its server, by its address."),
}


def _upstream(group: ProxiedGroup) -> list[str]:
    lines = [f"upstream {group.name} {{"]
    if len(group.servers) > 1:
        by = {"cookie": "hash $route consistent;", "ip": "hash $remote_addr consistent;"}
        lines.append(
            f"    {by.get(group.sticky) or 'least_conn;                 # tunnels last: count them, do not take turns'}"
        )
    lines += [f"    server {server};" for server in group.servers]
    return [*lines, "}"]


def _issuer(issuer: CertificateIssuer) -> list[str]:
    lines = [f"acme_issuer {issuer.name} {{", f"    uri {_quoted(issuer.uri)};"]
    if issuer.contact:
        lines.append(f"    contact {_quoted(issuer.contact)};")
    if issuer.trusted:
        lines.append(f"    ssl_trusted_certificate {_quoted(issuer.trusted)};")
    if issuer.challenge != "http-01":
        lines.append(f"    challenge {issuer.challenge};")
    return [*lines, f"    state_path {_quoted(issuer.state)};", "    accept_terms_of_service;", "}"]


def _server(front: Front, groups: dict[str, ProxiedGroup], *, own: bool) -> list[str]:
    lines = [f"# {note}".rstrip() for note in front.notes]
    lines.append("server {")
    tls = " ssl" if front.certificate else ""
    lines += [f"    listen {each}{tls};" for each in front.listens]
    if front.names:
        lines.append(f"    server_name {' '.join(front.names)};")
    if front.certificate:
        lines += [
            "    http2 on;" if own else _HTTP2,
            f"    ssl_certificate {_named(front.certificate)};",
            f"    ssl_certificate_key {_named(front.key)};",
            "    ssl_protocols TLSv1.2 TLSv1.3;",
            "    error_page 497 =301 https://$http_host$request_uri;   # plain HTTP sent to this port",
        ]
    lines += [f"    {line}".rstrip() for line in front.lines]
    for route in front.routes:
        lines += ["", *(f"    {line}".rstrip() for line in _location(route, groups[route.group], own=own))]
    return [*lines, "}"]


def _location(route: Route, group: ProxiedGroup, *, own: bool) -> list[str]:
    scheme = "https" if group.secure else "http"
    lines = [f"# {note}".rstrip() for note in route.notes]
    lines += [f"location {_quoted(route.path)} {{", f"    proxy_pass {scheme}://{group.name}{route.uri};"]
    if not own:
        lines += [
            "    proxy_http_version 1.1;",
            "    proxy_set_header Upgrade $upgrade_to;",
            "    proxy_set_header Connection $connection_there;",
        ]
    host = group.host or "$http_host"
    said = "" if group.host else "   # with its port: applications compare it with Origin"
    lines += [
        f"    proxy_set_header Host {host};{said}",
        "    proxy_set_header X-Real-IP $remote_addr;",
        "    proxy_set_header X-Forwarded-For $remote_addr;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        "    proxy_set_header X-Forwarded-Host $http_host;",
    ]
    if group.secure:
        lines += ["    proxy_ssl_server_name on;"] + ([f"    proxy_ssl_name {group.host};"] if group.host else [])
    if group.sticky == "cookie" and len(group.servers) > 1:
        lines.append("    add_header Set-Cookie $set_route always;")
    return [*lines, "}"]


def _named(path: str) -> str:
    """A file's name; that of a file which is ordered is a variable."""
    return path if path.startswith("$acme_") else _quoted(path)


def _quoted(text: str) -> str:
    """A word of a configuration: quoted where it must be."""
    if text and not set(text) & set(" \t\"'{};#$\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
