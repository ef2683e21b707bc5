"""Servers of a group that are kept in a file: `state` (nginx: ngx_http_upstream_module, its paid edition).

The file holds `server` lines, and is written anew each time the servers are changed while the program runs.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.os_errors import os_failure
from penstock.config.parser import parse_text
from penstock.config.registry import REGISTRY, UPSTREAM, command
from penstock.config.scope import Scope
from penstock.config.tree import Directive
from penstock.modules.upstream.server import server
from penstock.modules.upstream.upstream import DRAFT, PAGE

BESIDE = '"state" stands in place of "server" lines: move those into the file, or take "state" out'


@command("state", where=UPSTREAM, syntax="file", nginx=PAGE)
def state(scope: Scope, directive: Directive) -> None:
    """The file that the servers are kept in. What is set by the API or `penstock upstreams` is there after a restart.

    It is read with the configuration, and need not be there at first. The workers' user has to be able to write into
    its folder.
    """
    draft = scope.data[DRAFT]
    word = directive.args[0]
    if draft.state_file:
        raise ConfigError('"state" directive is duplicate', directive.span)
    if draft.servers:
        raise ConfigError('"state" is not allowed beside "server"', directive.span, hint=BESIDE)
    path = scope.compilation.logs_path(word.text)
    try:
        text = read_file(path).decode("latin-1")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise ConfigError(os_failure("open()", error, path), word.span) from None
    problems = scope.compilation.problems
    for line in parse_text(text, path, problems, known=REGISTRY.__contains__):
        if line.name.text != "server" or line.block is not None or not line.args:
            words = f'"{line.name.text}" is not allowed in a state file'
            raise ConfigError(words, line.span, hint="only server lines are")
        server(scope, line)
    draft.state_file = path
