"""The master key of a gateway. What is behind `MasterKeys` is the one place that could be Vault or a KMS.

Here it is one small file outside of all backups: whoever has it and the key store can read everything, and without it nobody can.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path
import stat
from typing import Protocol

from eft.domain.errors import KeyUnavailable
from eft.storage.failures import translated
from eft.storage.files import File, Files, RegionFiles

KEY_BYTES = 32
_FORMAT = "eft master key 1"
_MAX = 64 * 1024
_LOOKS = 3


class MasterKeys(Protocol):
    """Numbered generations of a master key, from 1 up. Between rotations there is one."""

    def generations(self) -> dict[int, bytes]:
        """As they are now, looked up anew. Raises KeyUnavailable."""

    def add(self) -> int:
        """A new random generation beside the old ones; durable on return. Raises KeyUnavailable, StorageFailed."""

    def keep_only(self, generation: int) -> None:
        """Destroys all others; durable on return. Idempotent. Raises KeyUnavailable, StorageFailed."""

    def make_durable(self) -> None:
        """What `generations` says is durable on return, though an earlier change may have failed half way. Raises KeyUnavailable,
        StorageFailed."""


class MasterKeyFile:
    """The generations in one file, readable by its owner alone. Implements `MasterKeys`. One process at a time changes it: the
    lock of the key store sees to that."""

    def __init__(self, files: Files, name: str) -> None:
        """`name`: of the file, in the root of `files`."""
        self._files, self._name = files, name

    @classmethod
    def at(cls, path: Path) -> MasterKeyFile:
        """The file at this place, whether or not it exists. Raises KeyUnavailable where its directory does not."""
        try:
            return cls(RegionFiles(path.parent), path.name)
        except OSError as error:
            raise KeyUnavailable(
                f"The directory of the master key file, {path.parent}, cannot be opened.",
                "Check the setting keys.master_key_file.",
            ) from error

    def create(self) -> None:
        """A new file with the first generation. Raises FileExistsError: a master key is never overwritten."""
        if self._name in self._files.list(()):
            raise FileExistsError(self._name)
        self._write({1: os.urandom(KEY_BYTES)})

    def generations(self) -> dict[int, bytes]:
        for _ in range(_LOOKS):
            found = self._read()
            if found:
                return found
        raise KeyUnavailable("The master key file is damaged.", "Put it back from where it is kept.")

    def add(self) -> int:
        known = self.generations()
        generation = max(known) + 1
        self._write({**known, generation: os.urandom(KEY_BYTES)})
        return generation

    def keep_only(self, generation: int) -> None:
        self._write({generation: self.generations()[generation]})

    def make_durable(self) -> None:
        self._write(self.generations())

    def _read(self) -> dict[int, bytes]:
        """Empty where the file is damaged, or was replaced while it was read and is zeroed now."""
        with translated():
            try:
                file = self._files.open((self._name,))
            except FileNotFoundError:
                raise KeyUnavailable(
                    "The master key file does not exist.",
                    "Put it back from where it is kept; without it no stored data can be read.",
                ) from None
            try:
                return _parse(file)
            finally:
                file.close()

    def _write(self, generations: dict[int, bytes]) -> None:
        """Over what was there, in one step; then the old file's bytes are zeroed, as far as the disk overwrites in place."""
        content = {
            "format": _FORMAT,
            "generations": {str(number): base64.b64encode(key).decode() for number, key in sorted(generations.items())},
        }
        temporary = (f".{self._name}.new",)
        with translated():
            if temporary[0] in self._files.list(()):
                self._files.remove(temporary)
            old = self._files.open((self._name,), writable=True) if self._name in self._files.list(()) else None
            file = self._files.create(temporary)
            try:
                file.write_at(json.dumps(content, indent=1).encode() + b"\n", 0)
                file.sync()
                self._files.replace(temporary, (self._name,))
                self._files.sync_directory(())
                if old is not None:
                    old.write_at(bytes(old.size()), 0)
                    old.sync()
            finally:
                file.close()
                if old is not None:
                    old.close()


def _parse(file: File) -> dict[int, bytes]:
    mode = file.mode()
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise KeyUnavailable("The master key file can be used by others than its owner.", "Make it a plain file with mode 0600.")
    try:
        content = json.loads(file.read_at(_MAX, 0))
        if content["format"] != _FORMAT:
            raise ValueError
        found = {int(number): base64.b64decode(key, validate=True) for number, key in content["generations"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return {}
    return found if all(len(key) == KEY_BYTES for key in found.values()) else {}
