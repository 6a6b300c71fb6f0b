from __future__ import annotations

from datetime import UTC, datetime
import inspect
import json

import pytest

from eft.api.problems import of_status, translate
from eft.domain import errors
from eft.domain.errors import EftError, leaves
from eft.domain.http_statuses import STATUS
from eft.http_resumable import problems as files_door

ARGUMENTS: dict[type[EftError], tuple[object, ...]] = {
    errors.ScopeMissing: ("cases:read",),
    errors.WrongRegion: ("emea", "https://eftgateway-emea.example:8442"),
    errors.Purged: (datetime(2026, 11, 23, tzinfo=UTC),),
    errors.NameNotAllowed: ("is empty",),
    errors.OffsetMismatch: (7,),
    errors.TooLarge: (65536,),
    errors.LengthExceeded: (5,),
    errors.DigestMismatch: ("a" * 64, "b" * 64),
    errors.Busy: (5,),
    errors.CaseFull: (100, 90),
    errors.TooManyKeys: (10,),
    errors.RateLimited: (5,),
}


def made(kind: type[EftError]) -> EftError:
    return kind(*ARGUMENTS.get(kind, ()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.code)
def test_every_error_of_the_tree_has_a_status_of_its_own(kind: type[EftError]) -> None:
    assert kind in STATUS


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.code)
def test_every_error_becomes_a_problem_with_its_code_and_next_step(kind: type[EftError]) -> None:
    error = made(kind)
    problem = translate(error)
    document = json.loads(problem.body)
    assert document["code"] == kind.code
    assert document["status"] == problem.status >= 400
    assert (document["detail"], document["remedy"]) == (error.detail, error.remedy)
    for field in inspect.signature(kind.__init__).parameters:
        if field in vars(error) and field not in ("detail", "remedy"):
            assert field in document


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.code)
def test_a_code_has_one_status_here_and_at_files(kind: type[EftError]) -> None:
    here, there = translate(made(kind)).status, files_door.answer(made(kind)).status
    assert (here, there) == ((422, 400) if kind is errors.Invalid else (there, there))


def test_not_signed_in_says_how_and_busy_says_when() -> None:
    assert translate(errors.Unauthenticated()).headers["www-authenticate"].startswith("Bearer")
    assert translate(errors.Busy(7)).headers["retry-after"] == "7"


def test_case_closed_is_never_what_clients_retry() -> None:
    assert STATUS[errors.CaseClosed] == 403


def test_a_branch_of_the_tree_has_the_status_of_its_leaves() -> None:
    assert translate(errors.Conflict("x", "y")).status == 409
    assert translate(EftError()).status == 500


@pytest.mark.parametrize(("status", "told"), [(400, 422), (404, 404), (405, 405), (418, 418)])
def test_what_the_router_refuses_is_a_problem_too(status: int, told: int) -> None:
    assert of_status(status).status == told
