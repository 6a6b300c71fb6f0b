"""Black-box stories: real `eft serve` processes, and clients that know nothing but what the outside is promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import secrets
import shutil
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.postgres import postgres

__all__ = ["postgres"]

MakeGateway = Callable[..., Gateway]

_FAST = "[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 600.0\n"


@contextmanager
def gateways(directories: pytest.TempPathFactory) -> Iterator[MakeGateway]:
    """Makes gateways that have not been started. They are stopped at the end, and their data is not left on the disk."""
    made: list[Gateway] = []

    def make(**options: Any) -> Gateway:
        directory = directories.mktemp("gateway") / "eft"
        made.append(Gateway(directory, settings=options.pop("settings", _FAST), **options))
        return made[-1]

    try:
        yield make
    finally:
        for gateway in made:
            gateway.stop()
            shutil.rmtree(gateway.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def make_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeGateway]:
    """Gateways of one module."""
    with gateways(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateways(tmp_path_factory) as make:
        yield make(workers=2)


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """One gateway with two workers, ready. Stories share it, each with cases of its own."""
    if not shared_gateway.is_ready():
        shared_gateway.stop()
        shared_gateway.start()
    return shared_gateway


@pytest.fixture
def case(gateway: Gateway) -> str:
    """A case that nobody else has, open."""
    return gateway.open_case(f"CS-{secrets.token_hex(4)}")
