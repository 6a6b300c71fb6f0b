"""Small things sealed for their rows: inline files and manifests."""

from __future__ import annotations

import hashlib
import os

import pytest

from eft.domain.errors import Tampered
from eft.storage.manifest import Manifest, Piece, open_manifest, seal_manifest
from eft.storage.seal import OVERHEAD, open_inline, seal_inline

KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
CASE, UPLOAD, OTHER = "c" * 32, "a" * 32, "b" * 32
SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("size", [0, 1, 32 * 1024])
def test_an_inline_file_comes_back_for_its_own_place_alone(size: int) -> None:
    content = os.urandom(size)
    sealed = seal_inline(KEY, "us", CASE, UPLOAD, content)
    assert len(sealed) == size + OVERHEAD
    assert open_inline(KEY, "us", CASE, UPLOAD, sealed) == content
    for place in (
        (OTHER_KEY, "us", CASE, UPLOAD),
        (KEY, "emea", CASE, UPLOAD),
        (KEY, "us", OTHER, UPLOAD),
        (KEY, "us", CASE, OTHER),
    ):
        with pytest.raises(Tampered):
            open_inline(*place, sealed)


def test_every_altered_byte_is_found() -> None:
    sealed = seal_inline(KEY, "us", CASE, UPLOAD, b"content")
    for at in range(len(sealed)):
        with pytest.raises(Tampered):
            open_inline(KEY, "us", CASE, UPLOAD, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
    for short in (b"", sealed[:-1], sealed[:OVERHEAD]):
        with pytest.raises(Tampered):
            open_inline(KEY, "us", CASE, UPLOAD, short)


def test_the_same_content_never_seals_to_the_same_bytes() -> None:
    assert len({seal_inline(KEY, "us", CASE, UPLOAD, b"x") for _ in range(50)}) == 50


def test_a_manifest_comes_back_for_its_own_place_alone() -> None:
    manifest = Manifest(UPLOAD, (Piece(OTHER, 1, 0, 100), Piece(UPLOAD, 3, 100, 250), Piece(UPLOAD, 4, 50, 120)), 250, SHA256)
    sealed = seal_manifest(KEY, "us", CASE, manifest)
    assert open_manifest(KEY, "us", CASE, UPLOAD, sealed) == manifest
    for place in (
        (OTHER_KEY, "us", CASE, UPLOAD),
        (KEY, "emea", CASE, UPLOAD),
        (KEY, "us", OTHER, UPLOAD),
        (KEY, "us", CASE, OTHER),
    ):
        with pytest.raises(Tampered):
            open_manifest(*place, sealed)


def test_a_manifest_is_no_inline_file() -> None:
    with pytest.raises(Tampered):
        open_inline(KEY, "us", CASE, UPLOAD, seal_manifest(KEY, "us", CASE, Manifest(UPLOAD, (), 0, SHA256)))


def test_the_manifest_of_an_empty_file_has_no_pieces() -> None:
    manifest = Manifest(UPLOAD, (), 0, SHA256)
    assert open_manifest(KEY, "us", CASE, UPLOAD, seal_manifest(KEY, "us", CASE, manifest)) == manifest


@pytest.mark.parametrize(
    "pieces",
    [(), ((1, 100),), ((0, 99),), ((0, 101),), ((0, 50), (51, 100)), ((0, 0), (0, 100)), ((-1, 100),), ((60, 40), (0, 100))],
)
def test_pieces_that_do_not_cover_the_file_are_refused(pieces: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError):
        Manifest(UPLOAD, tuple(Piece(UPLOAD, 1, *piece) for piece in pieces), 100, SHA256)


def test_a_manifest_without_a_digest_or_with_a_strange_id_is_refused() -> None:
    with pytest.raises(ValueError):
        Manifest(UPLOAD, (Piece("../x", 1, 0, 100),), 100, SHA256)
    with pytest.raises(ValueError):
        Manifest(UPLOAD, (), 0, SHA256.upper())
