"""After each kind of answer nothing of the request is left: no descriptor, no fiber, nothing for the cyclic collector.

The collector comes late or never where little else is made: what waits for it is lost for so long, descriptors of files
and of backends among it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.kinds import KINDS, Kind, kinds_site
from harness.wires import TRIED, Wire


@pytest.fixture(scope="module")
def site(authority: Any) -> Iterator[Any]:
    with kinds_site(authority) as front:
        yield front
        assert "internal error" not in front.proxy.error_log()


@pytest.fixture(params=TRIED)
def wire(request: pytest.FixtureRequest, site: Any, authority: Any) -> Wire:
    return Wire(request.param, site, authority.client_context())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_answer_leaves_nothing(site: Any, wire: Wire, kind: Kind) -> None:
    wire.ask(kind)  # what is made once is made now
    before = site.settle()
    site.garbage()
    statuses = {wire.ask(kind, 3), wire.ask(kind)}
    after = site.settle(before)
    garbage = site.garbage()
    assert after.within(before), (before, after)
    assert not garbage, " > ".join(garbage["cycle"])
    assert statuses == {kind.status}
