"""One gateway for all clients that one process tries, which settles soon: to make one costs as much as a row of the page."""

from __future__ import annotations

from collections.abc import Iterator
import shutil

import pytest

from tests.fixtures.gateway import Gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("sftp") / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 0.5\n")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)
