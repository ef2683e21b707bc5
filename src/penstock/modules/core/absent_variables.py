"""Variables that nginx knows and that never have a value here, each with the reason.

A warning says so where one is read, unless nobody would miss it.
"""

from __future__ import annotations

from penstock.config.variables import absent, variable
from penstock.http.request import Request

absent(
    *(f"geoip_{name}" for name in "area_code city dma_code latitude longitude org postal_code region".split()),
    *(f"geoip_{name}" for name in "country_code country_code3 country_name region_name".split()),
    *(f"geoip_city_{name}" for name in "continent_code country_code country_code3 country_name".split()),
    why="GeoIP Legacy databases are not read; see geoip2 { } and geo { }",
)
absent("jwt_claim_", "jwt_header_", "jwt_payload", why="tokens are not read here")
absent("oidc_claim_", "oidc_access_token", "oidc_id_token", "oidc_userinfo", why="OpenID Connect is not spoken here")
absent("session_log_id", "session_log_binary_id", why="sessions are not logged here")


@variable("http3")
def http3(request: Request) -> None:
    """Empty: HTTP/3 is not spoken, and so it is for whoever comes by another version."""


@variable("zstd_ratio")
def ratio(request: Request) -> None:
    """Empty: nothing is compressed so here, as `zstd` says itself."""


@variable("proxy_add_via", "proxy_internal_body_length", "proxy_internal_chunked")
def internal(request: Request) -> None:
    """Empty: what nginx's own modules tell each other."""
