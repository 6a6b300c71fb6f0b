"""What the SFTP door offers: ssh-audit's verdict on it, warning by warning, and the clients for whose sake each warning stays.

ssh-audit says that it is OpenSSH, and OpenSSH is offered less than the others (eft/sftp_temp/steering.py). So it is heard twice:
as it is, and through a relay that calls it by another name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import json
from pathlib import Path
import re
import sys
from typing import Any

import asyncssh
import pytest

from eft.sftp_temp import transport
from tests.fixtures.gateway import ROOT
from tests.interop.sftp_clients import OpenSsh, psftp_words, run
from tests.security.relay import Relay, kexinit_end, packet, relay
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened

AUDIT = Path(sys.executable).parent / "ssh-audit"
POLICY = ROOT / "docs" / "security" / "ssh-audit-policy.txt"
QUANTUM = "does not provide protection against post-quantum attacks"
WARNINGS_TO_OPENSSH = {"curve25519-sha256": QUANTUM, "curve25519-sha256@libssh.org": QUANTUM}
WARNINGS_TO_ALL = {**WARNINGS_TO_OPENSSH, "hmac-sha2-256": "using encrypt-and-MAC mode"}


def under_another_name(said: bytes) -> bytes:
    return re.sub(rb"\ASSH-2.0-OpenSSH_[^\r\n]*", b"SSH-2.0-Somebody_1.0", said)


async def audit(port: int, *arguments: str) -> tuple[int, str]:
    ended = await run(AUDIT, "--skip-rate-test", "-n", *arguments, "-p", str(port), "127.0.0.1")
    return ended.code, ended.said


async def verdict(port: int) -> dict[str, Any]:
    _, said = await audit(port, "-j")
    return dict(json.loads(said))


def notes(told: dict[str, Any], level: str) -> dict[str, str]:
    """What ssh-audit says of each algorithm at this level."""
    return {
        each["algorithm"]: "; ".join(each["notes"][level])
        for kind in ("kex", "key", "enc", "mac")
        for each in told[kind]
        if level in each.get("notes", {})
    }


@pytest.mark.parametrize("called", ["OpenSSH", "another"])
async def test_ssh_audit_finds_no_failure_and_only_the_warnings_that_clients_need(called: str) -> None:
    warnings = WARNINGS_TO_OPENSSH if called == "OpenSSH" else WARNINGS_TO_ALL
    async with opened() as door, relay(door.port, change=bytes if called == "OpenSSH" else under_another_name) as through:
        told = await verdict(through.port)
    assert notes(told, "fail") == {}
    assert notes(told, "warn") == warnings
    assert told["cves"] == []
    assert {each["algorithm"]: each.get("keysize") for each in told["key"]}["rsa-sha2-512"] == 3072
    assert "kex-strict-s-v00@openssh.com" in {each["algorithm"] for each in told["kex"]}
    offered = {each["algorithm"] for each in told["enc"]}
    assert offered == (set(transport.CIPHERS[:2]) if called == "OpenSSH" else set(transport.CIPHERS))


@pytest.mark.parametrize("change", [bytes, under_another_name])
async def test_the_published_policy_is_passed(change: Callable[[bytes], bytes]) -> None:
    async with opened() as door, relay(door.port, change=change) as through:
        code, said = await audit(through.port, "-P", str(POLICY))
    assert (code, "Passed" in said) == (0, True), said


def test_the_published_policy_is_what_the_door_has_and_no_more() -> None:
    told = dict(re.findall(r"^([a-z ]+) = (.*)$", POLICY.read_text(), re.MULTILINE))
    assert told["key exchanges"].split(", ") == [*transport.KEY_EXCHANGE, "ext-info-s", "kex-strict-s-v00@openssh.com"]
    assert told["ciphers"].split(", ") == list(transport.CIPHERS)
    assert told["macs"].split(", ") == list(transport.MACS)


# For whom


async def openssh(work: Path, port: int) -> None:
    ended = await OpenSsh(work, port).sftp("ls")
    assert ended.code == 0, ended.said


async def psftp(work: Path, port: int) -> None:
    ended = await run(*psftp_words("psftp", port), f"{USER}@127.0.0.1", stdin="ls\n", environment={"HOME": str(work)})
    assert "from-support" in ended.said, ended.said


async def curl(work: Path, port: int) -> None:
    ended = await run("curl", "-sS", "-k", "-u", f"{USER}:{PASSWORD}", f"sftp://127.0.0.1:{port}/")
    assert "from-support" in ended.said, ended.said


async def rclone(work: Path, port: int) -> None:
    obscured = (await run("rclone", "obscure", PASSWORD)).said.strip()
    told = ["--sftp-host", "127.0.0.1", "--sftp-port", str(port), "--sftp-user", USER, "--sftp-pass", obscured]
    ended = await run("rclone", "lsf", ":sftp:/", *told, "--config", work / "none")
    assert "from-support" in ended.said, ended.said


def connected(through: Relay) -> Any:
    """asyncssh's client, through a relay."""
    told = {"username": USER, "password": PASSWORD, "known_hosts": None, "client_keys": None, "config": None}
    return asyncssh.connect("127.0.0.1", through.port, **told)


