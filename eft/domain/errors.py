"""Everything that eft refuses, as one tree.

::

    EftError
    ├── Unauthenticated            unauthenticated           no token, an unknown or an expired one
    │   └── SignInRefused          sign-in-refused           user name or password wrong, or account over
    ├── Forbidden
    │   ├── ScopeMissing           scope-missing
    │   ├── CaseClosed             case-closed
    │   ├── CasePurging            case-purging              the purge has begun and cannot be undone
    │   ├── ReopenTooLate          reopen-too-late
    │   ├── ReopenByTelephone      reopen-by-telephone
    │   ├── ReadOnly               read-only
    │   └── CaseFull               case-full                 the case has used up what it may store
    ├── NotFound                   not-found                 also: another case's anything
    ├── Gone
    │   ├── UploadExpired          upload-expired
    │   ├── UploadTerminated       upload-terminated
    │   └── Purged                 purged
    ├── WrongRegion                wrong-region              carries the region and its address
    ├── WrongHost                  wrong-host
    ├── Invalid                    invalid-request
    │   ├── NameNotAllowed         name-not-allowed
    │   ├── MetadataInvalid        metadata-invalid
    │   ├── DigestInvalid          digest-invalid
    │   ├── ChecksumUnknown        checksum-algorithm-unknown
    │   ├── PublicKeyInvalid       public-key-invalid        not one that can be registered; says why
    │   └── LengthInvalid          length-invalid
    │       └── LengthExceeded     length-exceeded
    ├── Conflict
    │   ├── OffsetMismatch         offset-mismatch           carries the durable offset
    │   ├── AlreadyFinished        already-finished
    │   ├── AlreadyExists          already-exists
    │   ├── NotEmpty               directory-not-empty
    │   ├── ClosedDifferently      closed-differently        another closed_at on a closed case
    │   ├── TooManyKeys            too-many-keys             of one temporary account
    │   └── LegalHold              legal-hold
    ├── TooLarge                   too-large
    ├── ChecksumMismatch           checksum-mismatch         a part; it was dropped, the offset stays
    ├── DigestMismatch             digest-mismatch           a whole; refused, carries both digests
    ├── WriterDisplaced            writer-displaced          another writer took the upload over
    ├── NotSequential              not-sequential            a write outside the reorder window
    ├── Busy                       busy                      try again later, says when
    ├── RateLimited                rate-limited              asked too often, or too much at once; says when to try again
    ├── StorageFull                storage-full
    ├── StorageFailed              storage-failed            an fsync, a read or a write that failed
    ├── Tampered                   tampered                  stored bytes do not verify
    ├── KeyUnavailable             key-unavailable           no such key, or the wrong master key
    └── UnsafeSetting              unsafe-setting            a start that is refused

Each leaf has a stable `code` and typed fields, and says in `remedy` what to do next. No message carries a secret, and none a name
that a client chose: messages go to logs. Every door translates the tree in one file of its own.
"""

from __future__ import annotations

from datetime import datetime


class EftError(Exception):
    """Something eft refuses. `code` never changes; `detail` is one sentence; `remedy` is the next step."""

    code: str = "error"
    detail: str = "The request could not be carried out."
    remedy: str = "Try again, or contact support."

    def __init__(self, detail: str | None = None, remedy: str | None = None) -> None:
        self.detail = detail if detail is not None else type(self).detail
        self.remedy = remedy if remedy is not None else type(self).remedy
        super().__init__(f"{self.detail} {self.remedy}")


class Unauthenticated(EftError):
    code = "unauthenticated"
    detail = "The token is missing, unknown or expired."
    remedy = "Get a new token from the case page and send it as `Authorization: Bearer`."


class SignInRefused(Unauthenticated):
    code = "sign-in-refused"
    detail = "User name or password are wrong, or the account has expired."
    remedy = "Look up the current credentials on the case page, or ask support for a new temporary account."


class Forbidden(EftError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class ScopeMissing(Forbidden):
    code = "scope-missing"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"The token lacks the scope {scope}.", "Use a token that has it.")


class CaseClosed(Forbidden):
    code = "case-closed"
    detail = "The case is closed; it takes no data."
    remedy = "Reopen the case. What was received so far is kept, and the upload goes on from there."


class CasePurging(Forbidden):
    code = "case-purging"
    detail = "The case's data is being purged, or has been."
    remedy = "Open a new case and send the data again."


class ReopenTooLate(Forbidden):
    code = "reopen-too-late"
    detail = "The case was closed 30 days ago or more."
    remedy = "Contact Customer Care, or open a new case."


class ReopenByTelephone(Forbidden):
    code = "reopen-by-telephone"
    detail = "The case was closed after three unanswered follow-ups."
    remedy = "Telephone Customer Care to have it reopened."


class ReadOnly(Forbidden):
    code = "read-only"
    detail = "This place is read-only."
    remedy = "Write to the top directory of the case."


class CaseFull(Forbidden):
    """`quota` and `used` in bytes; `used` counts what is announced and not there yet."""

    code = "case-full"

    def __init__(self, quota: int, used: int) -> None:
        self.quota, self.used = quota, used
        super().__init__(
            f"The case may store {quota} bytes and has {used} already; this file does not fit.",
            "Ask support to raise the limit or to delete files of the case that are no longer needed; then resume.",
        )


class NotFound(EftError):
    code = "not-found"
    detail = "There is nothing here by that name."
    remedy = "Check the address; list the case to see what it has."


class Gone(EftError):
    """It was here, and is not any more."""

    code = "gone"


class UploadExpired(Gone):
    code = "upload-expired"
    detail = "The unfinished upload was given up: it had rested too long."
    remedy = "Start it again."


