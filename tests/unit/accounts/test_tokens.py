from __future__ import annotations

from datetime import timedelta
import re

import pytest

from eft.accounts.tokens import DEFAULT_TTL_S, LONGEST_TTL_S, ApiPrincipal, Scope, UploadPrincipal
from eft.domain.case import SubStatus
from eft.domain.errors import AlreadyExists, CaseClosed, Invalid, NotFound, Unauthenticated, WrongRegion
from eft.domain.upload import Source
from tests.fixtures.services import MICROSECOND, STAFF, START, Services


async def test_an_upload_token_stands_for_one_case_and_one_source(services: Services) -> None:
    await services.open_case()
    token, expires_at = await services.tokens.issue_upload("C-1", DEFAULT_TTL_S, Source.SUPPORT, STAFF)
    assert re.fullmatch(r"eft_us_up_[A-Za-z0-9_-]{43}", token)
    assert expires_at == START + timedelta(hours=24)
    principal = await services.tokens.authenticate(token)
    assert isinstance(principal, UploadPrincipal)
    assert (principal.case_id, principal.source) == ("C-1", Source.SUPPORT)


async def test_an_upload_token_lasts_until_and_not_at_its_expiry(services: Services) -> None:
    await services.open_case()
    token, expires_at = await services.tokens.issue_upload("C-1", 60, Source.HTTPS, STAFF)
    services.clock.set_to(expires_at - MICROSECOND)
    await services.tokens.authenticate(token)
    services.clock.set_to(expires_at)
    with pytest.raises(Unauthenticated):
        await services.tokens.authenticate(token)
    assert await services.tokens.forget_expired() == 1


@pytest.mark.parametrize("ttl_s", [0, -1, LONGEST_TTL_S + 1])
async def test_an_upload_token_lasts_between_a_second_and_seven_days(services: Services, ttl_s: int) -> None:
    await services.open_case()
    with pytest.raises(Invalid):
        await services.tokens.issue_upload("C-1", ttl_s, Source.HTTPS, STAFF)
    assert (await services.tokens.issue_upload("C-1", LONGEST_TTL_S, Source.HTTPS, STAFF))[1] == START + timedelta(days=7)


async def test_upload_tokens_are_for_open_cases(services: Services) -> None:
    with pytest.raises(NotFound):
        await services.tokens.issue_upload("C-1", 60, Source.HTTPS, STAFF)
    await services.open_case()
    await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    with pytest.raises(CaseClosed):
        await services.tokens.issue_upload("C-1", 60, Source.HTTPS, STAFF)


async def test_no_token_is_stored(services: Services) -> None:
    await services.open_case()
    upload, _ = await services.tokens.issue_upload("C-1", 60, Source.HTTPS, STAFF)
    api = await services.tokens.issue_api("portal", ["cases:read"], STAFF)
    stored = services.stored_bytes()
    assert upload.encode() not in stored
    assert api.encode() not in stored


async def test_an_api_token_has_its_scopes_until_it_is_revoked(services: Services) -> None:
    token = await services.tokens.issue_api("portal", [Scope.CASES_READ, Scope.CASES_WRITE], STAFF)
    assert re.fullmatch(r"eft_us_api_[A-Za-z0-9_-]{43}", token)
    assert await services.tokens.authenticate(token) == ApiPrincipal("portal", frozenset({"cases:read", "cases:write"}))
    with pytest.raises(AlreadyExists):
        await services.tokens.issue_api("portal", ["cases:read"], STAFF)
    await services.tokens.revoke_api("portal", STAFF)
    with pytest.raises(Unauthenticated):
        await services.tokens.authenticate(token)
    with pytest.raises(NotFound):
        await services.tokens.revoke_api("portal", STAFF)
    await services.tokens.issue_api("portal", ["cases:read"], STAFF)
    assert [(known.name, known.revoked_at is None) for known in await services.tokens.list_api()] in (
        [("portal", True), ("portal", False)],
        [("portal", False), ("portal", True)],
    )


@pytest.mark.parametrize(
    ("name", "scopes"), [("portal", []), ("portal", ["cases:burn"]), ("", ["cases:read"]), ("a b", ["cases:read"])]
)
async def test_an_api_token_needs_a_name_and_known_scopes(services: Services, name: str, scopes: list[str]) -> None:
    with pytest.raises(Invalid):
        await services.tokens.issue_api(name, scopes, STAFF)


@pytest.mark.parametrize(
    "token", ["", "x", "eft_us_up_short", "eft_us_cookie_" + "a" * 43, "eft_us_up_" + "a" * 43, "\udcff" * 53]
)
async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(services: Services, token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await services.tokens.authenticate(token)
    assert str(refused.value) == str(Unauthenticated())


async def test_another_regions_token_is_sent_to_its_region(services: Services) -> None:
    with pytest.raises(WrongRegion) as refused:
        await services.tokens.authenticate("eft_apac_up_" + "a" * 43)
    assert (refused.value.region, refused.value.url) == ("apac", "https://eftgateway-apac.example:8443")


async def test_issuing_and_revoking_is_audited(services: Services) -> None:
    await services.open_case()
    await services.tokens.issue_upload("C-1", 60, Source.HTTPS, STAFF)
    await services.tokens.issue_api("portal", ["cases:read"], STAFF)
    await services.tokens.revoke_api("portal", STAFF)
    assert (await services.actions())[1:] == ["token.issue", "token.create", "token.revoke"]
