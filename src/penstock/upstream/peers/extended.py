"""A balancer over another one: what it chooses with does more at some moments, whatever the method is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from penstock.upstream.peers.slow_start import starting_slowly

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.peers.balancers import Balancer, PeerSelection
    from penstock.upstream.peers.group import Group


class ExtendedBalancer:
    """The base of such balancers. `mixin` has the methods that stand in front of the selection's own."""

    mixin: ClassVar[type]
    _kinds: ClassVar[dict[type, type]]
    __slots__ = ("inner",)

    def __init_subclass__(cls) -> None:
        cls._kinds = {}

    def __init__(self, balancer: Balancer) -> None:
        self.inner = balancer

    def over(self, balancer: Balancer) -> Self:
        """Return the same over another balancer."""
        return type(self)(balancer)

    def slowly(self) -> Self:
        """Return the same over a balancer for servers that start slowly."""
        return self.over(starting_slowly(self.inner))

    def __call__(self, group: Group, request: Request) -> PeerSelection:
        selection = self.inner(group, request)
        kind = type(selection)
        made = self._kinds.get(kind)
        if made is None:
            name = f"{type(self).__name__}{kind.__name__}"
            made = self._kinds[kind] = type(name, (self.mixin, kind), {"__slots__": ()})
        selection.__class__ = made
        return selection
