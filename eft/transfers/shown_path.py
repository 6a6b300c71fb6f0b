"""Under which name an upload that is not finished stands in its case's directory, and which names are not for good."""

from __future__ import annotations

from eft.domain.upload import Source, Upload

PART = ".part"


def shown_path(upload: Upload) -> str:
    """Its own name; with `.part` where it was begun over HTTPS, and where SFTP can go on with it (P4)."""
    return upload.name if upload.source is Source.SFTP else upload.name + PART


def is_temporary_name(path: str) -> bool:
    """Whether clients use such a name until the file is whole, and rename it then (WinSCP, lftp and others)."""
    name = path.rpartition("/")[2]
    return name.endswith((".filepart", ".part", ".tmp")) or name.startswith(".in.")
