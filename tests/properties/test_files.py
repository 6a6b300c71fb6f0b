"""Random histories of `/files`: what was acknowledged is there, what was not is not, and every answer is the one that is due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
import pytest

from tests.fixtures.tls import make_certificates
from tests.properties.doors import ClockedDoor, Door, RealDoor
from tests.properties.machine import FilesMachine
from tests.stories.conftest import gateways
from tests.unit.http.tus_site import tus_site

pytestmark = pytest.mark.timeout(600)  # for a loaded machine


@pytest.fixture
def real_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with gateways(tmp_path_factory) as make:
        yield RealDoor(make(workers=2).start())


@pytest.fixture
def clocked_door(tmp_path: Path) -> Iterator[Door]:
    with tus_site(tmp_path, make_certificates(tmp_path)) as site:
        yield ClockedDoor(site)


def run(door: Door, *, histories: int, steps: int, kills: int) -> None:
    FilesMachine.at, FilesMachine.kills = door, kills
    is_small = histories < 100
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=is_small,
        phases=[Phase.generate] if is_small else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(FilesMachine, settings=chosen)


def test_a_gateway_that_is_killed_now_and_then(real_door: Door) -> None:
    run(real_door, histories=4, steps=30, kills=1)


def test_a_gateway_whose_uploads_expire(clocked_door: Door) -> None:
    run(clocked_door, histories=10, steps=40, kills=0)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_gateway_that_is_killed_often(real_door: Door) -> None:
    run(real_door, histories=300, steps=60, kills=100)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_gateway_whose_uploads_expire_often(clocked_door: Door) -> None:
    run(clocked_door, histories=1000, steps=60, kills=0)
