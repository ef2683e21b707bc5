"""Variables of the PROXY protocol: who came to the balancer before us (nginx: ngx_http_core_module).

`connection.proxy_protocol` is the header that was read: `source_address`, `source_port`, `destination_address`,
`destination_port`, and `tlvs`, the bytes behind the addresses in version 2 of the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.variables import Getter, family, variable
from penstock.http.proxy_protocol import ProxyHeader
from penstock.http.request import Request
from penstock.observe.errorlog import ERROR, report

_TYPES = {"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "ssl": 0x20, "netns": 0x30}
_SSL = 0x20
_SSL_TYPES = {"version": 0x21, "cn": 0x22, "cipher": 0x23, "sig_alg": 0x24, "key_alg": 0x25}
_SSL_HEAD = 5
"""One byte of flags about the client and four that say whether its certificate was verified."""


def _header(request: Request) -> ProxyHeader | None:
    return request.connection.proxy_protocol


@variable("proxy_protocol_addr")
def source_address(request: Request) -> str | None:
    header = _header(request)
    return None if header is None else header.source_address


@variable("proxy_protocol_port")
def source_port(request: Request) -> str | None:
    header = _header(request)
    return None if header is None else str(header.source_port or "")


@variable("proxy_protocol_server_addr")
def destination_address(request: Request) -> str | None:
    header = _header(request)
    return None if header is None else header.destination_address


@variable("proxy_protocol_server_port")
def destination_port(request: Request) -> str | None:
    header = _header(request)
    return None if header is None else str(header.destination_port or "")


class Broken(ValueError):
    """The TLVs do not add up."""


def tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Read the type and value of each TLV; raises `Broken`."""
    at = 0
    while at < len(data):
        start = at + 3
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise Broken("broken PROXY protocol TLV")
        yield data[at], data[start:end]
        at = end


def _first(data: bytes, kind: int) -> bytes | None:
    return next((value for found, value in tlvs(data) if found == kind), None)


def _find(data: bytes, name: str) -> str | None:
    """The value of a TLV by nginx's name for it, or by its type as `0x...`."""
    types = _TYPES
    if name.startswith("ssl_"):
        name = name.removeprefix("ssl_")
        found = _first(data, _SSL)
        if found is None:
            return None
        if len(found) < _SSL_HEAD:
            raise Broken("broken PROXY protocol TLV")
        if name == "verify":
            return str(int.from_bytes(found[1:_SSL_HEAD], "big"))
        data, types = found[_SSL_HEAD:], _SSL_TYPES
    kind = int(name[2:], 16) if name.startswith("0x") else types.get(name)
    if kind is None:
        raise KeyError(name)
    value = _first(data, kind)
    return None if value is None else value.decode("latin-1")


@family("proxy_protocol_tlv_")
def tlv(name: str) -> Getter:
    """The value of a TLV: `alpn`, `authority`, `unique_id`, `netns`, `ssl_cn` and others, or `0x20`."""

    def get(request: Request) -> str | None:
        header = _header(request)
        if header is None:
            return None
        try:
            return _find(header.tlvs, name)
        except Broken as error:
            report(request, ERROR, str(error))
        except KeyError:
            report(request, ERROR, f'unknown PROXY protocol TLV "{name}"')
        except ValueError:
            report(request, ERROR, f'invalid PROXY protocol TLV "{name}"')
        return None

    return get
