"""The recipe that the page and the client share."""

from __future__ import annotations

import hashlib
import io

import pytest

from eft.client.fingerprint import SPAN, fingerprint


@pytest.mark.parametrize("size", [0, 1, SPAN - 1, SPAN, SPAN + 1, 3 * SPAN])
def test_it_is_the_digest_of_size_head_and_tail(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    span = min(SPAN, size)
    expected = hashlib.sha256(str(size).encode() + b"\n" + data[:span] + data[size - span :]).hexdigest()
    assert fingerprint(io.BytesIO(data), size) == expected
