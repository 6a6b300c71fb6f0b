"""Signing in by public key over a real connection, with asyncssh's client, over fakes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import cache
from typing import Any

import asyncssh
from asyncssh.packet import Boolean, Byte, String
import pytest

from eft.domain.errors import WrongRegion
from eft.sftp_temp.key_sign_in import OFFERED, SHA1_HINT, _verify
from tests.unit.sftp.doors import USER, OpenDoor, opened

KINDS = {
    "ssh-ed25519": {},
    "ecdsa-sha2-nistp256": {},
    "ecdsa-sha2-nistp384": {},
    "ecdsa-sha2-nistp521": {},
    "ssh-rsa": {"key_size": 2048},
}


@cache
def key(kind: str = "ssh-ed25519", number: int = 0) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind, **KINDS[kind])


def register(door: OpenDoor, registered: asyncssh.SSHKey, username: str = USER) -> None:
    door.keys.blobs.setdefault(username, set()).add(registered.public_data)


def by_key(door: OpenDoor, *offered: asyncssh.SSHKey, **options: Any) -> Any:
    return door.connect(password=None, client_keys=list(offered), preferred_auth="publickey", **options)


class Listener(asyncssh.SSHClient):
    """Keeps the banners."""

    def __init__(self) -> None:
        self.banners: list[str] = []

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banners.append(msg)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_registered_key_opens_its_account(kind: str) -> None:
    async with opened() as door:
        register(door, key(kind))
        async with by_key(door, key(kind)) as ssh, ssh.start_sftp_client() as sftp, sftp.open("a", "wb") as file:
            await file.write(b"bytes")
        assert door.keys.asked == [USER]
        assert door.keys.signed == [(USER, True, "127.0.0.1")]
        assert {actor.name for actor in door.directory.actors} == {f"sftp:{USER}"}
        assert not door.door.limiter.count("127.0.0.1")
        assert not door.door.account_limiter.count(USER)


async def test_a_key_opens_no_other_account() -> None:
    async with opened() as door:
        door.accounts.add("eft_us_other", "other")
        register(door, key(), "eft_us_other")
        with pytest.raises(asyncssh.PermissionDenied):
            await by_key(door, key())
        assert door.keys.signed == []


async def test_methods_are_the_same_for_whoever_asks() -> None:
    async with opened() as door:
        register(door, key())
        for name in (USER, "eft_us_nobody"):
            methods = await asyncssh.get_server_auth_methods("127.0.0.1", door.port, username=name)
            assert set(methods) == {"publickey", "keyboard-interactive", "password"}


async def test_signatures_that_are_taken_are_told() -> None:
    assert set(OFFERED) == {*(kind for kind in KINDS if kind != "ssh-rsa"), "rsa-sha2-512", "rsa-sha2-256"}
    async with opened() as door:
        register(door, key())
        async with by_key(door, key()) as ssh:
            assert vars(ssh)["_server_sig_algs"] == {name.encode() for name in OFFERED}


async def test_an_unknown_user_and_a_wrong_key_are_refused_alike_and_not_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with opened(failed_attempts_per_address=1000) as door:
        register(door, key(number=1))
        for name in (USER, "eft_us_nobody"):
            began = loop.time()
            with pytest.raises(asyncssh.PermissionDenied) as refused:
                await by_key(door, key(), username=name)
            assert refused.value.reason == f"Permission denied for user {name} on host 127.0.0.1"
            assert loop.time() - began >= 0.05
        assert door.keys.asked == [USER, "eft_us_nobody"]


async def test_who_offers_many_keys_can_still_type_the_password() -> None:
    async with opened(
        failed_attempts_per_address=2, failed_attempts_per_account=2, failed_attempt_forgotten_after_s=600.0
    ) as door:
        keys = [key(number=number) for number in range(12)]
        for _ in range(3):
            async with door.connect(client_keys=keys, preferred_auth="publickey,password"):
                pass
        assert len(door.keys.asked) == 36
        assert not door.door.limiter.count("127.0.0.1")


async def test_no_connection_offers_keys_without_end() -> None:
    async with opened(keys_per_connection=3) as door:
        with pytest.raises(asyncssh.DisconnectError, match="IdentitiesOnly=yes"):
            await by_key(door, *(key(number=number) for number in range(5)))
        assert len(door.keys.asked) == 3


async def test_offers_that_lead_nowhere_count_for_address_and_account() -> None:
    async with opened(failed_attempts_per_address=2, failed_attempt_forgotten_after_s=600.0) as door:
        register(door, key(number=9))
        for _ in range(2):
            with pytest.raises(asyncssh.PermissionDenied):
                await by_key(door, key(number=1), key(number=2))
        assert round(door.door.account_limiter.count(USER)) == 2
        asked = len(door.keys.asked)
        with pytest.raises(asyncssh.Error):
            await by_key(door, key(number=9))
        assert len(door.keys.asked) == asked


async def test_each_key_that_signs_in_vain_counts_until_the_connection_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As paramiko does, which asks nothing first: here the door says to every question that the key would do."""

    async with opened(failed_attempt_forgotten_after_s=600.0) as door:

        async def any_key(username: str, _blob: bytes) -> Any:
            return door.accounts.accounts[username][1]

        monkeypatch.setattr(door.keys, "known", any_key)
        keys = [key(number=number) for number in range(4)]
        with pytest.raises(asyncssh.PermissionDenied):
            await by_key(door, *keys)
        assert round(door.door.limiter.count("127.0.0.1")) == 5
        async with door.connect(client_keys=keys, preferred_auth="publickey,password", local_addr=("127.0.0.2", 0)):
            pass
        assert not door.door.limiter.count("127.0.0.2")
        assert len(door.keys.signed) == 8


