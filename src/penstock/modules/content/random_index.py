"""Any file of a directory stands for it: `random_index` (nginx: ngx_http_random_index_module)."""

from __future__ import annotations

import os
from random import choice

from penstock.config.kinds import flag
from penstock.config.registry import LOCATION
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Outcome, Redirect, Request
from penstock.modules.content.autoindex import not_listed
from penstock.modules.core.document_root import Files
from penstock.net.descriptors import with_room
from penstock.plan import phases

PAGE = "ngx_http_random_index_module.html"


class RandomIndex(Settings):
    """A path that ends in a slash leads to one of the files in that directory, each time another one by chance."""

    enable: bool = directive("random_index", where=LOCATION, takes=flag, default=False, nginx=PAGE)

    @phase(phases.CONTENT, when=lambda self: self.enable)
    def choose(self, request: Request) -> Outcome:
        """Go on with a file of the directory; where it has none, `index` and `autoindex` have their turn."""
        uri = request.uri
        if not uri.endswith("/") or request.method not in ("GET", "HEAD", "POST"):
            return None
        path = request.location[Files].path(request, uri)[:-1]
        try:
            names = _files(path)
        except (OSError, ValueError) as error:
            return not_listed(request, path, error)
        return Redirect(uri + choice(names)) if names else None


def _files(path: str) -> list[str]:
    """Names of the files in a directory, but those that begin with a dot. Raises `OSError`, and `ValueError` for a null
    byte."""
    found = []
    with with_room(lambda: os.scandir(path.encode("latin-1") or b"/")) as inside:
        for each in inside:
            try:
                if not each.name.startswith(b".") and each.is_file():
                    found.append(each.name.decode("latin-1"))
            except OSError:
                continue  # a link that leads nowhere
    return found
