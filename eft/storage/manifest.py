"""The manifest of a file: which ranges of which segments it is, in order, with its size and SHA-256.

Sealed under the case's key at publication, it is what binds the segments together: none can be dropped, swapped, cut or put
elsewhere without the manifest saying so. It names no file of the client.
"""

from __future__ import annotations

from dataclasses import dataclass
import json

from eft.domain.digests import parse_sha256
from eft.domain.errors import Tampered
from eft.storage.seal import manifest_info, seal, unseal
from eft.storage.segment_format import uid_bytes

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """The plaintext `[start, end)` of the file, in the segment that this upload and epoch made: there it is at
    `[start - shift, end - shift)`."""

    upload: str
    epoch: int
    start: int
    end: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """One finished file. Pieces may overlap, then the later one in the tuple wins; together they cover `[0, size)` without a gap.

    Raises ValueError where they do not.
    """

    upload: str
    segments: tuple[Piece, ...]
    size: int
    sha256: str

    def __post_init__(self) -> None:
        reached = 0
        for piece in sorted(self.segments, key=lambda piece: piece.start):
            uid_bytes(piece.upload)
            if not 0 <= piece.start < piece.end <= self.size or piece.start > reached or piece.shift > piece.start:
                raise ValueError("the pieces of a manifest do not cover the file")
            reached = max(reached, piece.end)
        if reached != self.size or self.sha256 != parse_sha256(self.sha256):
            raise ValueError("the pieces of a manifest do not cover the file, or its digest is none")


def seal_manifest(key: bytes, region: str, case: str, manifest: Manifest) -> bytes:
    """The manifest for its row. `key` is the case's key, `case` its uid."""
    text = json.dumps(
        {
            "format": _FORMAT,
            "size": manifest.size,
            "sha256": manifest.sha256,
            "segments": [_stated(piece) for piece in manifest.segments],
        },
        separators=(",", ":"),
    )
    return seal(key, manifest_info(region, case, manifest.upload), text.encode())


def _stated(piece: Piece) -> list[str | int]:
    """A piece that lies where it was written is stated in four members, as it always was."""
    stated: list[str | int] = [piece.upload, piece.epoch, piece.start, piece.end]
    return [*stated, piece.shift] if piece.shift else stated


def open_manifest(key: bytes, region: str, case: str, upload: str, sealed: bytes) -> Manifest:
    """Raises Tampered: also where it was sealed for another region, case or upload."""
    content = json.loads(unseal(key, manifest_info(region, case, upload), sealed))
    if content["format"] != _FORMAT:
        raise Tampered
    return Manifest(upload, tuple(Piece(*piece) for piece in content["segments"]), content["size"], content["sha256"])
