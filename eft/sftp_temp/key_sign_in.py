"""Signing in by public key, on one connection (RFC 4252 §7, RFC 8332).

A client first asks whether a key would do, without a signature, most often with every key that it has; then it signs. Asking is
no attempt: a person who has five keys and means to type the password must not be locked out by that. So a connection counts one
failure for the keys that it asks about under a name, and one for each that it signs with in vain, taken back when it signs in
after all; and it offers a limited number. A signature that is not the key's is an attempt like a wrong password.

Whether a name is unknown, a key not registered or an account over makes no difference to the answer, nor to the time it takes:
who is refused waits at least as long as looking takes.

asyncssh 2.24.1 has no public way to tell an offer from a signature, nor to refuse SHA-1: the private names below are used in this
file alone, and tests/unit/sftp/test_key_sign_in.py fails loudly where they are gone. Without this file everybody signs in by
password.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncssh
from asyncssh.packet import SSHPacket, String

from eft.domain.public_key import KINDS, RSA

SIGNATURES = {**{kind: (kind,) for kind in KINDS if kind != RSA}, RSA: ("rsa-sha2-512", "rsa-sha2-256")}
"""What a key of each kind may sign with. `ssh-rsa`, which is SHA-1, is not there."""
OFFERED = tuple(name for kind in KINDS for name in SIGNATURES[kind])
REFUSED_AFTER_S = 0.05
LARGEST_KEY = 4096
"""Bytes of an encoded key or signature that is looked at."""
SHA1_HINT = (
    "Your program signs with SHA-1 (ssh-rsa), which is not taken. Update it, or register an Ed25519 key, or use the password.\r\n"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A key under a user name. `signed` is None where it was only asked whether the key would do, else whether the signature is
    the key's; `sha1`: the signature is one that is not taken any more."""

    username: str
    blob: bytes
    signed: bool | None
    sha1: bool = False


def attach(connection: asyncssh.SSHServerConnection, judge: Callable[[Offer], Awaitable[bool]]) -> None:
    """Has every public key that the peer offers judged by `judge`. Call before anything was received."""

    async def validate(username: str, key_data: bytes, message: bytes, signature: bytes) -> bool:
        if not message:
            return await judge(Offer(username, key_data, None))
        session_id: bytes = vars(connection)["_session_id"]
        algorithm, signed = _verify(key_data, String(session_id) + message, message, signature)
        return await judge(Offer(username, key_data, signed, algorithm == "ssh-rsa"))

    vars(connection)["validate_public_key"] = validate


def _verify(blob: bytes, data: bytes, message: bytes, signature: bytes) -> tuple[str, bool]:
    """The algorithm of the signature, and whether it is one that is taken, the one that was announced, and right."""
    if len(blob) > LARGEST_KEY or len(signature) > LARGEST_KEY:
        return "", False
    try:
        kind = SSHPacket(blob).get_string().decode("ascii")
        algorithm = SSHPacket(signature).get_string().decode("ascii")
        if algorithm not in SIGNATURES.get(kind, ()) or algorithm != _announced(message):
            return algorithm, False
        return algorithm, bool(asyncssh.public_key.decode_ssh_public_key(blob).verify(data, signature))
    except Exception:  # Whatever a key that somebody made up has a library raise, it is a no.
        return "", False


def _announced(message: bytes) -> str:
    """The signature algorithm that a request names (RFC 4252 §7)."""
    packet = SSHPacket(message)
    packet.get_byte()
    for _ in range(3):  # user, service, method
        packet.get_string()
    packet.get_boolean()
    return packet.get_string().decode("ascii")
