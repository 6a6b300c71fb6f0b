"""A temporary account that is about to end says so to whoever signs in."""

from __future__ import annotations

from datetime import timedelta

import asyncssh
import pytest

from tests.unit.sftp.doors import opened


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
@pytest.mark.parametrize(("hours", "warned"), [(0, False), (118.9, False), (119.5, True)])
async def test_an_account_is_announced_to_end_in_its_last_hour(hours: float, warned: bool, method: str) -> None:
    banners: list[str] = []

    class Client(asyncssh.SSHClient):
        def auth_banner_received(self, msg: str, lang: str) -> None:
            banners.append(msg)

    async with opened() as door:
        door.clock.ahead = timedelta(hours=hours)
        async with door.connect(client_factory=Client, preferred_auth=method):
            pass
    assert len(banners) == warned
    if warned:
        assert "in 29 minutes" in banners[0]