class UploadTerminated(Gone):
    code = "upload-terminated"
    detail = "The upload was ended by its sender."
    remedy = "Start it again."


class Purged(Gone):
    code = "purged"

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at
        when = f" on {at:%Y-%m-%d}" if at else ""
        super().__init__(f"The data was purged{when}.", "Send it again to an open case.")


class WrongRegion(EftError):
    code = "wrong-region"

    def __init__(self, region: str, url: str) -> None:
        self.region, self.url = region, url
        super().__init__(f"This belongs to the region {region}.", f"Go to {url}.")


class WrongHost(EftError):
    code = "wrong-host"
    detail = "This server does not answer for that host name."
    remedy = "Use the address that the case page shows."


class Invalid(EftError):
    code = "invalid-request"
    detail = "The request is not well formed."
    remedy = "Correct it and send it again."


class NameNotAllowed(Invalid):
    code = "name-not-allowed"

    def __init__(self, why: str) -> None:
        super().__init__(f"The file name is not allowed: it {why}.", "Rename the file and send it again.")


class MetadataInvalid(Invalid):
    code = "metadata-invalid"


class DigestInvalid(Invalid):
    code = "digest-invalid"
    detail = "The declared digest is not a SHA-256."
    remedy = "Send 64 hexadecimal digits, or leave it out."


class ChecksumUnknown(Invalid):
    code = "checksum-algorithm-unknown"
    detail = "That checksum algorithm is not supported."
    remedy = "Use one that OPTIONS lists in Tus-Checksum-Algorithm."


class PublicKeyInvalid(Invalid):
    code = "public-key-invalid"


class LengthInvalid(Invalid):
    code = "length-invalid"


class LengthExceeded(LengthInvalid):
    """More than was announced."""

    code = "length-exceeded"

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(
            f"The upload was announced with {length} bytes; this part would end past them.",
            "Send no more than was announced, or start a new upload with the right length.",
        )


class Conflict(EftError):
    """It cannot be done in the present state."""

    code = "conflict"


class OffsetMismatch(Conflict):
    code = "offset-mismatch"

    def __init__(self, durable: int) -> None:
        self.durable = durable
        super().__init__(f"The upload stands at {durable} bytes.", "Ask for the offset with HEAD and go on from there.")


class AlreadyFinished(Conflict):
    code = "already-finished"
    detail = "The upload is finished."
    remedy = "Nothing is left to send."


class AlreadyExists(Conflict):
    code = "already-exists"
    detail = "There is something by that name."
    remedy = "Choose another name."


class NotEmpty(Conflict):
    code = "directory-not-empty"
    detail = "The directory is not empty."
    remedy = "Remove what is in it first."


class ClosedDifferently(Conflict):
    code = "closed-differently"
    detail = "The case is already closed, with another closing time."
    remedy = "Reopen it first, or leave closed_at out."


class TooManyKeys(Conflict):
    code = "too-many-keys"

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(
            f"The account has {most} public keys, which is as many as it may have.", "Remove one that is not needed."
        )


class LegalHold(Conflict):
    code = "legal-hold"
    detail = "The case is under a legal hold."
    remedy = "Release the hold first."


class TooLarge(EftError):
    code = "too-large"

    def __init__(self, limit: int, what: str = "request") -> None:
        self.limit = limit
        super().__init__(f"The {what} is larger than {limit} bytes.", "Send less in one go.")


class ChecksumMismatch(EftError):
    code = "checksum-mismatch"
    detail = "The part arrived damaged and was dropped; the offset is unchanged."
    remedy = "Send the part again."


class DigestMismatch(EftError):
    code = "digest-mismatch"

    def __init__(self, declared: str, received: str) -> None:
        self.declared, self.received = declared, received
        super().__init__(
            f"The file does not match its declared digest: declared {declared}, received {received}.",
            "Send the file again, or ask support to release it.",
        )


class WriterDisplaced(EftError):
    code = "writer-displaced"
    detail = "Another connection has taken over this upload."
    remedy = "Ask for the offset and go on from there, from one place only."


class NotSequential(EftError):
    code = "not-sequential"
    detail = "The file was written too far out of order."
    remedy = "Use a client that writes from start to end, such as sftp, WinSCP or FileZilla."


class Busy(EftError):
    code = "busy"

    def __init__(self, retry_after_s: int, detail: str = "The server is busy.") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail, f"Try again in {retry_after_s} seconds.")


class RateLimited(EftError):
    code = "rate-limited"

    def __init__(self, retry_after_s: int, detail: str = "There were too many requests.") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail, f"Try again in {retry_after_s} seconds.")


class StorageFull(EftError):
    code = "storage-full"
    detail = "The server has no space left. What was acknowledged is kept."
    remedy = "Resume later; support has been told."


class StorageFailed(EftError):
    code = "storage-failed"
    detail = "The server could not store or read the data. What was acknowledged is kept."
    remedy = "Resume the upload; if it happens again, contact support."


class Tampered(EftError):
    code = "tampered"
    detail = "Stored data does not verify and is not given out."
    remedy = "Contact support."


class KeyUnavailable(EftError):
    code = "key-unavailable"
    detail = "The key for this data cannot be had."
    remedy = "Contact support."


class UnsafeSetting(EftError):
    code = "unsafe-setting"


def leaves() -> tuple[type[EftError], ...]:
    """Every class of the tree that is raised: those without subclasses, and those that stand for themselves."""
    found: list[type[EftError]] = []
    todo: list[type[EftError]] = [EftError]
    while todo:
        kind = todo.pop()
        children = kind.__subclasses__()
        todo.extend(children)
        if not children or kind in (Unauthenticated, Invalid, LengthInvalid):
            found.append(kind)
    return tuple(sorted(found, key=lambda kind: kind.code))
