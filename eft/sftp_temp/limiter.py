"""Failed sign-ins, counted by address and by user name. In memory, for one worker; each forgets by itself."""

from __future__ import annotations

from collections import OrderedDict
import ipaddress

from eft.domain.clock import Clock

ADDRESSES = 10_000


class AddressLimiter:
    """A leaking count for each address, or for whatever else is counted by: one failure is forgotten every `forgotten_after_s`
    seconds, and while `limit` are remembered the address is blocked. An IPv6 network of 64 bits counts as one address, since one
    customer has all of it.

    Remembers at most 10,000 addresses; past that, the ones that were quiet longest are forgotten first.
    """

    def __init__(self, clock: Clock, *, limit: int, forgotten_after_s: float) -> None:
        self._clock = clock
        self._limit = limit
        self._forgotten_after_s = forgotten_after_s
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def blocked(self, address: str) -> bool:
        """Whether nothing from there is looked at for now."""
        return self._count(_network(address)) > self._limit - 1

    def count(self, address: str) -> float:
        """How many failures are remembered by now."""
        return self._count(_network(address))

    def failed(self, address: str) -> None:
        """Remembers one failure."""
        network = _network(address)
        self._failures[network] = (self._count(network) + 1, self._clock.monotonic())
        self._failures.move_to_end(network)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)

    def forgive(self, address: str) -> None:
        """Takes one failure back: what was counted when the attempt began turned out well."""
        network = _network(address)
        count = self._count(network) - 1
        if count > 0:
            self._failures[network] = (count, self._clock.monotonic())
        else:
            self._failures.pop(network, None)

    def _count(self, network: str) -> float:
        count, since = self._failures.get(network, (0.0, 0.0))
        return max(count - (self._clock.monotonic() - since) / self._forgotten_after_s, 0.0) if count else 0.0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
