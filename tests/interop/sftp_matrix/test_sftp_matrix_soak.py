"""A file of 5 GiB there and back, and 2,000 small files, with each client. In slices: -k 'psftp or pscp'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import shutil

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.checks import World, many_small_files
from tests.interop.sftp_matrix.client import Client
from tests.interop.sftp_matrix.page import CLIENTS
from tests.interop.sftp_matrix.replays import Cyberduck, WinScp
from tests.stories.contents import Source, noise
from tests.stories.waiting import published

pytestmark = pytest.mark.soak

PIECE = 64 * 2**20
SIZE = 80 * PIECE + 3
"""Bytes: 5 GiB and a little."""
SMALL_FILES = 2000
PATIENCE_S = 1800
IN_MEMORY = (WinScp, Cyberduck)
"""Replays, which have the whole file in the memory of this process."""


def each(*clients: type[Client]) -> list[object]:
    return [pytest.param(client, id=client.name, marks=pytest.mark.needs(*client.programs)) for client in clients]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "patience_s", PATIENCE_S)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    path = tmp_path_factory.mktemp("large") / "core.dump"
    with path.open("wb") as file:
        for start in range(0, SIZE, PIECE):
            file.write(noise(start, min(PIECE, SIZE - start)))
    yield Source(path)
    path.unlink()


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One for each test, whose files are gone after it: together they would fill the disk."""
    made = Gateway(tmp_path / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 0.5\n")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("client", each(*(client for client in CLIENTS if client not in IN_MEMORY)))
def test_a_file_of_five_gibibytes(own_gateway: Gateway, large: Source, tmp_path: Path, client: type[Client]) -> None:
    world = World(own_gateway, client, tmp_path)
    world.client.put(large.path, "/large")
    item = published(own_gateway, world.case, "large", within_s=300)["large"]
    assert (item["size"], item["sha256"], item["source"]) == (SIZE, large.sha256, "sftp")
    back = tmp_path / "back"
    world.client.get("/large", back)  # type: ignore[arg-type]
    assert Source(back).sha256 == large.sha256


@pytest.mark.parametrize("client", each(*CLIENTS))
def test_two_thousand_small_files(own_gateway: Gateway, tmp_path: Path, client: type[Client]) -> None:
    many_small_files(World(own_gateway, client, tmp_path), SMALL_FILES)
