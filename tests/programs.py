"""Programs that tests drive eft with, and where they are."""

from __future__ import annotations

from glob import glob
import os
import shutil
from typing import NoReturn

import pytest

_ASIDE = ("/usr/sbin", "/sbin", "/usr/lib/openssh", *sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True))
"""Where Debian keeps programs that are not on every user's path."""


def find_program(name: str) -> str | None:
    """The path of the program, or None where it is not installed."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ASIDE)))


def cannot(why: str) -> NoReturn:
    """What a test needs and this machine has not: skips it; fails it where CI is set, so that nothing goes untested unseen."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
