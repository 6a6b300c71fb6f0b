"""curl and rclone against a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.checks import World, cells
from tests.interop.sftp_matrix.client import Client
from tests.interop.sftp_matrix.one_shot import Curl, Rclone


@pytest.mark.parametrize(("client", "check"), cells(Curl, Rclone))
def test_a_client_does_what_the_page_says(
    gateway: Gateway, tmp_path: Path, client: type[Client], check: Callable[[World], None]
) -> None:
    check(World(gateway, client, tmp_path))
