"""A gateway whose description and answers are compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.gateway import Gateway


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway") / "eft").start()
    try:
        yield gateway
    finally:
        gateway.stop()
