"""What the crash tests of the receive path share: regions in memory, small batches, statements compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import shutil
import tempfile
from typing import Any

import pytest

from eft.db import sqlite
from tests.crash.machine import Machine, new_machine

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for thousands of short-lived databases: in memory where there is one, since no real power goes here."""
    if not _MEMORY.is_dir():
        yield tmp_path_factory.mktemp("machines")
        return
    below = Path(tempfile.mkdtemp(prefix="eft-crash-", dir=_MEMORY))
    yield below
    shutil.rmtree(below)


@pytest.fixture(scope="session")
def prepared_region(memory: Path) -> Machine:
    return new_machine(memory)


@pytest.fixture
def region(prepared_region: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A region with its keys and one open case, to make twins of. Batches are small, so that a few hundred kilobytes take as many
    steps as gigabytes do."""
    monkeypatch.setattr("eft.transfers.hold.BATCH", 100_000)
    monkeypatch.setattr("eft.transfers.hold.FULL", 200_000)
    monkeypatch.setattr("eft.storage.segment_writer.UNSYNCED_BLOCKS", 2)
    monkeypatch.setattr(sqlite, "create_engine", _create_engine)
    return prepared_region


_made = sqlite.create_engine
_shared: dict[str, Any] = {}


def _create_engine(*args: Any, **kwargs: Any) -> Any:
    """An engine that compiles no statement that another has compiled: half of a short life would go into that."""
    engine = _made(*args, **kwargs)
    first = _shared.setdefault("engine", engine)
    engine.dialect = engine.pool._dialect = first.dialect
    engine._compiled_cache = first._compiled_cache
    return engine
