"""Sealing of small things that live in database rows: each under a key of its own, derived from the case's key."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eft.domain.errors import Tampered
from eft.storage.segment_format import NONCE, SALT, TAG, derive, uid_bytes

_VERSION = 1
OVERHEAD = 1 + SALT + TAG
"""Bytes that a seal adds."""


def seal_inline(key: bytes, region: str, case: str, upload: str, plaintext: bytes) -> bytes:
    """A small file, sealed for its row. `key` is the case's key, `case` its uid."""
    return seal(key, _info(b"inline", region, case, upload), plaintext)


def open_inline(key: bytes, region: str, case: str, upload: str, sealed: bytes) -> bytes:
    """The plaintext. Raises Tampered: also where it was sealed for another region, case or upload."""
    return unseal(key, _info(b"inline", region, case, upload), sealed)


def seal(key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Version, 32 bytes of fresh salt, ciphertext, tag. The key derived from the salt is used once, so its nonce is zero."""
    salt = os.urandom(SALT)
    head = bytes([_VERSION])
    return head + salt + AESGCM(derive(key, salt, info)).encrypt(bytes(NONCE), plaintext, head)


def unseal(key: bytes, info: bytes, sealed: bytes) -> bytes:
    """Raises Tampered."""
    if len(sealed) < OVERHEAD or sealed[0] != _VERSION:
        raise Tampered
    try:
        return AESGCM(derive(key, sealed[1 : 1 + SALT], info)).decrypt(bytes(NONCE), sealed[1 + SALT :], sealed[:1])
    except InvalidTag:
        raise Tampered from None


def _info(kind: bytes, region: str, case: str, upload: str) -> bytes:
    return b"eft " + kind + b"\0" + region.encode() + b"\0" + uid_bytes(case) + uid_bytes(upload)


def manifest_info(region: str, case: str, upload: str) -> bytes:
    """What a manifest's key is bound to."""
    return _info(b"manifest", region, case, upload)