Client = Callable[[Path, int], Awaitable[None]]


async def offered_by(client: Client, work: Path) -> dict[str, list[str]]:
    """What a client offers in its KEXINIT, when it lists a door's directory, which has to work."""
    async with opened() as door, relay(door.port) as through:
        await client(work, through.port)
        return through.offered(0)


def agreed(offered: list[str], ours: tuple[str, ...]) -> str | None:
    """RFC 4253 §7.1: the first of the client's that the server has."""
    return next((name for name in offered if name in ours), None)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(openssh, marks=pytest.mark.needs("sftp")),
        pytest.param(psftp, marks=pytest.mark.needs("psftp")),
        pytest.param(curl, marks=pytest.mark.needs("curl")),
        pytest.param(rclone, marks=pytest.mark.needs("rclone")),
    ],
    ids=lambda client: client.__name__,
)
async def test_without_curve25519_a_client_of_today_could_not_connect(client: Client, tmp_path: Path) -> None:
    offered = await offered_by(client, tmp_path)
    assert agreed(offered["kex"], transport.KEY_EXCHANGE) == "curve25519-sha256"
    assert agreed(offered["kex"], transport.KEY_EXCHANGE[:1]) is None


@pytest.mark.needs("curl")
async def test_without_hmac_over_the_plaintext_libssh2_could_not_connect(tmp_path: Path) -> None:
    offered = await offered_by(curl, tmp_path)
    assert agreed(offered["mac"], transport.MACS) == "hmac-sha2-256"
    assert agreed(offered["mac"], transport.MACS[:-1]) is None
    assert agreed(offered["cipher"], tuple(name for name in transport.CIPHERS if "gcm" in name or "poly1305" in name)) is None


async def test_who_has_a_key_exchange_that_withstands_quantum_computers_gets_it() -> None:
    async with opened() as door, relay(door.port) as through:
        async with connected(through):
            pass
        assert agreed(through.offered()["kex"], transport.KEY_EXCHANGE) == "mlkem768x25519-sha256"


# Strict key exchange (Terrapin, CVE-2023-48795)

IGNORE = packet(b"\x02" + b"\0\0\0\x04test")


def with_a_packet_more(said: bytes) -> bytes:
    """A packet that nobody signs, put in by someone on the way, so that later one can be taken out."""
    end = kexinit_end(said)
    return said[:end] + IGNORE + said[end:]


def with_a_packet_first(said: bytes) -> bytes:
    start = said.index(b"\n") + 1
    return said[:start] + IGNORE + said[start:]


def without_strict(said: bytes) -> bytes:
    """The same client as one that does not know strict key exchange: its offer is one of as many letters that nobody knows."""
    return said.replace(b"kex-strict-c-v00@openssh.com", b"kex-nobody-c-v00@openssh.com")


async def told_to(door: OpenDoor, change: Callable[[bytes], bytes]) -> bytes:
    """All that a client is told that says its version and a KEXINIT, changed so on the way, and nothing more."""
    async with relay(door.port) as through, connected(through):
        said = bytes(through.heard[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(change(said[: kexinit_end(said)]))
    await writer.drain()
    told = b""
    while b"ssh-ed25519" not in told:
        told += await asyncio.wait_for(reader.read(65536), 60)
    writer.write_eof()
    told += await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return told


@pytest.mark.parametrize("change", [with_a_packet_more, with_a_packet_first])
async def test_a_packet_put_into_the_handshake_ends_it(change: Callable[[bytes], bytes]) -> None:
    """Without strict key exchange it would only shift the count of packets, by which one could be left out afterwards."""
    async with opened() as door:
        assert b"Strict key exchange violation" in await told_to(door, change)
        assert b"Strict key exchange violation" not in await told_to(door, bytes)
        assert b"Strict key exchange violation" not in await told_to(door, lambda said: change(without_strict(said)))


async def test_packets_are_counted_anew_after_each_key_exchange() -> None:
    """Both sides count from 0 after NEWKEYS: chacha20-poly1305 works with the count, so that a miscount is a wrong MAC."""
    async with (
        opened() as door,
        door.connect(encryption_algs=["chacha20-poly1305@openssh.com"], rekey_bytes=50_000) as connection,
        connection.start_sftp_client() as sftp,
        sftp.open("a", "wb") as file,
    ):
        assert vars(connection)["_strict_kex"]
        for offset in range(0, 400_000, 20_000):
            await file.write(bytes(20_000), offset)
        (live,) = door.door._connections
        assert vars(live._ssh)["_recv_seq"] < 20
