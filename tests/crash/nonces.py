"""Watches AES-GCM: no nonce may be used twice under one key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PLACES = ("eft.storage.segment_format", "eft.storage.key_format", "eft.storage.seal")


class NonceLog:
    """Every seal made while it watches."""

    def __init__(self) -> None:
        self.used: set[tuple[bytes, bytes]] = set()

    def note(self, key: bytes, nonce: bytes) -> None:
        seal = (bytes(key), bytes(nonce))
        assert seal not in self.used, "a nonce was used twice under one key"
        self.used.add(seal)


@contextmanager
def watched_nonces() -> Iterator[NonceLog]:
    """All of storage's sealing inside goes through the log."""
    log = NonceLog()

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._key, self._real = key, AESGCM(key)
            self.decrypt, self.decrypt_into = self._real.decrypt, self._real.decrypt_into

        def encrypt(self, nonce: bytes, data: Any, associated: bytes) -> bytes:
            log.note(self._key, nonce)
            return self._real.encrypt(nonce, data, associated)

        def encrypt_into(self, nonce: bytes, data: Any, associated: bytes, out: Any) -> int:
            log.note(self._key, nonce)
            return self._real.encrypt_into(nonce, data, associated, out)

    with ExitStack() as patches:
        for place in _PLACES:
            patches.enter_context(mock.patch(f"{place}.AESGCM", Watched))
        yield log
