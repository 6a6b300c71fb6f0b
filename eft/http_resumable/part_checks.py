"""What a request says of its own body's checksum, before the body or in a trailer, as the check that the part has to pass."""

from __future__ import annotations

from base64 import b64decode
import binascii
from typing import Final

from eft.domain.digests import PART_CHECKSUMS, PartCheck
from eft.domain.errors import ChecksumMismatch, Invalid
from eft.http_resumable.digest_fields import CONTENT_ALGORITHMS, content_digests
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request

COUNTED_UNANNOUNCED: Final = 256 * 1024
"""Bytes of a body in chunks up to which a checksum may come in a trailer that was not announced: RFC 9110 §6.6.2 says only
that it should be, and so much is not durable yet and can be dropped."""

_TRAILERS: Final = {"Upload-Checksum": PART_CHECKSUMS, "Content-Digest": tuple(CONTENT_ALGORITHMS.values())}
"""Checksums that may come after the body, and the algorithms that each may name."""


def check_of(request: Request) -> PartCheck:
    """What the header fields declare and announce. Raises ChecksumUnknown, Invalid, Refusal."""
    check = PartCheck()
    _expect(check, request.headers)
    for name in _announced(request.headers):
        if request.content_length is not None:
            raise Refusal(400, "trailer-impossible", f"{name} is announced as a trailer, but the body is not chunked.")
        check.expect_later(_TRAILERS[name])
    return check


class Unannounced:
    """Counts the beginning of a body of which a checksum may come in a trailer that nobody announced."""

    def __init__(self) -> None:
        self._check = PartCheck()
        self._check.expect_later(PART_CHECKSUMS)
        self._room = COUNTED_UNANNOUNCED

    def update(self, piece: bytes) -> None:
        self._room -= len(piece)
        if self._room < 0:
            self._check = PartCheck()
        self._check.update(piece)

    def verify(self, trailers: Headers) -> bool:
        """Whether it could be counted. Raises ChecksumMismatch, ChecksumUnknown, Invalid, Refusal."""
        if not self._check:
            return False
        _expect(self._check, trailers)
        if not self._check.holds():
            raise ChecksumMismatch
        return True


def check_trailers(request: Request, check: PartCheck, counted: Unannounced | None) -> None:
    """To be called when the body has come: what its trailers declare is expected from here on; what they declare unannounced is
    verified at once, if `counted` has it all. None where that cannot be dropped any more.

    Raises ChecksumMismatch, ChecksumUnknown, Invalid; Refusal for a checksum that was announced and did not come, or that came
    unannounced after more than could be counted: then part of the body may be kept already, and it must not be passed over.
    """
    trailers, announced = request.body.trailers, _announced(request.headers)
    for name in _TRAILERS:
        if (name in trailers) == (name in announced) or (name in trailers and counted is not None and counted.verify(trailers)):
            continue
        what = "was announced as a trailer and did not come" if name in announced else "came in a trailer unannounced"
        remedy = f"Announce it with `Trailer: {name}` before the body, and send it after the last chunk."
        raise Refusal(400, "trailer-checksum", f"{name} {what}.", remedy)
    if announced:
        _expect(check, trailers)


async def brings_nothing(request: Request) -> bool:
    """Whether the body has no bytes. One in chunks is read for it, until it has one. Raises what reading it raises."""
    if request.content_length is not None:
        return request.content_length == 0
    async for _ in request.body:
        return False
    return True


def check_nothing(request: Request) -> None:
    """Verifies what is declared of a body that has no bytes, and was read. Raises ChecksumMismatch and what `check_of` and
    `check_trailers` raise."""
    check = check_of(request)
    check_trailers(request, check, Unannounced())
    if not check.holds():
        raise ChecksumMismatch


def _announced(headers: Headers) -> list[str]:
    named = headers.tokens("Trailer")
    return [name for name in _TRAILERS if name.lower() in named]


def _expect(check: PartCheck, headers: Headers) -> None:
    for algorithm, digest in (*_upload_checksum(headers), *content_digests(headers)):
        check.expect(algorithm, digest)


def _upload_checksum(headers: Headers) -> list[tuple[str, bytes]]:
    """Tus 1.0.0 §checksum: one algorithm and the digest in Base64."""
    said = headers.get_all("Upload-Checksum")
    if not said:
        return []
    algorithm, _, encoded = said[0].partition(" ")
    try:
        expected = b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        expected = b""
    if algorithm in PART_CHECKSUMS and (not expected or len(said) > 1):
        raise Invalid("Upload-Checksum is not one algorithm and one Base64 value.", "Send, for example, `sha1 BASE64`.")
    return [(algorithm, expected)]
