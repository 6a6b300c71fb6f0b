"""Where uploads are found."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/files"


def location(upload_id: str) -> tuple[str, str]:
    """The field that names an upload: a path, so that it is right behind every proxy."""
    return "Location", f"{PREFIX}/{upload_id}"
