"""Names and passwords: HTTP Basic authentication (nginx: ngx_http_auth_basic_module; RFC 7617)."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass

from penstock.config.kinds import custom
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP_LEVELS, LIMIT_EXCEPT
from penstock.config.scope import Call, Compilation
from penstock.config.settings import Settings, directive, phase
from penstock.config.variables import Template
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.access.access import GRANTED
from penstock.modules.access.passwords import QUICK, CannotCheck, verify
from penstock.modules.core.files.paths import ups, within
from penstock.modules.core.line_values import VALUE
from penstock.modules.core.variables import credentials
from penstock.net.descriptors import with_room
from penstock.observe.errorlog import CRIT, ERROR, INFO, report
from penstock.plan import phases

PAGE = "ngx_http_auth_basic_module.html"
WHERE = HTTP_LEVELS | LIMIT_EXCEPT


@dataclass(frozen=True, slots=True)
class UserFile:
    """A path, which may have variables; what is relative lies beside the configuration."""

    name: Template
    compilation: Compilation

    def path(self, request: Request) -> str:
        return within(request, self.compilation.conf_path(self.name.evaluate(request)), ups(self.name.text))


class AuthBasic(Settings):
    """A realm and a file of its users. The file is read for each request, so that it can be changed at any time."""

    realm: Template | None = directive(
        "auth_basic", where=WHERE, takes=VALUE, nginx=PAGE, shown="off", doc="The realm; `off`: nobody is asked."
    )
    file: UserFile | None = directive(
        "auth_basic_user_file",
        where=WHERE,
        takes=custom(lambda call: _user_file(call), syntax="file"),
        nginx=PAGE,
    )

    @phase(phases.ACCESS, when=lambda self: self.realm is not None and self.file is not None)
    async def decide(self, request: Request) -> Outcome:
        """Answer 401, or 407, to whom the file does not know."""
        assert self.realm is not None and self.file is not None
        realm = self.realm.evaluate(request)
        if realm == "off":
            return None
        given = credentials(request)
        if given is None:
            report(request, INFO, "no user/password was provided for basic authentication")
            return challenge(request, realm)
        user, password = given
        path = self.file.path(request)
        try:
            stored = find(path, user)
        except OSError as error:
            missing = error.errno == errno.ENOENT
            report(request, ERROR if missing else CRIT, os_failure("open()", error, path))
            return special(403 if missing else 500)
        if stored is None:
            report(request, ERROR, f'user "{user}" was not found in "{path}"')
            return challenge(request, realm)
        try:
            if stored.startswith(QUICK):
                known = verify(password, stored)
            else:
                known = await asyncio.get_running_loop().run_in_executor(None, verify, password, stored)
        except CannotCheck as error:
            report(request, CRIT, f'the password of user "{user}" in "{path}" can not be checked: {error}')
            return special(500)
        if known:
            return GRANTED
        report(request, ERROR, f'user "{user}": password mismatch')
        return challenge(request, realm)


def _user_file(call: Call) -> UserFile:
    return UserFile(call.template(call.args[0]), call.compilation)


def challenge(request: Request, realm: str) -> Answer:
    """Make the 401 that asks who a client is; 407 for one that wants a tunnel (RFC 9110, sections 11.6 and 11.7)."""
    status, name = (407, "Proxy-Authenticate") if request.method == "CONNECT" else (401, "WWW-Authenticate")
    answer = special(status)
    answer.headers.append((name, f'Basic realm="{realm}"'))
    return answer


def find(path: str, user: str) -> str | None:
    """Find what a file stores for a user: the second field of the line that begins with the name. Raises `OSError`."""
    if "\0" in path:
        raise OSError(errno.ENOENT, path)  # no file has such a name
    wanted = user.encode("latin-1") + b":"
    fd = with_room(lambda: os.open(path.encode("latin-1"), os.O_RDONLY | os.O_CLOEXEC))
    with os.fdopen(fd, "rb") as file:
        for line in file:
            if line.startswith(wanted) and not line.startswith(b"#"):
                return line[len(wanted) :].rstrip(b"\r\n").partition(b":")[0].decode("latin-1")
    return None
