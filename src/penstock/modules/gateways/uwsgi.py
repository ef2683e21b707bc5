"""Passing requests to uwsgi servers (nginx: ngx_http_uwsgi_module), over TLS and with protocol upgrades too."""

from __future__ import annotations

from struct import pack
from typing import ClassVar

from penstock.config.kinds import text, word
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Scope
from penstock.config.settings import directive
from penstock.config.values import decimal
from penstock.http.request import Request
from penstock.modules.cache.path import declare_path
from penstock.modules.gateways.gateway import Gateway
from penstock.modules.proxy.pass_request import Prepared
from penstock.modules.proxy.secure import ProxySecure
from penstock.modules.proxy.targets import Destination
from penstock.upstream.errors import FaultSide, ProxyError

PAGE = "ngx_http_uwsgi_module.html"
LARGEST = 65535
"""Bytes of a packet: its size has two."""


def _byte(text: str) -> int:
    byte = decimal(text)
    if byte is None or byte > 255:
        raise ValueError("a number from 0 to 255")
    return byte


class Uwsgi(ProxySecure, Gateway, prefix="uwsgi"):
    """Requests passed on in uwsgi's binary form: a packet of parameters, then the body."""

    prefix: ClassVar[str] = "uwsgi"
    page: ClassVar[str] = PAGE

    modifier1: int = directive("uwsgi_modifier1", where=HTTP_LEVELS, takes=word(_byte, "number"), default=0, nginx=PAGE)
    modifier2: int = directive("uwsgi_modifier2", where=HTTP_LEVELS, takes=word(_byte, "number"), default=0, nginx=PAGE)

    string: str = directive("uwsgi_string", where=HTTP_LEVELS, takes=text, default="")
    """More bytes at the end of the packet; nginx has it without a word in its documentation."""

    def finish(self, scope: Scope) -> None:
        super().finish(scope)
        if self.target is not None:
            self.finish_secure(scope)

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare the packet of parameters, of 65,535 bytes at most. Raises `ProxyError`."""
        pairs = []
        for name, value in self.parameters(request):
            key, text = name.encode("latin-1"), value.encode("latin-1")
            if len(key) > LARGEST or len(text) > LARGEST:
                raise _too_large()
            pairs.append(pack("<H", len(key)) + key + pack("<H", len(text)) + text)
        packet = b"".join(pairs) + self.string.encode("latin-1")
        if len(packet) > LARGEST:
            raise _too_large()
        head = pack("<BHB", self.modifier1, len(packet), self.modifier2) + packet
        target = there.target
        secure = self.secure_for(request, target) if target.secure else None
        return Prepared(there.group, head, request.method, (target.scheme, ""), secure)


def _too_large() -> ProxyError:
    return ProxyError(
        FaultSide.CLIENT, 400, "", "uwsgi request is too large: the packet of parameters holds 65535 bytes"
    )


Uwsgi.pass_on.auto_redirect = True
declare_path("uwsgi", PAGE)
