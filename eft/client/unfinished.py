"""What this machine has begun to send: one small file for each, so that the same command goes on where it was cut.

A file is known by the gateway, the name it gets there and the fingerprint of its content. A record names the upload's address
and what had been acknowledged, with the SHA-256 of that much; it never has a token in it, and only its owner can read it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
import hashlib
import json
import os
from pathlib import Path
import tempfile

from platformdirs import user_state_path

_MOST = 8


@dataclass(slots=True)
class Begun:
    """One upload. `sha256`: of the first `offset` bytes, which the gateway has acknowledged. `done`: all of it arrived."""

    location: str
    offset: int
    sha256: str
    done: bool = False


class Unfinished:
    """The records, below `directory`. A record that cannot be read counts as absent; one that cannot be written costs a resume
    and no more."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or user_state_path("eft", appauthor=False) / "uploads"

    @staticmethod
    def key(gateway: str, name: str, fingerprint: str) -> str:
        return hashlib.sha256("\n".join((gateway, name, fingerprint)).encode()).hexdigest()

    def find(self, key: str) -> list[Begun]:
        """What was begun for this file, newest first: tokens of several cases may have been used."""
        try:
            known = json.loads(self._file(key).read_text(encoding="utf-8"))
            return [Begun(str(one["location"]), int(one["offset"]), str(one["sha256"]), bool(one["done"])) for one in known]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def note(self, key: str, begun: Begun) -> None:
        """Writes it down, whole or not at all."""
        others = [one for one in self.find(key) if one.location != begun.location]
        self._write(key, [begun, *others][:_MOST])

    def forget(self, key: str, location: str) -> None:
        others = [one for one in self.find(key) if one.location != location]
        if others:
            self._write(key, others)
        else:
            try:
                self._file(key).unlink(missing_ok=True)
            except OSError:
                return

    def forget_done(self, keys: list[tuple[str, str]]) -> None:
        """A command has ended with all of its files there: none of them (key, location) needs to be recognised again."""
        for key, location in keys:
            if key:
                self.forget(key, location)

    def _write(self, key: str, records: list[Begun]) -> None:
        text = json.dumps([asdict(one) for one in records])
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes a file that nobody else can read (0600).
            descriptor, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(temporary, self._file(key))
            except OSError:
                Path(temporary).unlink(missing_ok=True)
        except OSError:
            return

    def _file(self, key: str) -> Path:
        return self._directory / f"{key}.json"
