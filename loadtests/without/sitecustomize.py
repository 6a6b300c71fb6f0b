"""Takes the digest, the sealing, the syncs or the password hash away from a gateway, for a benchmark, from outside.

Python imports a module of this name at its start where PYTHONPATH leads to it. The bench sets that, and EFT_BENCH_WITHOUT, for a
gateway made for the run alone (`loadtests/sftp_servers.py`); the product has no setting for it. What is to be replaced must be
there: a gateway that would be measured with all its parts does not start.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import SimpleNamespace
from typing import Any


def _replace(owner: Any, name: str, new: Any) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} to replace")
    setattr(owner, name, new)


def _without_digest() -> None:
    """Every file has the digest of no bytes at all."""
    import hashlib

    from eft.domain import digests
    from eft.transfers import publication

    def count_only(running: digests.RunningDigest, data: bytes | bytearray | memoryview) -> None:
        running.count += data.nbytes if isinstance(data, memoryview) else len(data)

    def export(running: digests.RunningDigest) -> bytes:
        return digests._STATE.pack(1, running.count, bytes(32)) + bytes(running.count % 64)

    _replace(digests.RunningDigest, "update", count_only)
    _replace(digests.RunningDigest, "export", export)
    _replace(publication, "hashlib", SimpleNamespace(sha256=lambda data=b"": hashlib.sha256()))


class _Open:
    """In the place of AESGCM: bytes as they are, and an empty tag."""

    def __init__(self, key: bytes) -> None:
        self._tag = bytes(16)

    def encrypt(self, nonce: bytes, data: Any, associated: bytes | None) -> bytes:
        return b"".join((data, self._tag))

    def encrypt_into(self, nonce: bytes, data: Any, associated: bytes | None, out: Any) -> int:
        size = len(data)
        out[:size], out[size : size + 16] = data, self._tag
        return size + 16

    def decrypt(self, nonce: bytes, data: Any, associated: bytes | None) -> bytes:
        return bytes(data[:-16])

    def decrypt_into(self, nonce: bytes, data: Any, associated: bytes | None, out: Any) -> int:
        out[: len(data) - 16] = data[:-16]
        return len(data) - 16


def _without_seal() -> None:
    """Segments and small files are stored as they came. Keys are stored as ever, and TLS and SSH stay."""
    from eft.storage import seal, segment_format

    _replace(segment_format, "AESGCM", _Open)
    _replace(seal, "AESGCM", _Open)


def _without_fsync() -> None:
    """Nothing is waited for: no file, no directory, no transaction."""
    from eft.db import sqlite

    _replace(os, "fsync", lambda descriptor: None)
    _replace(os, "fdatasync", lambda descriptor: None)
    durable = "PRAGMA synchronous=FULL"
    if durable not in sqlite._PRAGMAS:
        raise AttributeError(f"{durable} is not among the pragmas")
    _replace(sqlite, "_PRAGMAS", ("PRAGMA synchronous=OFF", *(each for each in sqlite._PRAGMAS if each != durable)))


def _without_hash() -> None:
    """Any password is right at once."""
    from eft.accounts import passwords

    async def matches(_: passwords.Passwords, password: str, password_hash: str | None) -> bool:
        return bool(password_hash)

    _replace(passwords.Passwords, "matches", matches)


PARTS = {"digest": _without_digest, "seal": _without_seal, "fsync": _without_fsync, "hash": _without_hash}

if os.environ.get("EFT_BENCH_WITHOUT"):
    try:
        for part in os.environ["EFT_BENCH_WITHOUT"].split(","):
            PARTS[part]()
    except BaseException:
        # Python goes on after a failure here, with a gateway that has all its parts.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)
