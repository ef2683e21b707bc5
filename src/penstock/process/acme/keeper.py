"""The process that sees to it that certificates are there, and there in time; started by the master, once it serves.

It ends with the master, whatever ended that. The master sees what it writes (`process/master/watch_certificates.py`).
"""

from __future__ import annotations

import random
import select
from time import time
from typing import TYPE_CHECKING

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, ERROR, NOTICE, WARN, report
from penstock.process.acme.schedule import FIRST_WAIT, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.modules.acme.orders import Order
    from penstock.process.acme.authority import Authority
    from penstock.shared.challenge_board import ChallengeBoard

_LONGEST_SLEEP = 3600.0
_OLD = 7 * 86400.0
"""Seconds before a certificate's end from which a failure to renew it is an alert."""


def keep(orders: Sequence[Order], board: ChallengeBoard, life: int) -> None:
    """Order and renew certificates until the other end of the pipe `life` is closed."""
    # The library and what it needs: for this process alone.
    from penstock.process.acme.authority import Authority

    board.clear()
    authorities: dict[str, Authority] = {}
    progress = [(order, Progress()) for order in orders]
    for order, at in progress:
        authority = authorities.setdefault(order.issuer.name, Authority(order.issuer, board))
        _look(order, at, authority)
    while True:
        now = time()
        for order, at in progress:
            if at.due > now >= at.ask and not at.failures:
                at.ask_in(now, _LONGEST_SLEEP)  # where the file is gone meanwhile
                _look(order, at, authorities[order.issuer.name])
            if at.due <= now:
                _try(order, at, authorities[order.issuer.name])
        soonest = min((at.next() for _, at in progress), default=now + _LONGEST_SLEEP)
        # Wall-clock time may jump: it is looked at again once an hour.
        wait = max(0.0, min(soonest - time(), _LONGEST_SLEEP))
        if select.select([life], [], [], wait)[0]:
            return


def _look(order: Order, at: Progress, authority: Authority) -> None:
    """Set when a certificate that is there is due."""
    from penstock.process.acme import state

    try:
        pem, key = state.read(order.certificate_file), state.read(order.key_file)
    except OSError:
        return
    span = state.lifetime(pem) if pem is not None and key is not None else None
    if span is not None and pem is not None:
        _note(at, span, pem, authority)


def _note(at: Progress, span: tuple[float, float], pem: bytes, authority: Authority) -> None:
    """Set when a certificate is due, and when to hear again what the authority suggests."""
    suggestion = authority.suggested(pem)
    at.plan(*span, suggestion.when)
    at.ask_in(time(), suggestion.ask_again)


def _try(order: Order, at: Progress, authority: Authority) -> None:
    from penstock.process.acme import state
    from penstock.process.acme.authority import NotIssued

    names = ", ".join(order.identifiers)
    issuer = order.issuer.name
    try:
        with state.at_work(order.issuer.state):
            _look(order, at, authority)
            if at.due > time():
                at.failures = 0
                return  # another program has been here
            if not at.failures:
                report(None, NOTICE, f"ordering a certificate for {names} from {issuer}")
            issued = authority.obtain(order)
            state.write({order.key_file: issued.key, order.certificate_file: issued.certificate})
    except state.Busy:
        at.due = time() + FIRST_WAIT * (0.5 + random.random())
        report(None, NOTICE, f"another program orders certificates in {order.issuer.state}; waiting for it")
        return
    except NotIssued as failure:
        _failed(order, at, str(failure), failure.wait)
        return
    except OSError as error:
        _failed(order, at, os_failure(f'the state in "{order.issuer.state}" can not be written:', error))
        return
    span = state.lifetime(issued.certificate)
    if span is None:
        _failed(order, at, "what came is no certificate")
        return
    at.failures = 0
    _note(at, span, issued.certificate, authority)
    days = (span[1] - time()) / 86400
    report(None, NOTICE, f"a certificate for {names} has come from {issuer}, good for {days:.0f} days")


def _failed(order: Order, at: Progress, why: str, at_least: float = 0.0) -> None:
    from penstock.process.acme import state

    wait = at.failed(time(), random.random(), at_least)
    level, left = ERROR, "there is none yet"
    try:
        pem = state.read(order.certificate_file)
    except OSError:
        pem = None
    span = state.lifetime(pem) if pem is not None else None
    if span is not None:
        seconds = span[1] - time()
        level = ALERT if seconds < _OLD else WARN
        left = f"the one in use ends in {seconds / 86400:.0f} days" if seconds > 0 else "the one in use has ended"
    words = f"no certificate from {order.issuer.name}: {why}; {left}, next try in {wait / 60:.0f} min"
    report(None, level, words)

