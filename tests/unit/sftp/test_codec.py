"""Bytes to requests: however they are split, whatever they say."""

from __future__ import annotations

import contextlib
import itertools
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from eft.sftp_temp import codec, requests
from tests.unit.sftp import wire

IDS = st.integers(0, 2**32 - 1)
OFFSETS = st.integers(0, 2**64 - 1)
HANDLES = st.binary(max_size=64)
PATHS = st.binary(max_size=300)
PAYLOADS = st.one_of(
    st.binary(max_size=64),
    st.integers(8_000, 12_000).map(bytes),
    st.integers(0, 70_000).map(lambda n: bytes(n % 251 for n in range(n))),
)
PACKETS = st.one_of(
    st.builds(wire.open_file, IDS, PATHS, st.integers(0, 63)),
    st.builds(wire.close, IDS, HANDLES),
    st.builds(wire.read, IDS, HANDLES, OFFSETS, st.integers(0, 2**32 - 1)),
    st.builds(wire.write, IDS, HANDLES, OFFSETS, PAYLOADS),
    st.builds(wire.packet, st.sampled_from([7, 17, 11, 13, 14, 15, 16]), IDS, PATHS.map(wire.string)),
    st.builds(wire.packet, st.sampled_from([8, 12]), IDS, HANDLES.map(wire.string)),
    st.builds(lambda i, a, b: wire.packet(18, i, wire.string(a), wire.string(b)), IDS, PATHS, PATHS),
    st.builds(lambda i, p, s: wire.packet(9, i, wire.string(p), wire.attributes(size=s, times=(1, 2))), IDS, PATHS, OFFSETS),
    st.builds(lambda i, h: wire.extended(i, "fsync@openssh.com", wire.string(h)), IDS, HANDLES),
    st.builds(lambda i, n: wire.extended(i, n), IDS, st.text(max_size=20)),
    st.builds(lambda i, k: wire.packet(k, i), IDS, st.sampled_from([99, 19, 20, 21, 255])),
)


def plain(request: requests.Request) -> object:
    """A request with its payload joined, to compare."""
    if isinstance(request, requests.Write):
        payload = b"".join(request.parts)
        assert len(payload) == request.length
        return (request.id, request.handle, request.offset, payload)
    if isinstance(request, requests.Refused):
        return (request.id, type(request.error), str(request.error))
    return request


def all_of(parser: codec.RequestParser) -> list[object]:
    found = []
    while (request := parser.next()) is not None:
        found.append(plain(request))
    return found


def parsed(*chunks: bytes) -> list[object]:
    parser, found = codec.RequestParser(), []
    for chunk in chunks:
        parser.feed(chunk)
        found += all_of(parser)
    assert parser.available == 0
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(PACKETS, min_size=1, max_size=8), st.lists(st.integers(0, 2**20), max_size=12))
def test_any_split_of_the_stream_gives_the_same_requests(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(packets)
    expected = [request for packet in packets for request in parsed(packet)]
    assert len(expected) == len(packets)
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    assert parsed(*(stream[a:b] for a, b in itertools.pairwise(edges))) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(PACKETS, min_size=1, max_size=4), st.integers(1, 3))
def test_requests_may_wait_while_more_comes_in_the_smallest_pieces(packets: list[bytes], size: int) -> None:
    stream = b"".join(packets)[:20_000]
    parser = codec.RequestParser()
    for start in range(0, len(stream), size):
        parser.feed(stream[start : start + size])
    whole = codec.RequestParser()
    whole.feed(stream)
    assert all_of(parser) == all_of(whole)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_do_more_than_end_the_connection(noise: bytes, size: int) -> None:
    parser = codec.RequestParser()
    try:
        for start in range(0, len(noise), size):
            parser.feed(noise[start : start + size])
            all_of(parser)
    except codec.Garbage:
        pass


@settings(max_examples=200, deadline=None)
@given(PACKETS, st.data())
def test_a_packet_that_ends_early_is_garbage_or_another_request(packet: bytes, data: st.DataObject) -> None:
    body = packet[4 : data.draw(st.integers(5, len(packet)))]
    with contextlib.suppress(codec.Garbage):
        assert len(parsed(struct.pack(">I", len(body)) + body)) == 1


