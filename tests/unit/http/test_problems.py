"""Every refusal of eft has its answer at this door."""

from __future__ import annotations

import json

import pytest

from eft.domain import errors
from eft.domain.http_statuses import STATUS, status_of
from eft.http_resumable import problems
from eft.http_resumable.refusals import Refusal


@pytest.mark.parametrize("kind", errors.leaves(), ids=lambda kind: kind.code)
def test_every_error_is_translated(kind: type[errors.EftError]) -> None:
    assert kind in STATUS
    assert 400 <= STATUS[kind] < 600


def test_no_error_is_translated_that_does_not_exist() -> None:
    assert all(kind.__module__ == errors.__name__ for kind in STATUS)


def test_a_closed_case_is_not_answered_with_what_clients_try_again() -> None:
    assert status_of(errors.CaseClosed()) == 403


def test_a_problem_says_what_was_wrong_and_what_to_do_and_carries_its_fields() -> None:
    assert problems.problem(errors.WrongRegion("emea", "https://emea.example")) == {
        "type": "urn:eft:problem:wrong-region",
        "title": "Misdirected Request",
        "status": 421,
        "code": "wrong-region",
        "detail": "This belongs to the region emea.",
        "remedy": "Go to https://emea.example.",
        "region": "emea",
        "url": "https://emea.example",
    }
    assert problems.problem(errors.DigestMismatch("aa", "bb"))["received"] == "bb"


def test_a_class_in_the_middle_of_the_tree_is_answered_too() -> None:
    assert status_of(errors.Conflict("It is taken.")) == 409
    assert status_of(errors.EftError()) == 500


def test_answers_carry_the_headers_that_belong_to_them() -> None:
    assert problems.answer(errors.Unauthenticated()).headers.get("WWW-Authenticate") == "Bearer"
    assert problems.answer(errors.Busy(7)).headers.get("Retry-After") == "7"
    assert problems.answer(errors.OffsetMismatch(42)).headers.get("Upload-Offset") == "42"
    refused = problems.answer(Refusal(405, "method-not-allowed", "No.", headers={"Allow": "GET"}, close=True))
    assert (refused.headers.get("Allow"), refused.close) == ("GET", True)
    assert refused.headers.get_all("Content-Type") == ["application/problem+json"]
    assert isinstance(refused.body, bytes)
    assert json.loads(refused.body)["code"] == "method-not-allowed"
