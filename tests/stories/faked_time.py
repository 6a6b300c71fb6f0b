"""The wall clock of a gateway, moved from outside by Debian's libfaketime. Its monotonic clock goes on as it is, and so does the
time of the clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
import time

SEEN_WITHIN_S = 1.1


class FakedTime:
    """What a gateway takes for the time, from a file that is replaced in one step."""

    def __init__(self, file: Path, *, at_once: bool) -> None:
        """`at_once`: a move is seen by the next look at the clock, for which every look reads the file, at a cost. Otherwise the
        file is read once a second, and a move waits until it was."""
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert libraries, "libfaketime is not where Debian has it"
        self._library = libraries[0]
        self._file = file
        self._at_once = at_once
        self.ahead = timedelta()
        self.run_ahead(timedelta())

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            **({"FAKETIME_NO_CACHE": "1"} if self._at_once else {"FAKETIME_CACHE_DURATION": "0"}),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "TZ": "UTC",
        }

    def run_ahead(self, by: timedelta) -> None:
        """The clock goes on, `by` ahead of this machine's."""
        self.ahead = by
        self._write(f"{by.total_seconds():+.6f}")

    def run_from(self, instant: datetime) -> None:
        """The clock goes on from that instant."""
        self.run_ahead(instant - datetime.now(UTC))

    def stand_at(self, instant: datetime) -> None:
        """The clock stands still at that instant, so that there is time to look around.

        libfaketime reads the fraction as a float, and shows some of them a microsecond too low: half of one more does no harm.
        """
        self._write(instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + "5")

    def now(self) -> datetime:
        """What the gateway's clock shows while it runs."""
        return datetime.now(UTC) + self.ahead

    def _write(self, text: str) -> None:
        replacement = self._file.with_suffix(".new")
        replacement.write_text(text + "\n")
        replacement.replace(self._file)
        if not self._at_once:
            time.sleep(SEEN_WITHIN_S)
