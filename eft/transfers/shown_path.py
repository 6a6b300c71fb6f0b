"""Under which name an upload that is not finished stands in its case's directory."""

from __future__ import annotations

from eft.domain.upload import Source, Upload

PART = ".part"


def shown_path(upload: Upload) -> str:
    """Its own name; with `.part` where it was begun over HTTPS, and where SFTP can go on with it (P4)."""
    return upload.name if upload.source is Source.SFTP else upload.name + PART
