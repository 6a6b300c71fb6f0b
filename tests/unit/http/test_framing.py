"""Bodies come out the same however the bytes are split, and the framing agrees with llhttp on what is a chunked body."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from eft.http_resumable.framing import ChunkedFraming, Framing, LengthFraming
from eft.http_resumable.limits import Limits
from eft.http_resumable.refusals import Refusal

LIMITS = Limits()
CHUNKS = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
TRAILERS = st.lists(st.tuples(st.sampled_from(["A", "Upload-Checksum"]), st.sampled_from(["", "x", "sha1 abc="])), max_size=3)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def run(framing: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The payload, and what follows the body."""
    payload, rest = b"", b""
    for piece in pieces:
        if framing.complete:
            rest += piece
            continue
        got, used = framing.feed(memoryview(piece))
        payload += got
        rest += piece[used:]
    return payload, rest


@given(CHUNKS, TRAILERS, st.lists(st.integers(min_value=0), max_size=20), st.binary(max_size=20))
def test_a_chunked_body_comes_out_whole_however_it_is_split(
    chunks: list[bytes], trailers: list[tuple[str, str]], cuts: list[int], after: bytes
) -> None:
    message = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    message += b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode() + b"\r\n" + after
    framing = ChunkedFraming(LIMITS)
    payload, rest = run(framing, split(message, cuts))
    assert framing.complete
    assert (payload, rest) == (b"".join(chunks), after)
    assert list(framing.trailers) == trailers


@given(st.binary(max_size=500), st.lists(st.integers(min_value=0), max_size=20), st.binary(max_size=20))
def test_a_body_with_a_length_comes_out_whole_however_it_is_split(body: bytes, cuts: list[int], after: bytes) -> None:
    framing = LengthFraming(len(body))
    assert run(framing, split(body + after, cuts)) == (body, after)
    assert framing.complete


class Llhttp:
    """What llhttp makes of a chunked body."""

    def __init__(self, message: bytes) -> None:
        self.body = b""
        self.complete = False
        self.refused = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            parser.feed_data(message)
        except httptools.HttpParserError:
            self.refused = not self.complete

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.complete = True


PARTS = ["0", "1", "3", "a", "A", "0x1", "-1", "+1", " ", ";x=y", ";x", ';x="a b"', ";", "=", '"', "abc"]
PARTS += ["\r\n", "\n", "\r", "X: y", "X", ":", "\t", "\0"]


@settings(max_examples=1500)
@given(st.lists(st.sampled_from(PARTS), max_size=12), st.sampled_from(["", "0\r\n\r\n", "\r\n0\r\n\r\n", "\r\n\r\n"]))
def test_what_we_take_llhttp_takes_and_understands_alike(parts: list[str], end: str) -> None:
    message = ("".join(parts) + end).encode()
    ours = ChunkedFraming(LIMITS)
    try:
        payload, _ = run(ours, [message])
    except Refusal:
        return
    if ours.complete:
        theirs = Llhttp(message)
        assert (theirs.complete, theirs.refused) == (True, False)
        assert theirs.body == payload


@pytest.mark.parametrize("size", [b"0" * 300, b"1;" + b"x" * 300])
def test_a_line_of_a_chunk_has_a_limit_even_when_it_never_ends(size: bytes) -> None:
    framing = ChunkedFraming(LIMITS)
    with pytest.raises(Refusal):
        for byte in size:
            framing.feed(memoryview(bytes([byte])))
