"""A portal and the gateway of one region, which ask each other, in a time that can be moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import Portal
from tests.stories.faked_time import FakedTime

_SETTINGS = "[uploads]\nsettle_s = 0.3\n"
_BEHIND_PORTAL = """
[portal]
url = "{portal}"
[case_system]
url = "{portal}/case-system"
token_file = "{token}"
ca_file = "{ca}"
"""


@dataclass
class Installation:
    """A portal and the gateway of one region, which ask each other; both go by a clock that can be moved."""

    portal: Portal
    us: Gateway
    clock: FakedTime


@contextmanager
def running_installation(directory: Path) -> Iterator[Installation]:
    """Both are ready; the gateway asks the portal before it purges."""
    clock = FakedTime(directory / "now", at_once=False)
    us = Gateway(directory / "us", settings=_SETTINGS, environment=clock.environment)
    portal = Portal(directory / "portal", [us], environment=clock.environment)
    token = portal.directory / "secrets" / "us-case-system"
    us.config.write_text(us.config.read_text() + _BEHIND_PORTAL.format(portal=portal.url, token=token, ca=portal.ca))
    try:
        us.start()
        yield Installation(portal.start(), us, clock)
    finally:
        portal.stop()
        us.stop()
