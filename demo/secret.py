"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path


def write_secret(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    temporary.replace(file)
