"""Digests: exported and restored anywhere, and the checksums of parts."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest

from eft.domain import digests
from eft.domain.digests import EXPORTS, PART_CHECKSUMS, STATE_BYTES, PartChecksum, RunningDigest, parse_sha256
from eft.domain.errors import ChecksumUnknown, DigestInvalid

SAMPLE = random.Random(1).randbytes(5000)
CUTS = (0, 1, 55, 56, 63, 64, 65, 119, 127, 128, 129, 4999, 5000)

needs_exports = pytest.mark.skipif(not EXPORTS, reason="this interpreter has no libcrypto to export digest states from")


@needs_exports
@pytest.mark.parametrize("cut", CUTS)
def test_a_restored_digest_goes_on_exactly(cut: int) -> None:
    first = RunningDigest()
    first.update(SAMPLE[:cut])
    state = first.export()
    assert state is not None
    assert len(state) <= STATE_BYTES
    second = RunningDigest.restore(state)
    assert second is not None
    assert (second.count, second.hexdigest()) == (cut, hashlib.sha256(SAMPLE[:cut]).hexdigest())
    second.update(SAMPLE[cut:])
    assert second.hexdigest() == hashlib.sha256(SAMPLE).hexdigest()
    assert first.count == cut


@needs_exports
def test_a_digest_survives_being_exported_after_every_piece() -> None:
    rng, running, sent = random.Random(2), RunningDigest(), b""
    for _ in range(300):
        piece = rng.randbytes(rng.randrange(200))
        sent += piece
        running.update(piece)
        state = running.export()
        assert state is not None
        restored = RunningDigest.restore(state)
        assert restored is not None
        running = restored
    assert running.hexdigest() == hashlib.sha256(sent).hexdigest()


@needs_exports
def test_the_state_is_the_same_bytes_on_every_machine() -> None:
    running = RunningDigest()
    running.update(b"abc")
    initial = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"
    assert running.export() == bytes.fromhex("01" + "0000000000000003" + initial) + b"abc"


@needs_exports
@pytest.mark.parametrize("state", [b"", b"\x01", bytes(41), b"\x02" + bytes(40), b"\x01" + bytes(8 + 32) + b"x"])
def test_a_state_that_is_none_restores_nothing(state: bytes) -> None:
    assert RunningDigest.restore(state) is None


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))[:]])
def test_any_buffer_is_hashed_and_counted(wrap: type[bytes]) -> None:
    running = RunningDigest()
    running.update(wrap(SAMPLE))
    running.update(wrap(b""))
    assert (running.count, running.hexdigest()) == (5000, hashlib.sha256(SAMPLE).hexdigest())


def test_what_is_no_buffer_is_refused() -> None:
    for wrong in ("text", None, 5):
        with pytest.raises((TypeError, BufferError)):
            RunningDigest().update(wrong)  # type: ignore[arg-type]
    with pytest.raises((TypeError, BufferError)):
        RunningDigest().update(memoryview(SAMPLE)[::2])


def test_a_copy_goes_its_own_way() -> None:
    first = RunningDigest()
    first.update(b"abc")
    second = first.copy()
    second.update(b"def")
    assert first.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    assert second.hexdigest() == hashlib.sha256(b"abcdef").hexdigest()


def test_asking_for_the_digest_does_not_end_it() -> None:
    running = RunningDigest()
    running.update(b"abc")
    assert running.hexdigest() == running.hexdigest()
    running.update(b"d")
    assert running.hexdigest() == hashlib.sha256(b"abcd").hexdigest()


def test_without_libcrypto_digests_are_right_and_states_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = RunningDigest().export()
    monkeypatch.setattr(digests, "EXPORTS", False)
    running = RunningDigest()
    running.update(SAMPLE)
    assert running.copy().hexdigest() == hashlib.sha256(SAMPLE).hexdigest()
    assert running.export() is None
    assert exported is None or RunningDigest.restore(exported) is None


@pytest.mark.parametrize("algorithm", PART_CHECKSUMS)
def test_a_part_matches_its_checksum_and_no_other(algorithm: str) -> None:
    crc32 = zlib.crc32(SAMPLE).to_bytes(4, "big")
    expected = crc32 if algorithm == "crc32" else hashlib.new(algorithm, SAMPLE).digest()
    checksum = PartChecksum(algorithm)
    checksum.update(SAMPLE[:1000])
    checksum.update(memoryview(SAMPLE)[1000:])
    assert checksum.matches(expected)
    for wrong in (b"", expected[:-1], expected + b"\0", bytes(len(expected))):
        assert not checksum.matches(wrong)


def test_sha1_is_among_the_checksums() -> None:
    """tus 1.0.0 §checksum: servers must support at least SHA1."""
    assert "sha1" in PART_CHECKSUMS


def test_an_unknown_algorithm_is_refused() -> None:
    for algorithm in ("SHA1", "sha3", "", "crc32c"):
        with pytest.raises(ChecksumUnknown):
            PartChecksum(algorithm)


def test_a_declared_sha256_is_64_hexadecimal_digits() -> None:
    good = hashlib.sha256(b"").hexdigest()
    assert parse_sha256(good) == parse_sha256(f" {good.upper()}\n") == good
    for bad in ("", good[:-1], good + "0", "g" * 64, "\u0661" * 64, good[:32] + " " + good[32:]):
        with pytest.raises(DigestInvalid):
            parse_sha256(bad)
