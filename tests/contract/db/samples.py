"""Records for tests, valid unless a test says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from eft.db.tokens import ApiToken, UploadToken
from eft.domain.account import TemporaryAccount
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case, CaseStatus
from eft.domain.upload import Completeness, SegmentFacts, Source, Upload, UploadState

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


def hexes(number: int) -> str:
    """32 hex digits."""
    return f"{number:032x}"


def a_case(number: int = 1, **fields: Any) -> Case:
    given = {
        "id": f"C-{number}", "uid": hexes(number), "organisation": "Example", "subject": "It crashes 💥",
        "status": CaseStatus.OPEN, "created_at": NOW,
    }  # fmt: skip
    return Case(**{**given, **fields})


def a_closed_case(number: int = 1, closed_at: datetime = NOW, **fields: Any) -> Case:
    return a_case(number, status=CaseStatus.CLOSED, closed_at=closed_at, **fields)


def an_upload(number: int = 1, **fields: Any) -> Upload:
    given = {
        "id": hexes(number), "case_id": "C-1", "name": f"log {number}.txt", "source": Source.HTTPS,
        "state": UploadState.RECEIVING, "created_at": NOW + number * SECOND, "expires_at": NOW + timedelta(days=14),
    }  # fmt: skip
    return Upload(**{**given, **fields})


def a_segment(upload: int = 1, epoch: int = 1, **fields: Any) -> SegmentFacts:
    given = {
        "upload_id": hexes(upload), "epoch": epoch, "start": 0, "end": None, "file_upload_id": hexes(upload), "file_epoch": epoch,
    }  # fmt: skip
    return SegmentFacts(**{**given, **fields})


def an_attachment(number: int = 1, **fields: Any) -> Attachment:
    given = {
        "id": hexes(number), "case_id": "C-1", "name": f"log {number}.txt", "size": 5, "sha256": "ab" * 32,
        "source": Source.HTTPS, "completeness": Completeness.DECLARED, "state": AttachmentState.AVAILABLE,
        "received_at": NOW + number * SECOND, "manifest": b"sealed",
    }  # fmt: skip
    return Attachment(**{**given, **fields})


def an_account(number: int = 1, **fields: Any) -> TemporaryAccount:
    given = {
        "id": hexes(number), "case_id": "C-1", "username": f"eft_us_{number}", "password_hash": "$argon2id$…",
        "created_at": NOW + number * SECOND, "expires_at": NOW + timedelta(hours=120), "secret_slot": number,
    }  # fmt: skip
    return TemporaryAccount(**{**given, **fields})


def an_api_token(number: int = 1, **fields: Any) -> ApiToken:
    given = {
        "id": hexes(number), "name": f"crm-{number}", "hash": f"{number:064x}",
        "scopes": frozenset({"cases:read", "cases:write"}), "created_at": NOW + number * SECOND,
    }  # fmt: skip
    return ApiToken(**{**given, **fields})


def an_upload_token(number: int = 1, **fields: Any) -> UploadToken:
    given = {
        "id": hexes(number), "hash": f"{number:064x}", "case_id": "C-1", "source": Source.HTTPS,
        "expires_at": NOW + timedelta(hours=24), "created_at": NOW + number * SECOND, "actor": "token:crm",
    }  # fmt: skip
    return UploadToken(**{**given, **fields})
