"""The PROXY protocol, versions 1 and 2: what a proxy in TCP mode says of a connection before its first byte (HAProxy,
`proxy-protocol.txt`, 2020/03/05)."""

from __future__ import annotations

from ipaddress import ip_address
import re
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = 16
_LONGEST_V1: Final = 107
_LONGEST_V2: Final = _FIXED + 4096
"""The addresses, and TLVs as they are in use; the format itself would allow 64 KiB."""
_ADDRESS_BYTES: Final = {0x1: 4, 0x2: 16}
_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})")


class ProxyHeaderInvalid(Exception):
    """A connection that does not begin with a PROXY header, or with a malformed one. Close it: nothing can be answered."""


class ProxyHeader:
    """Takes one header in, from pieces of any size, and not a byte more: what follows belongs to TLS or SSH.

    `client` is the address of who connected to the proxy, without a port; None where the connection is the proxy's own (a
    health check), and while `complete` is false.
    """

    __slots__ = ("_gathered", "client", "complete")

    def __init__(self) -> None:
        self._gathered = b""
        self.client: str | None = None
        self.complete = False

    def take(self, data: bytes) -> int:
        """How many bytes of `data` belong to the header. Raises ProxyHeaderInvalid, and then nothing of it counts."""
        if self.complete:
            return 0
        joined = self._gathered + data
        size = min(len(joined), len(_SIGNATURE))
        if joined[:size] == _SIGNATURE[:size]:
            end = self._end_v2(joined)
        elif joined[:6] == b"PROXY "[: len(joined)]:
            end = self._end_v1(joined)
        else:
            raise ProxyHeaderInvalid("neither version's signature")
        if end is None:
            self._gathered = joined
            return len(data)
        used = end - len(self._gathered)
        self._gathered = b""
        self.complete = True
        return used

    def _end_v1(self, data: bytes) -> int | None:
        end = data.find(b"\r\n", 0, _LONGEST_V1)
        if end < 0:
            if len(data) >= _LONGEST_V1 or b"\n" in data:
                raise ProxyHeaderInvalid("a line without an end")
            return None
        line = data[:end]
        if line != b"PROXY UNKNOWN" and not line.startswith(b"PROXY UNKNOWN "):
            self.client = _client_v1(line)
        return end + 2

    def _end_v2(self, data: bytes) -> int | None:
        if len(data) < _FIXED:
            return None
        version, command = data[12] >> 4, data[12] & 0xF
        family, transport = data[13] >> 4, data[13] & 0xF
        end = _FIXED + int.from_bytes(data[14:16], "big")
        if version != 2 or command > 1 or end > _LONGEST_V2:
            raise ProxyHeaderInvalid("another version, an unknown command, or too long")
        if len(data) < end:
            return None
        if command == 1:
            size = _ADDRESS_BYTES.get(family)
            if size is None or transport != 1 or end < _FIXED + 2 * size + 4:
                raise ProxyHeaderInvalid("no TCP over IP")
            self.client = str(ip_address(data[_FIXED : _FIXED + size]))
        return end


def _client_v1(line: bytes) -> str:
    matched = _V1.fullmatch(line)
    if matched is None:
        raise ProxyHeaderInvalid("a line that cannot be read")
    try:
        source, target = (ip_address(matched[number].decode()) for number in (2, 3))
    except ValueError:
        raise ProxyHeaderInvalid("an address that is none") from None
    version = 4 if matched[1] == b"TCP4" else 6
    if {source.version, target.version} != {version} or max(int(matched[4]), int(matched[5])) > 65535:
        raise ProxyHeaderInvalid("an address of another family, or a port that is none")
    return str(source)
