"""What each client shows of a refusal: the reason and what to do, at OPEN, at WRITE and at CLOSE, and nobody tries for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eft.domain.errors import CaseClosed, CaseFull, EftError, NameNotAllowed, SignInRefused, StorageFull
from eft.sftp_temp.host_keys import fingerprints
from tests.interop.sftp_matrix.client import Account, Client, ClientFailed
from tests.interop.sftp_matrix.one_shot import Curl
from tests.interop.sftp_matrix.openssh import Lftp, Scp, Sftp
from tests.interop.sftp_matrix.putty import Psftp
from tests.interop.sftp_matrix.replays import CREATE, TRUNCATE, WRITE, Packets, WinScp
from tests.unit.sftp import wire
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, keys, opened
from tests.unit.sftp.fakes import FakeReception

pytestmark = pytest.mark.timeout(240)

PERMISSION_DENIED = 3
REASONS: dict[str, EftError] = {
    "case-closed": CaseClosed(),
    "account-expired": SignInRefused("The temporary account expired at 2026-01-01 00:00:00 UTC.", "Ask support for a new one."),
    "disk-full": StorageFull(),
    "name-not-allowed": NameNotAllowed("is too long"),
    "case-full": CaseFull(10, 9),
}
CLIENTS: tuple[type[Client], ...] = (Sftp, Scp, Psftp, Lftp, WinScp, Curl)
WORDS_OF_ITS_OWN = (Curl,)
"""Tells a number and nothing of what it was told; and how a CLOSE was answered it does not look at."""


def fail_at(door: OpenDoor, step: str, error: EftError) -> None:
    """From now on the case's directory refuses what it is asked at that step."""
    begin: Callable[..., Any] = door.directory.open_write

    async def open_write(case_id: str, path: str, actor: Any, **more: bool) -> FakeReception:
        if step == "open":
            raise error
        reception: FakeReception = await begin(case_id, path, actor, **more)
        if step == "write":
            reception.fail_with = error
        else:

            async def settle(_: float | None) -> None:
                raise error

            reception.settle = settle  # type: ignore[method-assign]
        return reception

    door.directory.open_write = open_write  # type: ignore[method-assign]


def put(client: Client, source: Path) -> str:
    """What is said of a failure; nothing where there was none."""
    try:
        client.put(source, "/file")
    except (ClientFailed, AssertionError) as failed:
        return str(failed)
    return ""


@pytest.mark.parametrize("step", ["open", "write", "close"])
@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name, marks=pytest.mark.needs(*kind.programs)) for kind in CLIENTS])
async def test_a_client_ends_with_an_error_that_names_the_remedy(tmp_path: Path, kind: type[Client], step: str) -> None:
    source = tmp_path / "file"
    source.write_bytes(bytes(300_001))
    for name, error in REASONS.items():
        async with opened() as door:
            fail_at(door, step, error)
            client = kind(tmp_path / name, Account(door.port, USER, PASSWORD, tuple(fingerprints(keys()))))
            said = await asyncio.to_thread(put, client, source)
            if kind not in WORDS_OF_ITS_OWN:
                assert f"{error.detail} {error.remedy}" in said, f"{name}: {said}"
            elif step != "close":
                assert said, name
            assert all(reception.settled is False for reception in door.directory.receptions), name


@pytest.mark.parametrize("step", ["open", "write", "close"])
async def test_what_will_not_go_away_is_a_code_that_is_not_tried_again(step: str) -> None:
    for name, error in REASONS.items():
        async with opened() as door:
            fail_at(door, step, error)
            session = await Packets.open(door.port, USER, PASSWORD)
            reply = await session.ask(wire.open_file, "/file", WRITE | CREATE | TRUNCATE)
            if step != "open":
                handle = reply.handle
                reply = await session.ask(wire.write, handle, 0, b"x")
                closed = await session.ask(wire.close, handle)
                reply = reply if step == "write" else closed
                assert closed.code == PERMISSION_DENIED, "a CLOSE after an error is none"
            assert (reply.code, reply.message) == (PERMISSION_DENIED, f"{error.detail} {error.remedy}"), name
            await session.close()
