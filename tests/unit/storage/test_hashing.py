"""What is hashed by a helping thread is what would have been hashed here, whatever happens meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import hashlib
import random

import pytest

from eft.domain.digests import RunningDigest
from eft.transfers.hashing import LARGE, Hashers


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, 3 * LARGE])
def test_the_digest_has_the_parts_afterwards(size: int) -> None:
    digest, content = RunningDigest(), noise(size, size)
    with Hashers().hashed([content[: size // 3], memoryview(content)[size // 3 :]], digest):
        pass
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


def test_it_has_them_also_where_writing_failed_and_the_next_is_hashed_as_well() -> None:
    hashers, digest = Hashers(), RunningDigest()
    first, second = noise(LARGE, 1), noise(LARGE, 2)
    with pytest.raises(OSError, match="full"), hashers.hashed([first], digest):
        raise OSError("full")
    with hashers.hashed([second], digest):
        pass
    assert digest.hexdigest() == hashlib.sha256(first + second).hexdigest()


def test_without_a_digest_nothing_is_asked_of_anybody() -> None:
    with Hashers().hashed([noise(LARGE, 1)], None):
        pass


def test_more_than_there_are_helpers_are_hashed_all_the_same() -> None:
    hashers = Hashers()

    def one(seed: int) -> bool:
        digest, whole = RunningDigest(), hashlib.sha256()
        for number in range(20):
            content = noise(LARGE + number, seed * 100 + number)
            whole.update(content)
            with hashers.hashed([content], digest):
                pass
        return digest.hexdigest() == whole.hexdigest()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))
