"""The SFTP port behind a real HAProxy, with the settings that docs/proxies.md prints: whose address counts, and whose word."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
import secrets
import sqlite3
import struct
from typing import Any

import asyncssh
import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.behind_proxies import Program, Proxy, documented, places, put_in, running

pytestmark = pytest.mark.needs("haproxy")

PROXY = "127.0.0.2"
"""Where HAProxy connects from, and nobody else but a test that plays it."""
LIMIT = 2
PATIENCE_S = 60


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"))
    told = f'[sftp]\nproxy_protocol_from = ["{PROXY}"]\nfailures_per_address = {LIMIT}\n'
    made.config.write_text(made.config.read_text().replace("[sftp]\n", told))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module", params=["send-proxy", "send-proxy-v2"])
def haproxy(
    request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, program: Program
) -> Iterator[Proxy]:
    here = places(tmp_path_factory.mktemp("haproxy") / "haproxy")
    server = f"server us1 127.0.0.1:{gateway.sftp_port} source {PROXY} {request.param}"
    config = here.directory / "haproxy.cfg"
    changed = {"bind :22": f"bind 127.0.0.1:{here.port}", "server us1 127.0.0.1:2221 send-proxy-v2": server}
    config.write_text(put_in(documented("HAProxy before the SFTP port"), **changed))
    with running([program("haproxy"), "-db", "-f", str(config)], here.port, here.directory / "log"):
        yield Proxy(gateway, here.port, here.ca)


@pytest.fixture
def account(haproxy: Proxy) -> dict[str, str]:
    case = haproxy.gateway.open_case(f"CS-{secrets.token_hex(4)}")
    return {"case": case, **haproxy.gateway.call("POST", f"cases/{case}/sftp-account")}


def connect(port: int, account: dict[str, str], source: str, **more: Any) -> Any:
    told = {"username": account["username"], "password": account["password"], "known_hosts": None, "client_keys": None, **more}
    return asyncssh.connect("127.0.0.1", port, local_addr=(source, 0), config=None, **told)


def audited(gateway: Gateway, case: str) -> set[str]:
    """Every address in the audit log of a case but that of these tests' calls."""
    with closing(sqlite3.connect(next(gateway.directory.rglob("eft.db")))) as database:
        found = database.execute("SELECT DISTINCT address FROM audit WHERE case_id = ?", (case,)).fetchall()
    return {address for (address,) in found if address and address != "127.0.0.1"}


async def test_the_audit_log_has_the_customers_own_address(haproxy: Proxy, account: dict[str, str]) -> None:
    async with connect(haproxy.port, account, "127.0.0.9") as ssh, ssh.start_sftp_client() as sftp, sftp.open("a", "wb") as file:
        await file.write(b"through the proxy" * 10_000)
    assert audited(haproxy.gateway, account["case"]) == {"127.0.0.9"}


async def test_a_guesser_behind_the_proxy_is_turned_away_and_others_are_not(haproxy: Proxy, account: dict[str, str]) -> None:
    for _ in range(LIMIT):
        with pytest.raises((asyncssh.Error, OSError)):
            await connect(haproxy.port, account, "127.0.0.66", password="wrong")
    with pytest.raises(asyncssh.DisconnectError, match="failed sign-ins from your address"):
        await connect(haproxy.port, account, "127.0.0.66")
    async with connect(haproxy.port, account, "127.0.0.10") as ssh:
        assert ssh.get_extra_info("username") == account["username"]


async def ends_without_ssh(port: int, source: str, *sent: bytes, eof: bool) -> bytes:
    """What somebody is told who sends this; it must be the end of the connection, before any key exchange."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    told = b""
    try:
        for part in sent:
            writer.write(part)
            await writer.drain()
        if eof:
            writer.write_eof()
        told = await asyncio.wait_for(reader.read(), PATIENCE_S)
    except ConnectionError:
        pass
    writer.close()
    return told


HALF_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12) + b"\x7f\0\0"
CLAIMED = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 22\r\n"


@pytest.mark.parametrize(
    ("sent", "eof"),
    [
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), False),
        ((b"PROXY TCP4 192.0.2.1",), True),
        ((HALF_V2,), True),
        ((b"PROXY TCP4 192.0.2.1 " + b"1" * 200,), False),
        ((b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",), False),
        ((b"PROXY UDP4 192.0.2.1 192.0.2.2 1 22\r\n",), False),
        ((b"PROXY TCP4 300.0.2.1 192.0.2.2 1 22\r\n",), False),
        ((b"",), True),
    ],
    ids=["none", "half v1", "half v2", "endless v1", "huge v2", "udp", "no address", "nothing"],
)
async def test_a_listed_proxy_without_a_good_header_is_cut(haproxy: Proxy, sent: tuple[bytes, ...], eof: bool) -> None:
    told = await ends_without_ssh(haproxy.gateway.sftp_port, PROXY, *sent, eof=eof)
    assert told in (b"", b"SSH-2.0-eft\r\n")


async def test_nobody_else_can_claim_an_address(haproxy: Proxy, account: dict[str, str]) -> None:
    """Through HAProxy the header is data behind HAProxy's own; past it, it comes from no listed proxy: no SSH either way."""
    for port, source in ((haproxy.port, "127.0.0.11"), (haproxy.gateway.sftp_port, "127.0.0.11")):
        told = await ends_without_ssh(port, source, CLAIMED + b"SSH-2.0-test\r\n", eof=False)
        assert b"192.0.2.1" not in told
        assert b"mlkem" not in told or told.startswith(b"SSH-2.0-eft\r\n")
    assert "192.0.2.1" not in audited(haproxy.gateway, account["case"])
    async with (
        connect(haproxy.gateway.sftp_port, account, "127.0.0.12") as ssh,
        ssh.start_sftp_client() as sftp,
        sftp.open("b", "wb") as file,
    ):
        await file.write(b"past the proxy")
    assert audited(haproxy.gateway, account["case"]) == {"127.0.0.12"}
