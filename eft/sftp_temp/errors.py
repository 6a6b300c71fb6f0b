"""eft.domain.errors, as an SFTP client is told them: a status code and a sentence. The one place that knows both.

Version 3 has few codes, and clients read two things from them. FAILURE is worth another try: FileZilla and others retry it for
ever. PERMISSION_DENIED and NO_SUCH_FILE are final. So what will not go away by itself is PERMISSION_DENIED, and the sentence
says why and what to do. A name that exists and a directory that is not empty are FAILURE, since clients know those from
OpenSSH.
"""

from __future__ import annotations

from eft.domain import errors
from eft.sftp_temp import replies

CODES: dict[type[errors.EftError], int] = {
    errors.Unauthenticated: replies.PERMISSION_DENIED,
    errors.SignInRefused: replies.PERMISSION_DENIED,
    errors.ScopeMissing: replies.PERMISSION_DENIED,
    errors.CaseClosed: replies.PERMISSION_DENIED,
    errors.CasePurging: replies.PERMISSION_DENIED,
    errors.ReopenTooLate: replies.PERMISSION_DENIED,
    errors.ReopenByTelephone: replies.PERMISSION_DENIED,
    errors.ReadOnly: replies.PERMISSION_DENIED,
    errors.CaseFull: replies.PERMISSION_DENIED,
    errors.NotFound: replies.NO_SUCH_FILE,
    errors.UploadExpired: replies.NO_SUCH_FILE,
    errors.UploadTerminated: replies.NO_SUCH_FILE,
    errors.Purged: replies.NO_SUCH_FILE,
    errors.WrongRegion: replies.PERMISSION_DENIED,
    errors.WrongHost: replies.PERMISSION_DENIED,
    errors.Invalid: replies.PERMISSION_DENIED,
    errors.NameNotAllowed: replies.PERMISSION_DENIED,
    errors.MetadataInvalid: replies.PERMISSION_DENIED,
    errors.DigestInvalid: replies.PERMISSION_DENIED,
    errors.ChecksumUnknown: replies.PERMISSION_DENIED,
    errors.PublicKeyInvalid: replies.PERMISSION_DENIED,
    errors.LengthInvalid: replies.PERMISSION_DENIED,
    errors.LengthExceeded: replies.PERMISSION_DENIED,
    errors.OffsetMismatch: replies.FAILURE,
    errors.AlreadyFinished: replies.FAILURE,
    errors.AlreadyExists: replies.FAILURE,
    errors.NotEmpty: replies.FAILURE,
    errors.ClosedDifferently: replies.PERMISSION_DENIED,
    errors.TooManyKeys: replies.PERMISSION_DENIED,
    errors.LegalHold: replies.PERMISSION_DENIED,
    errors.TooLarge: replies.PERMISSION_DENIED,
    errors.ChecksumMismatch: replies.FAILURE,
    errors.DigestMismatch: replies.PERMISSION_DENIED,
    errors.WriterDisplaced: replies.PERMISSION_DENIED,
    errors.NotSequential: replies.PERMISSION_DENIED,
    errors.Busy: replies.FAILURE,
    errors.RateLimited: replies.FAILURE,
    errors.StorageFull: replies.PERMISSION_DENIED,
    errors.StorageFailed: replies.FAILURE,
    errors.Tampered: replies.PERMISSION_DENIED,
    errors.KeyUnavailable: replies.PERMISSION_DENIED,
    errors.UnsafeSetting: replies.FAILURE,
}

UNEXPECTED = "Something went wrong in the server. Try again; if it happens again, contact support."


NO_SUCH_FILE = "No such file or directory. List the directory to see what it has."
"""Begins as OpenSSH's own: scripts and libraries look for these words."""


def translate(error: errors.EftError) -> tuple[int, str]:
    """The status code and the sentence, which says what to do next."""
    if type(error) is errors.NotFound:
        return replies.NO_SUCH_FILE, NO_SUCH_FILE
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind], f"{error.detail} {error.remedy}"
    return replies.FAILURE, f"{error.detail} {error.remedy}"


def refusal(identifier: bytes, error: errors.EftError) -> bytes:
    """The STATUS packet for it."""
    code, sentence = translate(error)
    return replies.status(identifier, code, sentence)
