"""Every client, every ending: a partial file is never shown as complete, its bytes are kept and can be resumed from (P2)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import shutil
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.checks import World
from tests.interop.sftp_matrix.client import Client
from tests.interop.sftp_matrix.endings import ENDINGS, GIVE_UP, cut_anywhere, ends, ends_in_every_way, gives_up, makes
from tests.interop.sftp_matrix.filezilla import FileZilla
from tests.interop.sftp_matrix.page import CLIENTS
from tests.programs import find_program

KEEPALIVE_S = 2


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("endings") / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 600\n")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)


def each(*clients: type[Client]) -> list[Any]:
    return [pytest.param(client, id=client.name, marks=pytest.mark.needs(*client.programs)) for client in clients]


PUTTING = [client for client in CLIENTS if "upload" not in client.not_tried]
QUICK = [client for client in PUTTING if client is not FileZilla]
"""Those that see at once that their line was cut; FileZilla's engine waits for its own time to run out."""


@pytest.mark.parametrize("client", each(*PUTTING))
def test_no_ending_but_its_own_close_makes_a_file(gateway: Gateway, tmp_path: Path, client: type[Client]) -> None:
    keys = [key for key, ending in ENDINGS.items() if makes(client, ending) and not ending.silent]
    ends_in_every_way(World(gateway, client, tmp_path), keys)


@pytest.mark.parametrize("client", each(*QUICK))
def test_whatever_byte_is_the_last(gateway: Gateway, tmp_path: Path, client: type[Client]) -> None:
    cut_anywhere(World(gateway, client, tmp_path), 70_001, 2)


@pytest.mark.parametrize("client", each(*GIVE_UP))
def test_a_program_that_gives_up_and_says_close_has_not_sent_a_file(
    gateway: Gateway, tmp_path: Path, client: type[Client]
) -> None:
    gives_up(World(gateway, client, tmp_path))


def test_a_client_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    """The gateway asks whether it is there, and lets go of its file when nothing comes. All clients at once."""
    made = Gateway(tmp_path / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 600\n")
    made.config.write_text(made.config.read_text().replace("[sftp]\n", f"[sftp]\nkeepalive_s = {KEEPALIVE_S}\n"))
    made.start()
    try:
        installed = [client for client in PUTTING if all(map(find_program, client.programs))]
        with ThreadPoolExecutor(len(installed)) as pool:
            list(pool.map(lambda client: ends(World(made, client, tmp_path / client.__name__), "silence"), installed))
    finally:
        made.stop()


@pytest.mark.soak
@pytest.mark.parametrize("size", [1, 20_001, 261_121, 1_000_003])
@pytest.mark.parametrize("client", each(*QUICK))
def test_whatever_byte_is_the_last_of_files_of_other_sizes(
    gateway: Gateway, tmp_path: Path, client: type[Client], size: int
) -> None:
    cut_anywhere(World(gateway, client, tmp_path), size, 40)
