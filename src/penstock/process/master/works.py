"""What helper processes are for: one each."""

from __future__ import annotations

from penstock.observe.errorlog import WARN, report
from penstock.plan.plan import Plan
from penstock.process.acme.keeper import CertificateWork
from penstock.process.cache.manager import CacheWork
from penstock.process.discovery.finder import DiscoveryWork
from penstock.process.master.helper_process import HelperWork

WORKS: tuple[HelperWork, ...] = (CertificateWork(), CacheWork(), DiscoveryWork())


def tell_missed(plan: Plan) -> None:
    """Say what a program without a master does not do for a plan that wants it."""
    for work in WORKS:
        if work.wanted(plan) is not None:
            report(None, WARN, f"{work.missed}: there is no {work.name} with master_process off")
