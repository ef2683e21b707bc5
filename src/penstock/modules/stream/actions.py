"""What ends or directs a session without a backend: `return`, `pass`, and `set` before either (nginx:
ngx_stream_return_module, ngx_stream_pass_module, ngx_stream_set_module)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.addresses import Address, peer_address
from penstock.config.kinds import custom, template
from penstock.config.registry import STREAM_SERVER
from penstock.config.scope import Call
from penstock.config.settings import NOT, Settings, directive, directives, phase
from penstock.config.variables import Setter, Template
from penstock.http.request import Answer
from penstock.modules.stream.session import FAILED, StreamSession
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

MODULE = "stream_return"
RETURN_PAGE = "ngx_stream_return_module.html"
PASS_PAGE = "ngx_stream_pass_module.html"
SET_PAGE = "ngx_stream_set_module.html"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `set`."""

    put: Setter
    value: Template


def _set(call: Call) -> Assignment:
    name, value = call.args
    if not name.text.startswith("$") or name.text == "$":
        hint = f"write: set ${name.text.lstrip('$') or 'name'} value;"
        raise call.fail(f'invalid variable name "{name.text}"', name, hint=hint)
    variable = call.compilation.variables.stored(name.text[1:], name.span)
    assert variable.set is not None
    return Assignment(variable.set, call.template(value))


class PassedOn(Answer):
    """In place of an answer: the connection goes on as one that came in at `address`."""

    __slots__ = ("address",)

    def __init__(self, address: Address) -> None:
        super().__init__(200)
        self.address = address


def _pass(call: Call) -> Template:
    word = call.args[0]
    made = call.template(word)
    if made.literal is not None:
        try:
            _address(made.literal)
        except ValueError as error:
            raise call.fail(f'{error} in "{word.text}" of the "pass" directive', word) from None
    return made


def _address(text: str) -> Address:
    """An address that is listened on. Raises `ValueError`."""
    found = peer_address(text, 0)
    if found.family == "name":
        raise ValueError("no addresses")
    if found.family != "unix" and not found.port:
        raise ValueError("no port")
    return found


class StreamActions(Settings):
    """A text as the whole answer, or another address of ours; and variables that are given values first."""

    assignments: tuple[Assignment, ...] = directives(
        "set", where=STREAM_SERVER, takes=custom(_set, least=2, most=2, syntax="$variable value"), inherit=NOT,
        nginx=SET_PAGE,
    )
    text: Template | None = directive(
        "return", where=STREAM_SERVER, takes=template, inherit=NOT, nginx=RETURN_PAGE,
        doc="The client gets this text, and the connection ends.",
    )
    address: Template | None = directive(
        "pass", where=STREAM_SERVER, takes=custom(_pass, syntax="address"), inherit=NOT, nginx=PASS_PAGE,
        doc="The connection goes on as if it had come in at this address of ours, of HTTP or of streams.",
    )

    @phase(phases.PRECONTENT, when=lambda self: self.assignments)
    def assign(self, session: StreamSession) -> None:
        """Give variables their values, in the order of the file."""
        for each in self.assignments:
            each.put(session, each.value.evaluate(session))

    @phase(phases.CONTENT, when=lambda self: self.text is not None)
    def answer(self, session: StreamSession) -> Answer:
        """Answer with the text of `return`."""
        assert self.text is not None
        return Answer(200, self.text.evaluate(session).encode("latin-1"))

    @phase(phases.CONTENT, when=lambda self: self.address is not None)
    def pass_on(self, session: StreamSession) -> Answer:
        """Send the connection where `pass` says."""
        assert self.address is not None
        text = self.address.evaluate(session)
        try:
            return PassedOn(_address(text))
        except ValueError as error:
            report(session, ERROR, f'{error} in pass "{text}" while passing connection to port')
            return Answer(FAILED)
