"""The PROXY protocol's header, both versions, from pieces of any size."""

from __future__ import annotations

from ipaddress import ip_address
import struct

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain.proxy_protocol import ProxyHeader, ProxyHeaderInvalid

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
HELLO = b"\x16\x03\x01\x02\x00\x01"


def v2(source: str, target: str = "", *, command: int = 1, version: int = 2, transport: int = 1, more: bytes = b"") -> bytes:
    address = ip_address(source)
    other = ip_address(target or source)
    addresses = address.packed + other.packed + struct.pack("!HH", 40000, 443) + more
    family = 1 if address.version == 4 else 2
    return SIGNATURE + bytes([version << 4 | command, family << 4 | transport]) + struct.pack("!H", len(addresses)) + addresses


WHOLE = {
    "version 1, IPv4": (b"PROXY TCP4 198.51.100.1 203.0.113.7 40000 443\r\n", "198.51.100.1"),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n", "2001:db8::1"),
    "version 1, the proxy itself": (b"PROXY UNKNOWN\r\n", None),
    "version 1, unknown with addresses": (b"PROXY UNKNOWN ffff:f... 1 2\r\n", None),
    "version 2, IPv4": (v2("198.51.100.1"), "198.51.100.1"),
    "version 2, IPv6": (v2("2001:db8::1"), "2001:db8::1"),
    "version 2 with TLVs": (v2("198.51.100.1", more=b"\x04\0\0" * 100), "198.51.100.1"),
    "version 2, the proxy itself": (SIGNATURE + b"\x20\0\0\0", None),
    "version 2, the proxy itself with addresses": (v2("198.51.100.1", command=0), None),
}


@pytest.mark.parametrize(("header", "client"), WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_a_header_is_taken_and_not_a_byte_more(header: bytes, client: str | None, piece: int) -> None:
    reader, rest = ProxyHeader(), header + HELLO
    while not reader.complete:
        assert rest
        used = reader.take(rest[:piece])
        assert 0 <= used <= piece
        rest = rest[used:]
    assert (reader.client, rest) == (client, HELLO)
    assert reader.take(rest) == 0


MALFORMED = {
    "TLS": HELLO,
    "HTTP": b"GET / HTTP/1.1\r\n",
    "a request that begins alike": b"PATCH /files HTTP/1.1\r\n",
    "version 1 in lower case": b"proxy TCP4 198.51.100.1 203.0.113.7 1 2\r\n",
    "a family that is none": b"PROXY TCP5 198.51.100.1 203.0.113.7 1 2\r\n",
    "an address of another family": b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    "two families": b"PROXY TCP6 2001:db8::1 203.0.113.7 1 2\r\n",
    "an address that is none": b"PROXY TCP4 198.51.100.256 203.0.113.7 1 2\r\n",
    "a port that is none": b"PROXY TCP4 198.51.100.1 203.0.113.7 1 65536\r\n",
    "a port with a zero in front": b"PROXY TCP4 198.51.100.1 203.0.113.7 01 2\r\n",
    "a missing port": b"PROXY TCP4 198.51.100.1 203.0.113.7 1\r\n",
    "two blanks": b"PROXY TCP4  198.51.100.1 203.0.113.7 1 2\r\n",
    "a bare line feed": b"PROXY TCP4 198.51.100.1 203.0.113.7 1 2\n",
    "no end": b"PROXY UNKNOWN " + b"x" * 200,
    "a NUL": b"PROXY TCP4 198.51.100.1\0 203.0.113.7 1 2\r\n",
    "another version": v2("198.51.100.1", version=1),
    "an unknown command": v2("198.51.100.1", command=2),
    "UDP": v2("198.51.100.1", transport=2),
    "a UNIX socket": SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + bytes(216),
    "addresses cut short": SIGNATURE + b"\x21\x11" + struct.pack("!H", 8) + bytes(8),
    "a length that nobody needs": SIGNATURE + b"\x21\x11\xff\xff",
    "a signature that goes wrong": SIGNATURE[:-1] + b"X",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("piece", [1, 1000])
def test_what_is_no_header_is_refused(data: bytes, piece: int) -> None:
    reader = ProxyHeader()
    with pytest.raises(ProxyHeaderInvalid):
        for at in range(0, len(data), piece):
            reader.take(data[at : at + piece])
    assert not reader.complete
    assert reader.client is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"]))
def test_no_bytes_bring_it_down(data: bytes, beginning: bytes) -> None:
    reader = ProxyHeader()
    try:
        used = reader.take(beginning + data)
    except ProxyHeaderInvalid:
        return
    assert 0 <= used <= len(beginning + data)
    assert reader.client is None or ip_address(reader.client)
