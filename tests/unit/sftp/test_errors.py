"""Every error of eft has words and a code at this door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain import errors
from eft.sftp_temp import replies
from eft.sftp_temp.errors import CODES, NO_SUCH_FILE, refusal, translate
from tests.unit.sftp import wire

ARGUMENTS: dict[type[errors.EftError], tuple[Any, ...]] = {
    errors.ScopeMissing: ("cases:read",),
    errors.WrongRegion: ("emea", "https://example.test"),
    errors.NameNotAllowed: ("is empty",),
    errors.OffsetMismatch: (5,),
    errors.TooLarge: (5,),
    errors.LengthExceeded: (5,),
    errors.DigestMismatch: ("a", "b"),
    errors.Busy: (5,),
    errors.CaseFull: (100, 90),
    errors.TooManyKeys: (10,),
    errors.RateLimited: (5,),
    errors.Purged: (datetime(2026, 1, 1, tzinfo=UTC),),
}


def test_every_leaf_is_translated() -> None:
    assert set(CODES) == set(errors.leaves())


@pytest.mark.parametrize("kind", errors.leaves(), ids=lambda kind: kind.__name__)
def test_a_refusal_says_what_was_wrong_and_what_to_do(kind: type[errors.EftError]) -> None:
    error = kind(*ARGUMENTS.get(kind, ()))
    code, sentence = translate(error)
    assert code in (replies.NO_SUCH_FILE, replies.PERMISSION_DENIED, replies.FAILURE)
    if kind is not errors.NotFound:
        assert error.detail in sentence
        assert error.remedy in sentence
    reply = wire.replies(refusal(b"\0\0\0\5", error))[0]
    assert (reply.id, reply.code, reply.message) == (5, code, sentence)


def test_a_missing_file_is_told_in_the_words_that_clients_look_for() -> None:
    assert translate(errors.NotFound()) == (replies.NO_SUCH_FILE, NO_SUCH_FILE)
    assert NO_SUCH_FILE.startswith("No such file or directory.")


@pytest.mark.parametrize(
    "error", [errors.StorageFull(), errors.CaseClosed(), errors.NotSequential(), errors.WriterDisplaced(), errors.ReadOnly()]
)
def test_what_will_not_go_away_is_not_worth_a_retry(error: errors.EftError) -> None:
    assert translate(error)[0] == replies.PERMISSION_DENIED


@given(st.integers(0, 255), st.text())
def test_a_status_is_read_as_it_was_written(code: int, message: str) -> None:
    message = message.encode("utf-8", "ignore").decode()
    reply = wire.replies(replies.status(b"\1\2\3\4", code, message))[0]
    assert (reply.code, reply.message) == (code, message)
