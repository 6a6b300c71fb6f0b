"""Who the client is where a proxy stands in front: what a header says is believed from listed proxies only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
import re
from typing import Final

from eft.http_resumable.head import host_of
from eft.http_resumable.headers import Headers

Address = IPv4Address | IPv6Address

_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]{7,15})(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rf"[ \t]*({_TOKEN})=(?:({_TOKEN})|\"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e])*)\")[ \t]*")
_LONGEST_CHAIN: Final = 64


class Networks:
    """A set of networks, asked of for each connection."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Raises ValueError for what is no network."""
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(network) for network in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def has(self, address: Address | str) -> bool:
        """Whether `address` lies in one of them; what is no address lies in none."""
        if isinstance(address, str):
            parsed = _plain(address)
            if parsed is None:
                return False
            address = parsed
        return any(address.version == network.version and address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: the client's address, and host (None: as in the request itself) and scheme as it used them.
    `interim`: whether answers before the last one reach it."""

    client: str
    host: str | None = None
    scheme: str = "https"
    interim: bool = True


class Proxies:
    """Finds the client behind listed proxies. `forwarded`: they write `Forwarded` (RFC 7239), otherwise `X-Forwarded-*`.

    One kind is read and never both: a proxy that writes one hands the other on as the client made it up. `interim`: they hand
    interim answers on. nginx before 1.29 takes a 104 for the last answer, and never ends.
    """

    def __init__(self, trusted: Iterable[str], *, forwarded: bool = False, interim: bool = False) -> None:
        self._trusted = Networks(trusted)
        self._forwarded = forwarded
        self._interim = interim

    def origin(self, peer: str, headers: Headers) -> Origin:
        """Where the request comes from that `peer`, the connection's other end, has sent."""
        if not self._trusted.has(peer):
            return Origin(peer)
        told = self._from_forwarded(peer, headers) if self._forwarded else self._from_x_forwarded(peer, headers)
        return replace(told, interim=self._interim)

    def _from_x_forwarded(self, peer: str, headers: Headers) -> Origin:
        chain = [entry.strip(" \t") for line in headers.get_all("X-Forwarded-For") for entry in line.split(",")]
        return Origin(
            self._client(peer, chain),
            _host(_last(headers.get_all("X-Forwarded-Host"))),
            _scheme(_last(headers.get_all("X-Forwarded-Proto"))),
        )

    def _from_forwarded(self, peer: str, headers: Headers) -> Origin:
        elements: list[dict[str, str]] = []
        for line in reversed(headers.get_all("Forwarded")):
            readable = _elements(line)
            if readable is None:
                break  # Nobody knows what of it a proxy wrote; what stands below it was written later, by one nearer to us.
            elements[:0] = readable
        last = elements[-1] if elements else {}
        chain = [element.get("for", "") for element in elements]
        return Origin(self._client(peer, chain), _host(last.get("host")), _scheme(last.get("proto")))

    def _client(self, peer: str, chain: list[str]) -> str:
        """The rightmost address that is no trusted proxy's. An entry that is no address ends the search where it is."""
        client = peer
        for entry in reversed(chain[-_LONGEST_CHAIN:]):
            address = _node(entry)
            if address is None:
                break
            client = str(address)
            if not self._trusted.has(address):
                break
        return client


def _plain(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _node(text: str) -> Address | None:
    """The address of a node, which may have a port (RFC 7239 §6, and as proxies write it in X-Forwarded-For)."""
    matched = _NODE.fullmatch(text)
    return None if matched is None else _plain(matched[1] or matched[2] or matched[3])


def _last(lines: list[str]) -> str | None:
    return lines[-1].rpartition(",")[2].strip(" \t") if lines else None


def _host(text: str | None) -> str | None:
    """Without a port, in lower case; what is none is no name of ours either."""
    return None if not text else host_of(text) or "-"


def _scheme(text: str | None) -> str:
    return "http" if text is not None and text.lower() == "http" else "https"


def _elements(text: str) -> list[dict[str, str]] | None:
    """The elements of one line of `Forwarded`, in order; None where it cannot be read (RFC 7239 §4)."""
    elements: list[dict[str, str]] = []
    element: dict[str, str] = {}
    at = 0
    while at < len(text):
        matched = _PAIR.match(text, at)
        if matched is None:
            return None
        name = matched[1].lower()
        if name in element:
            return None
        element[name] = matched[2] if matched[2] is not None else re.sub(r"\\(.)", r"\1", matched[3])
        at = matched.end()
        if at == len(text) or text[at] == ",":
            elements.append(element)
            element = {}
        elif text[at] != ";":
            return None
        at += 1
    return elements
