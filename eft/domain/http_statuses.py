"""Which HTTP status each refusal has, at every address alike: a code and its status go together."""

from __future__ import annotations

from typing import Final

from eft.domain import errors
from eft.domain.errors import EftError

STATUS: Final[dict[type[EftError], int]] = {
    errors.Unauthenticated: 401,
    errors.SignInRefused: 401,
    errors.Forbidden: 403,
    errors.ScopeMissing: 403,
    errors.CaseClosed: 403,
    errors.CasePurging: 403,
    errors.ReopenTooLate: 403,
    errors.ReopenByTelephone: 403,
    errors.ReadOnly: 403,
    errors.CaseFull: 403,
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.UploadExpired: 410,
    errors.UploadTerminated: 410,
    errors.Purged: 410,
    errors.WrongRegion: 421,
    errors.WrongHost: 421,
    errors.Invalid: 400,
    errors.NameNotAllowed: 400,
    errors.MetadataInvalid: 400,
    errors.DigestInvalid: 400,
    errors.ChecksumUnknown: 400,
    errors.PublicKeyInvalid: 422,
    errors.LengthInvalid: 400,
    errors.LengthExceeded: 413,
    errors.Conflict: 409,
    errors.OffsetMismatch: 409,
    errors.AlreadyFinished: 409,
    errors.AlreadyExists: 409,
    errors.NotEmpty: 409,
    errors.ClosedDifferently: 409,
    errors.TooManyKeys: 409,
    errors.LegalHold: 409,
    errors.WriterDisplaced: 409,
    errors.TooLarge: 413,
    errors.DigestMismatch: 422,
    errors.NotSequential: 400,
    errors.RateLimited: 429,
    errors.ChecksumMismatch: 460,
    errors.StorageFailed: 500,
    errors.Tampered: 500,
    errors.UnsafeSetting: 500,
    errors.Busy: 503,
    errors.KeyUnavailable: 503,
    errors.StorageFull: 507,
}
"""`case-closed` is 403, never 409 or 423, which tus clients try again. 400 and 460 for checksums are tus 1.0.0 §checksum."""


def status_of(error: EftError) -> int:
    """The status of the nearest class of `error` that has one; 500 where none has."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
