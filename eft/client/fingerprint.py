"""What tells one file's content from another's of the same name and size without reading all of it."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

SPAN = 1024 * 1024


def fingerprint(file: BinaryIO, size: int) -> str:
    """Lower-case hex of the SHA-256 over the size in decimal digits, a line feed, the first and the last 1 MiB (which may
    overlap): the recipe of the Transfer Files page, so that either goes on with what the other began. `size` in bytes."""
    digest = hashlib.sha256(f"{size}\n".encode())
    span = min(SPAN, size)
    for start in (0, size - span):
        file.seek(start)
        digest.update(file.read(span))
    return digest.hexdigest()