def test_a_write_is_read_as_the_draft_says() -> None:
    parser = codec.RequestParser()
    parser.feed(wire.write(7, b"h\0", 2**40, b"hello"))
    request = parser.next()
    assert isinstance(request, requests.Write)
    assert (request.id, request.handle, request.offset, request.length) == (b"\0\0\0\7", b"h\0", 2**40, 5)
    assert b"".join(request.parts) == b"hello"


def test_what_trails_a_packet_is_ignored() -> None:
    """rclone before 1.62 and old pkg/sftp clients send it with WRITE; OpenSSH ignores it everywhere."""
    plain_write = wire.write(7, b"h", 3, b"hello")
    trailing = wire.packet(6, 7, wire.string(b"h"), wire.u64(3), wire.string(b"hello"), b"trailing")
    assert parsed(trailing) == parsed(plain_write)
    assert parsed(trailing[:30], trailing[30:]) == parsed(plain_write)


def test_a_large_payload_is_not_copied() -> None:
    parser = codec.RequestParser()
    chunk = wire.write(7, b"h", 0, bytes(200_000))
    first, second = chunk[:98_000], chunk[98_000:]
    parser.feed(first)
    assert parser.next() is None
    parser.feed(second)
    request = parser.next()
    assert isinstance(request, requests.Write)
    views = [part for part in request.parts if isinstance(part, memoryview)]
    assert sum(len(part) for part in request.parts if isinstance(part, bytes) and part is not second) < 100
    assert views
    assert all(view.obj is first or view.obj is second for view in views)


def test_small_pieces_do_not_cost_more_memory_than_their_bytes() -> None:
    parser = codec.RequestParser()
    packet = wire.write(7, b"h", 0, bytes(100_000))
    for start in range(0, len(packet) - 2, 2):
        parser.feed(packet[start : start + 2])
    assert len(parser._chunks) < 10


@pytest.mark.parametrize("length", [0, codec.PACKET_BYTES + 1, 2**32 - 1])
def test_a_packet_past_the_limits_is_garbage_before_it_is_received(length: int) -> None:
    parser = codec.RequestParser()
    parser.feed(struct.pack(">I", length)[:3])
    parser.feed(struct.pack(">I", length)[3:])
    with pytest.raises(codec.Garbage):
        parser.next()


def test_the_longest_write_that_is_advertised_fits() -> None:
    assert len(parsed(wire.write(1, bytes(64), 0, bytes(256 * 1024)))) == 1


@pytest.mark.parametrize(
    "packet",
    [
        wire.close(5, bytes(65)),
        wire.write(5, bytes(65), 0, b"x"),
        wire.write(5, bytes(65), 0, bytes(1000)),
        wire.packet(17, 5, wire.string(bytes(4097))),
        wire.packet(18, 5, wire.string("a"), wire.string(bytes(4097))),
    ],
)
def test_a_name_or_handle_past_its_limit_is_refused_and_the_connection_lives(packet: bytes) -> None:
    for split in (len(packet), 20, 9):
        parser = codec.RequestParser()
        parser.feed(packet[:split])
        parser.feed(packet[split:] + wire.close(6, b"h"))
        refused, following = parser.next(), parser.next()
        assert isinstance(refused, requests.Refused)
        assert refused.id == b"\0\0\0\5"
        assert following == requests.Close(b"\0\0\0\6", b"h")


def test_attributes_of_every_kind_are_read_over() -> None:
    fields = [wire.u32(0x8000000F), wire.u64(5), wire.u32(1), wire.u32(2), wire.u32(0o644), wire.u32(10), wire.u32(20)]
    fields += [wire.u32(1), wire.string("a@b"), wire.string("c")]
    parser = codec.RequestParser()
    parser.feed(wire.packet(9, 1, wire.string("x"), *fields))
    assert parser.next() == requests.SetStat(b"\0\0\0\1", b"x", requests.Attributes(size=5, modified_at=20))


def test_init_has_no_id() -> None:
    assert parsed(wire.INIT + struct.pack(">IBI", 9, 1, 6) + b"junk") == [requests.Init(b"", 3), requests.Init(b"", 6)]