async def test_a_registered_key_does_not_open_a_blocked_account_to_an_address_with_failures() -> None:
    async with opened(failed_attempts_per_account=1, failed_attempt_forgotten_after_s=600.0) as door:
        register(door, key())
        with pytest.raises(asyncssh.PermissionDenied):
            await door.connect(password="wrong")
        with pytest.raises(asyncssh.PermissionDenied):
            await by_key(door, key())
        assert door.keys.asked == []
        async with by_key(door, key(), local_addr=("127.0.0.2", 0)):
            pass


async def test_an_account_that_is_over_is_not_opened_by_its_key() -> None:
    async with opened() as door:
        register(door, key())
        door.clock.ahead = timedelta(hours=120)
        with pytest.raises(asyncssh.PermissionDenied):
            await by_key(door, key())


async def test_the_last_hour_and_another_region_are_told_once() -> None:
    async with opened() as door:
        register(door, key())
        door.clock.ahead = timedelta(hours=119.5)
        heard = Listener()
        async with by_key(door, key(), client_factory=lambda: heard):
            pass
        assert len(heard.banners) == 1
        assert "in 29 minutes" in heard.banners[0]

    async def elsewhere(username: str, blob: bytes) -> Any:
        raise WrongRegion("emea", "sftp://emea.example:22")

    async with opened() as door:
        door.keys.known = elsewhere  # type: ignore[method-assign]
        heard = Listener()
        with pytest.raises(asyncssh.PermissionDenied):
            await by_key(door, *(key(number=number) for number in range(3)), client_factory=lambda: heard)
        assert heard.banners == ["This account belongs to the region emea: connect to sftp://emea.example:22\r\n"]


async def test_a_signature_with_sha_1_is_an_attempt_that_fails_and_is_told_why() -> None:
    async with opened(attempts_per_connection=1) as door:
        register(door, key("ssh-rsa"))
        heard = Listener()
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
            await by_key(door, key("ssh-rsa"), client_factory=lambda: heard, signature_algs=["ssh-rsa"])
        assert heard.banners == [SHA1_HINT]
        assert door.keys.signed == [(USER, False, "127.0.0.1")]
        assert round(door.door.limiter.count("127.0.0.1")) == 1


async def test_a_certificate_is_a_key_that_nobody_knows() -> None:
    authority = key(number=5)
    certified = authority.generate_user_certificate(key(), "somebody", principals=[USER])
    async with opened() as door:
        register(door, authority)
        with pytest.raises(asyncssh.PermissionDenied):
            await door.connect(password=None, client_keys=[(key(), certified)], preferred_auth="publickey", agent_path=None)
        assert door.keys.signed == []


def _request(algorithm: str, blob: bytes) -> bytes:
    return (
        Byte(50) + b"".join(map(String, (USER, "ssh-connection", "publickey"))) + Boolean(True) + String(algorithm) + String(blob)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_counts_for_exactly_what_was_signed(kind: str) -> None:
    mine = key(kind)
    algorithm = "rsa-sha2-256" if kind == "ssh-rsa" else kind
    blob, message = mine.public_data, _request(algorithm, mine.public_data)
    signature = mine.sign(message, algorithm.encode())
    assert _verify(blob, message, message, signature) == (algorithm, True)
    assert _verify(blob, message + b"x", message, signature) == (algorithm, False)
    assert _verify(key(kind, 1).public_data, message, message, signature) == (algorithm, False)
    assert _verify(blob, message, _request("rsa-sha2-512", blob), signature) == (algorithm, False)
    for damaged in (b"", signature[:-1], signature + b"x", signature[:4], bytes(len(signature)), bytes(5000)):
        assert not _verify(blob, message, message, damaged)[1]
    for damaged in (b"", blob[:-1], blob[:6], bytes(5000)):
        assert not _verify(damaged, message, message, signature)[1]


def test_the_private_names_of_asyncssh_are_where_they_were() -> None:
    assert asyncssh.__version__ == "2.24.1"
    assert "self._conn.validate_public_key(self._username, key_data," in _source(asyncssh.auth)
    connection = _source(asyncssh.connection)
    assert "async def validate_public_key(self, username: str, key_data: bytes," in connection
    assert "key.verify(String(self._session_id) + msg, signature)" in connection


def _source(module: Any) -> str:
    with open(module.__file__) as file:
        return file.read()
