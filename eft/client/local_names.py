"""Where a file of the case goes on this machine: below one directory, whatever its name says."""

from __future__ import annotations

import os
from pathlib import Path
import re

from eft.client.errors import ClientError

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³")}
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
_LONGEST = 240


def local_path(directory: Path, name: str, *, windows: bool = os.name == "nt") -> Path:
    """The path for the attachment `name`. Folders are kept, `..`, roots and drives are not; with `windows`, what Windows forbids
    becomes `_`. Raises ClientError where a link would lead out of `directory`."""
    parts = [_part(part, windows) for part in name.replace("\\", "/" if windows else "\\").split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")] or ["unnamed"]
    path = directory.joinpath(*parts)
    root = directory.resolve()
    if path.is_symlink() or root not in (path.parent.resolve() / path.name).parents:
        raise ClientError(f"{path} is a link that leads elsewhere.", "Fetch into another directory with --to DIR.")
    return path


def _part(part: str, windows: bool) -> str:
    part = part.replace("\x00", "_")
    if windows:
        part = _FORBIDDEN.sub("_", part)
        if part not in (".", ".."):
            part = part.rstrip(". ") or ("_" if part else "")
        if part.partition(".")[0].rstrip().lower() in _RESERVED:
            part = f"_{part}"
    else:
        part = re.sub(r"[\x00-\x1f\x7f]", "_", part)
    encoded = part.encode("utf-8", "replace")
    if len(encoded) <= _LONGEST:
        return part
    stem, dot, ending = part.rpartition(".")
    ending = dot + ending if stem and len(ending) <= 16 else ""
    return encoded[: _LONGEST - len(ending.encode())].decode("utf-8", "ignore") + ending
