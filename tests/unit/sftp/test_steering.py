"""OpenSSH gets AES-GCM, everybody else what suits them. These tests fail where asyncssh's private names are gone."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.sftp.doors import opened


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        ("OpenSSH_9.2p1", "aes256-gcm@openssh.com"),
        ("PuTTY_Release_0.78", "aes256-ctr"),
        ("libssh2_1.10.0", "aes256-ctr"),
    ],
)
async def test_the_cipher_suits_the_client(version: str, cipher: str) -> None:
    ciphers = ["aes256-ctr", "aes256-gcm@openssh.com"]
    async with opened() as door, door.connect(client_version=version, encryption_algs=ciphers) as connection:
        assert connection.get_extra_info("send_cipher") == cipher


async def test_a_rekeying_keeps_to_it() -> None:
    ciphers = ["aes256-ctr", "aes128-gcm@openssh.com"]
    options = {"client_version": "OpenSSH_9.2p1", "encryption_algs": ciphers, "rekey_bytes": 100_000}
    async with opened() as door, door.connect(**options) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/a", "wb") as file:
            await file.write(bytes(1_000_000))
        assert (await sftp.stat("/a")).size == 1_000_000
        assert connection.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"


async def test_an_openssh_that_was_told_to_use_another_cipher_gets_it() -> None:
    for cipher in ("aes256-ctr", "chacha20-poly1305@openssh.com"):
        async with opened() as door, door.connect(client_version="OpenSSH_9.2p1", encryption_algs=[cipher]) as connection:
            assert connection.get_extra_info("send_cipher") == cipher


async def test_a_version_and_a_kexinit_in_one_segment_are_answered() -> None:
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        names = [b"curve25519-sha256", b"ssh-ed25519", b"aes128-ctr,aes128-gcm@openssh.com", b"aes128-ctr", b"hmac-sha2-256"]
        lists = [*names[:3], names[2], names[4], names[4], b"none", b"none", b"", b""]
        payload = bytes([20]) + bytes(16) + b"".join(len(one).to_bytes(4) + one for one in lists) + bytes(5)
        padding = 8 + -(len(payload) + 5 + 8) % 8
        packet = (len(payload) + padding + 1).to_bytes(4) + bytes([padding]) + payload + bytes(padding)
        writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n" + packet)
        said = await asyncio.wait_for(reader.readuntil(b"aes128-gcm@openssh.com"), 5)
        assert said.startswith(b"SSH-2.0-eft\r\n")
        assert b"aes128-ctr" not in said
        writer.close()
