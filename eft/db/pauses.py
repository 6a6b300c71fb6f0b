"""How a database thread waits a moment."""

from __future__ import annotations

import threading


def pause(seconds: float) -> None:
    """Returns after so many seconds by the monotonic clock.

    Not `time.sleep`, which fails with EINVAL where libfaketime moves the wall clock and leaves the monotonic one alone: whole
    gateways are tried like that.
    """
    threading.Event().wait(seconds)
