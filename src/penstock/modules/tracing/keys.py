"""Where a trace and the exporter are kept: all that a configuration without them needs of tracing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.key import Key

if TYPE_CHECKING:
    from penstock.modules.tracing.spans import RequestTrace
    from penstock.observe.tracing.exporter import Exporter

TRACE: Key[RequestTrace] = Key("trace")
"""A request's, among its contexts."""

EXPORTER: Key[Exporter] = Key("exporter of spans")
"""A plan's, if it has one."""
