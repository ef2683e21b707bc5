"""What the headers of DAV ask for: `Destination`, `Depth`, `Overwrite` (RFC 4918, section 10)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.http.request import Request
from penstock.http.uri import unescape
from penstock.modules.content.dav_tree import DavFailed
from penstock.modules.content.static import mapped
from penstock.modules.core.document_root import Files
from penstock.observe.errorlog import ERROR

INFINITY = -1
DEPTHS = {"0": 0, "1": 1, "infinity": INFINITY}


@dataclass(frozen=True, slots=True)
class DavTarget:
    """Where something is to go: its path without a final slash, whether there was one, and what the client has said."""

    path: str
    folder: bool
    said: str


def target_of(request: Request) -> DavTarget:
    """Find where a client wants something to go, within the location. Raises `DavFailed`."""
    said = request.head.fields.get("destination")
    if said is None:
        raise DavFailed(400, ERROR, 'client sent no "Destination" header')
    uri = unescape(_on_this_server(request, said).partition("?")[0])
    aliased = request.location[Files].aliased
    if "\0" in uri or "/../" in uri + "/" or len(uri) < len(aliased):
        raise _invalid(said)
    if request.uri.endswith("/") is not said.endswith("/"):
        raise DavFailed(
            409,
            ERROR,
            f'both URI "{request.uri}" and "Destination" URI "{said}" should be either collections or non-collections',
        )
    path = mapped(request, uri)
    if path is None:
        raise DavFailed(500, ERROR, "")
    path = one_slash(path)
    folder = path.endswith("/")
    return DavTarget(path[:-1] if folder else path, folder, said)


def _on_this_server(request: Request, said: str) -> str:
    if said.startswith("/"):
        return said
    scheme = f"{request.connection.scheme}://"
    if not said.startswith(scheme):
        raise _invalid(said)
    rest = said[len(scheme) :]
    if not request.host or not rest.startswith(request.host):
        raise DavFailed(
            400, ERROR, f'"Destination" URI "{said}" is handled by different repository than the source URI'
        )
    at = rest.find("/", len(request.host))
    if at < 0:
        raise _invalid(said)
    return rest[at:]


def _invalid(said: str) -> DavFailed:
    return DavFailed(400, ERROR, f'client sent invalid "Destination" header: "{said}"')


def one_slash(path: str) -> str:
    """Return a path with one slash where there are several."""
    return re.sub("/+", "/", path)


def keep_apart(request: Request, source: str, target: DavTarget) -> None:
    """Refuse what would be copied to itself, into itself, or over what it is in. Raises `DavFailed`."""
    bare = source.removesuffix("/")
    if bare == target.path:
        raise DavFailed(
            403, ERROR, f'both URI "{request.uri}" and "Destination" URI "{target.said}" point to the same location'
        )
    if target.folder and (target.path.startswith(bare + "/") or bare.startswith(target.path + "/")):
        words = f'"{request.uri}" could not be {request.method}ed to collection "{target.said}"'
        raise DavFailed(403, ERROR, words)


def depth_of(request: Request, default: int) -> int:
    """Return what `Depth` says. Raises `DavFailed`."""
    said = request.head.fields.get("depth")
    if said is None:
        return default
    if said not in DEPTHS:
        raise DavFailed(400, ERROR, f'client sent invalid "Depth" header: "{said}"')
    return DEPTHS[said]


def overwrites(request: Request) -> bool:
    """Return what `Overwrite` says. Raises `DavFailed`."""
    said = request.head.fields.get("overwrite", "T")
    if said not in ("T", "t", "F", "f"):
        raise DavFailed(400, ERROR, f'client sent invalid "Overwrite" header: "{said}"')
    return said in "Tt"
