"""What callers send, and what they get: the JSON of the control API (DESIGN §5)."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from eft.accounts.tokens import LONGEST_TTL_S
from eft.db.account_keys import AccountKey
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case, CaseStatus, PurgeState, SubStatus
from eft.domain.person import EMAIL, Role
from eft.domain.public_key import LONGEST_TEXT
from eft.domain.upload import Completeness, Source, Upload, UploadState

ItemT = TypeVar("ItemT")


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("text", "must not contain a NUL character")
    return text


def _is_text(value: object) -> object:
    if value is not None and not isinstance(value, (str, datetime)):
        raise PydanticCustomError("instant", "must be a time as in 2026-11-23T06:40:00Z")
    return value


Text = Annotated[str, AfterValidator(_no_nul)]
Instant = Annotated[AwareDatetime, BeforeValidator(_is_text)]


class Body(BaseModel):
    """A request body. An unknown field is refused, with the nearest known name."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _knows_every_field(cls, given: Any) -> Any:
        for key in given if isinstance(given, dict) else ():
            if key not in cls.model_fields:
                near = get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else "the known ones are " + ", ".join(cls.model_fields)
                raise PydanticCustomError("unknown_field", "is not a known field; {hint}", {"field": str(key)[:64], "hint": hint})
        return given


class CaseBody(Body):
    organisation: Annotated[Text, Field(min_length=1, max_length=200)]
    subject: Annotated[Text, Field(max_length=1000)]
    status: CaseStatus
    closed_at: Instant | None = None


class CloseBody(Body):
    sub_status: SubStatus
    comment: Annotated[Text, Field(max_length=10_000)] = ""


class Reopener(StrEnum):
    CUSTOMER = "customer"
    STAFF = "staff"


class ReopenBody(Body):
    reason: Annotated[Text, Field(min_length=1, max_length=10_000)]
    actor: Reopener


class HoldBody(Body):
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]


class TokenSource(StrEnum):
    HTTPS = "https"
    SUPPORT = "support"


class UploadTokenBody(Body):
    ttl_s: Annotated[StrictInt, Field(ge=1, le=LONGEST_TTL_S)] | None = None
    source: TokenSource = TokenSource.HTTPS


class AccountKeyBody(Body):
    public_key: Annotated[
        Text,
        Field(
            max_length=LONGEST_TEXT,
            description="One OpenSSH line, an RFC 4716 block, or the public part of a PuTTY key: Ed25519, ECDSA "
            "(P-256, P-384, P-521) or RSA with 2048 bits at least",
        ),
    ]


class LaunchActor(Body):
    name: Annotated[Text, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(pattern=EMAIL, max_length=254)]
    role: Role


class LaunchBody(Body):
    actor: LaunchActor


class LaunchView(BaseModel):
    url: str = Field(description="To be opened by the person's browser: once, and before it expires")
    expires_at: datetime


class CaseView(BaseModel):
    id: str
    organisation: str
    subject: str
    status: CaseStatus
    sub_status: SubStatus | None
    comment: str
    created_at: datetime
    closed_at: datetime | None
    purge_at: datetime | None = Field(description="30 days after closed_at; null while the case is open")
    hold_reason: str | None
    purge: PurgeState
    purged_at: datetime | None = Field(description="When data of this case was last purged")

    @classmethod
    def of(cls, case: Case) -> Self:
        return cls(
            id=case.id,
            organisation=case.organisation,
            subject=case.subject,
            status=case.status,
            sub_status=case.sub_status,
            comment=case.comment,
            created_at=case.created_at,
            closed_at=case.closed_at,
            purge_at=case.purge_at,
            hold_reason=case.hold_reason,
            purge=case.purge,
            purged_at=case.purged_at,
        )


class AttachmentView(BaseModel):
    id: str
    case_id: str
    name: str
    size: int
    sha256: str
    source: Source
    completeness: Completeness
    state: AttachmentState
    received_at: datetime
    purge_at: datetime | None = Field(description="When the case's data goes; null while the case is open")
    gone_at: datetime | None = Field(description="Since when nothing of it can be read")
    disputed_sha256: str | None = Field(description="What a digest file that came later says, where that is another digest")
    superseded: bool = Field(description="Whether a later version of that name has taken its place in the client's directory")

    @classmethod
    def of(cls, attachment: Attachment, case: Case) -> Self:
        return cls(
            id=attachment.id,
            case_id=attachment.case_id,
            name=attachment.name,
            size=attachment.size,
            sha256=attachment.sha256,
            source=attachment.source,
            completeness=attachment.completeness,
            state=attachment.state,
            received_at=attachment.received_at,
            purge_at=case.purge_at,
            gone_at=attachment.gone_at,
            disputed_sha256=attachment.disputed_sha256,
            superseded=attachment.superseded,
        )


class UploadView(BaseModel):
    id: str
    name: str
    offset: int
    length: int | None
    state: UploadState
    source: Source
    expires_at: datetime

    @classmethod
    def of(cls, upload: Upload) -> Self:
        return cls(
            id=upload.id,
            name=upload.name,
            offset=upload.offset,
            length=upload.length,
            state=upload.state,
            source=upload.source,
            expires_at=upload.expires_at,
        )


class UploadTokenView(BaseModel):
    token: str
    expires_at: datetime


class AccountKeyView(BaseModel):
    id: str
    type: str = Field(description="As SSH names it: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa …")
    bits: int
    fingerprint: str = Field(description="SHA256:…, as OpenSSH shows it")
    comment: str
    added_at: datetime
    added_by: str

    @classmethod
    def of(cls, key: AccountKey) -> Self:
        return cls(
            id=key.id,
            type=key.kind,
            bits=key.bits,
            fingerprint=key.fingerprint,
            comment=key.comment,
            added_at=key.added_at,
            added_by=key.added_by,
        )


class SftpAccountView(BaseModel):
    username: str
    password: str | None = Field(default=None, description="Not with password=false")
    host: str
    port: int
    host_key_fingerprints: list[str]
    expires_at: datetime


class Page(BaseModel, Generic[ItemT]):
    """One page of a list, newest first. `next` goes into `?cursor=` for the page after it."""

    items: list[ItemT]
    next: str | None
