"""What judges say on the straight way that does not just let a request through: an answer, or that it will come later.

Meanwhile the passage is who waits, and nothing else of it is under way: it has no backend yet. Its alarm is silent, as
the answer comes in any case.
"""

from __future__ import annotations

from errno import ECONNRESET
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from penstock.modules.access.access import GRANTED
from penstock.net.errors import PeerGone
from penstock.plan.later import Later
from penstock.server.straight.begun import raised, told

if TYPE_CHECKING:
    from penstock.http.request import Outcome
    from penstock.modules.awaited import Judge
    from penstock.server.straight.going_over import GoingOver
    from penstock.server.straight.passage import Passage


def halt(passage: Passage, judge: Judge, outcome: Outcome | Later[Outcome]) -> None:
    """Send what a judge has answered, or let the passage wait for it."""
    if not isinstance(outcome, Later):
        passage.over(told(outcome))
        return
    judges = passage.way.judges
    outcome.told = partial(_hear, passage, judges[judges.index(judge) + 1 :])
    passage.later = outcome
    connection = passage.connection
    connection.within(inf)
    connection.stream.on_hangup = partial(_gone, passage)


def give_up(passage: GoingOver, error: BaseException) -> None:
    """Wait no more, for a judge or a backend, and let the general transaction deal with an error."""
    later, passage.later = passage.later, None
    if later is None:
        passage._fail(error)
        return
    later.drop()
    passage.over(raised(error))


def _hear(passage: Passage, judges: tuple[Judge, ...], outcome: Outcome) -> None:
    """A judge has answered: go on with those that are left."""
    passage.later = None
    passage.connection.stream.on_hangup = None
    try:
        if outcome is None or outcome is GRANTED:
            passage.go(passage.way, judges)
        else:
            passage.over(told(outcome))
    except Exception as error:
        passage.stumble(error)


def _gone(passage: Passage) -> None:
    """The client does not want to wait."""
    give_up(passage, PeerGone(ECONNRESET))
