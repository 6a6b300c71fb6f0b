"""The keys by which clients know this gateway."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import os
from pathlib import Path
from typing import Any

import asyncssh

from eft.domain.errors import UnsafeSetting

ED25519, RSA = "ssh_host_ed25519_key", "ssh_host_rsa_key"
SIGNATURES = (b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256")
"""SHA-1 signatures with the RSA key are not offered."""
_SSHFP_ALGORITHMS = {"ssh-rsa": 1, "ssh-ed25519": 4}
_SSHFP_SHA256 = 2


def generate_host_keys(directory: Path) -> tuple[Path, ...]:
    """Creates the keys that are not there yet, Ed25519 and RSA with 3,072 bits, readable by their owner alone. The paths of both.

    A key that exists is never touched: clients have pinned it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = (directory / ED25519, directory / RSA)
    for path, algorithm, options in zip(made, ("ssh-ed25519", "ssh-rsa"), ({}, {"key_size": 3072}), strict=True):
        if not path.exists():
            _write_once(path, asyncssh.generate_private_key(algorithm, comment="", **options).export_private_key())
    return made


def _write_once(path: Path, text: bytes) -> None:
    """Either the whole file with mode 0600, durable, or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(files: Sequence[Path]) -> list[asyncssh.SSHKeyPair]:
    """The keys, with the signature algorithms that are offered. Of several keys of one type the first is shown to clients, and
    the others are announced to them, so that a new key can take over from an old one.

    Raises UnsafeSetting where one cannot be read or may be read by others.
    """
    pairs: list[asyncssh.SSHKeyPair] = []
    for path in files:
        try:
            if path.stat().st_mode & 0o077:
                raise UnsafeSetting(f"The host key {path} can be read by others.", f"chmod 600 {path}")
            found: Any = asyncssh.load_keypairs([str(path)])
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error
        pairs.extend(found)
    for pair in pairs:
        pair.host_key_algorithms = [name for name in SIGNATURES if name in pair.host_key_algorithms]
    if not any(pair.host_key_algorithms for pair in pairs):
        raise UnsafeSetting("There is no SFTP host key of type Ed25519 or RSA.", "Set sftp.host_keys.")
    return pairs


def _read(files: Sequence[Path]) -> list[asyncssh.SSHKey]:
    keys = []
    for path in files:
        try:
            keys.append(asyncssh.read_private_key(str(path)))
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error
    return keys


def _unusable(path: Path, error: Exception) -> UnsafeSetting:
    if isinstance(error, FileNotFoundError):
        return UnsafeSetting(f"sftp.host_keys: there is no file {path}.", "Create it, or correct the setting.")
    why = error.strerror if isinstance(error, OSError) else error
    return UnsafeSetting(
        f"sftp.host_keys: the host key {path} cannot be used: {why}.", "Name a private key without a passphrase."
    )


def fingerprints(files: Sequence[Path]) -> list[str]:
    """`SHA256:…` of each, as clients show them. Raises UnsafeSetting."""
    return [pair.get_fingerprint("sha256") for pair in _read(files)]


def sshfp_records(host: str, files: Sequence[Path]) -> list[str]:
    """A line of DNS zone text for each key, with the SHA-256 of its public half (RFC 4255, RFC 6594, RFC 7479).

    Raises UnsafeSetting.
    """
    keys = _read(files)
    return [
        f"{host.rstrip('.')}. IN SSHFP {_SSHFP_ALGORITHMS[key.get_algorithm()]} {_SSHFP_SHA256} "
        f"{hashlib.sha256(key.public_data).hexdigest()}"
        for key in keys
    ]
