"""Passing requests to SCGI servers (nginx: ngx_http_scgi_module), protocol upgrades included."""

from __future__ import annotations

from typing import ClassVar

from penstock.http.request import Request
from penstock.modules.cache.path import declare_path
from penstock.modules.gateways.gateway import Gateway
from penstock.modules.proxy.pass_request import Prepared
from penstock.modules.proxy.targets import Destination

PAGE = "ngx_http_scgi_module.html"


class Scgi(Gateway, prefix="scgi"):
    """Requests passed on as SCGI: a netstring of parameters, then the body."""

    prefix: ClassVar[str] = "scgi"
    page: ClassVar[str] = PAGE

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare the parameters as a netstring, CONTENT_LENGTH first, as SCGI wants it. Raises `ProxyError`."""
        pairs = [("CONTENT_LENGTH", str(length or 0)), *self.parameters(request)]
        if not any(name == "SCGI" for name, _ in pairs):
            pairs.insert(1, ("SCGI", "1"))
        packet = "".join(f"{name}\0{value}\0" for name, value in pairs).encode("latin-1")
        head = b"%d:%b," % (len(packet), packet)
        return Prepared(there.group, head, request.method, (there.target.scheme, ""))


Scgi.pass_on.auto_redirect = True
declare_path("scgi", PAGE)
