"""What helper processes are for: one each. What they do is imported once a plan wants it, before anybody is forked."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.modules.acme.orders import orders_of
from penstock.modules.cache.stores import all_stores
from penstock.modules.core.main import Main
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.observe.errorlog import WARN, report
from penstock.process.startup.privileges import become, worker_user
from penstock.shared.challenge_board import BOARD

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.process.master.helper_process import HelperWork


class CertificateWork:
    """To order certificates."""

    name = "certificate process"
    missed = "no certificate is ordered or renewed"

    def wanted(self, plan: Plan) -> object:
        """Return what is to be ordered."""
        orders = orders_of(plan)
        if orders:
            import penstock.process.acme.keeper  # noqa: F401
        return orders or None

    def do(self, plan: Plan, life: int) -> None:
        """Order what the plan wants."""
        from penstock.process.acme.keeper import keep

        keep(orders_of(plan), plan.shared[BOARD], life)


class CacheWork:
    """To look after caches."""

    name = "cache manager process"
    missed = "what is kept in a cache is neither bounded nor removed"

    def wanted(self, plan: Plan) -> object:
        """Return all that it goes by."""
        stores = list(all_stores(plan))
        if stores:
            import penstock.process.cache.manager  # noqa: F401
        return [
            (
                *(store.name, store.path, store.levels, store.inactive, store.most, store.free),
                *(store.manager, store.loader, id(store.index)),
            )
            for store in stores
        ] or None

    def do(self, plan: Plan, life: int) -> None:
        """Look after all caches, as the user whose files they hold."""
        from penstock.process.cache.manager import manage

        user = worker_user(plan.main.settings(Main)) if os.geteuid() == 0 else None
        if user is not None:
            become(user)
        manage(list(all_stores(plan)), life)


class DiscoveryWork:
    """To follow the lists of servers that the groups of a plan name."""

    name = "discovery process"
    missed = "servers_from goes by the list it began with"

    def wanted(self, plan: Plan) -> object:
        """Return the sources to follow, with all that it takes imported."""
        if not any(each.listed for each in plan.each(UPSTREAMS)):
            return None
        from penstock.process.discovery.finder import sources_of
        from penstock.process.discovery.sources import kind_of_lists

        found = tuple(source for each in plan.each(UPSTREAMS) for source in sources_of(each))
        for source in found:
            with suppress(ImportError):  # the process itself will fail, and say so
                kind_of_lists(source)
        return found or None

    def do(self, plan: Plan, life: int) -> None:
        """Follow them until the master is gone."""
        from penstock.process.discovery.finder import follow_all

        follow_all(plan.each(UPSTREAMS), life)


WORKS: tuple[HelperWork, ...] = (CertificateWork(), CacheWork(), DiscoveryWork())


def tell_missed(plan: Plan) -> None:
    """Say what a program without a master does not do for a plan that wants it."""
    for work in WORKS:
        if work.wanted(plan) is not None:
            report(None, WARN, f"{work.missed}: there is no {work.name} with master_process off")
