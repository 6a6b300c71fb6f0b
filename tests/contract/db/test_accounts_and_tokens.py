"""The repositories of what lets somebody in: temporary accounts and tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from eft.db import accounts, cases, tokens
from eft.domain.errors import AlreadyExists
from eft.domain.upload import Source
from tests.contract.db.samples import MICROSECOND, NOW, SECOND, a_case, an_account, an_api_token, an_upload_token, hexes

HOURS_120 = timedelta(hours=120)


@pytest.fixture(autouse=True)
def _two_cases(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))


def test_an_account_comes_back_as_it_was_stored(conn: Connection) -> None:
    accounts.insert(conn, an_account(revoked_at=NOW))
    assert accounts.by_username(conn, "eft_us_1") == an_account(revoked_at=NOW)
    assert accounts.by_username(conn, "EFT_US_1") is None


def test_a_user_name_is_given_once(conn: Connection) -> None:
    accounts.insert(conn, an_account(1))
    with pytest.raises(AlreadyExists):
        accounts.insert(conn, an_account(2, username="eft_us_1"))
    assert accounts.by_username(conn, "eft_us_1") == an_account(1)


def test_an_account_is_alive_until_and_not_at_its_expiry(conn: Connection) -> None:
    accounts.insert(conn, an_account(1))
    last = NOW + HOURS_120 - MICROSECOND
    assert accounts.alive_of_case(conn, "C-1", last) == an_account(1)
    assert accounts.alive_of_case(conn, "C-1", last + MICROSECOND) is None
    assert accounts.alive_of_case(conn, "C-2", NOW) is None
    assert accounts.alive(conn, [hexes(1), hexes(2)], last) == {hexes(1)}
    assert accounts.alive(conn, [hexes(1)], last + MICROSECOND) == set()


def test_many_accounts_are_looked_at_in_one_read(conn: Connection) -> None:
    accounts.insert(conn, an_account(700))
    assert accounts.alive(conn, {hexes(number) for number in range(1500)}, NOW) == {hexes(700)}
    assert accounts.alive(conn, [], NOW) == set()


def test_revoking_ends_the_living_accounts_of_one_case(conn: Connection) -> None:
    accounts.insert(conn, an_account(1))
    accounts.insert(conn, an_account(2, expires_at=NOW))
    accounts.insert(conn, an_account(3, case_id="C-2"))
    assert accounts.revoke_case(conn, "C-1", NOW) == [an_account(1, revoked_at=NOW)]
    assert accounts.revoke_case(conn, "C-1", NOW + SECOND) == []
    assert accounts.alive(conn, [hexes(1), hexes(2), hexes(3)], NOW) == {hexes(3)}


def test_secrets_are_due_once_their_account_is_over(conn: Connection) -> None:
    accounts.insert(conn, an_account(1, expires_at=NOW))
    accounts.insert(conn, an_account(2, revoked_at=NOW))
    accounts.insert(conn, an_account(3))
    accounts.insert(conn, an_account(4, expires_at=NOW, secret_slot=None))
    assert [account.id for account in accounts.secrets_due(conn, NOW)] == [hexes(1), hexes(2)]
    accounts.clear_secret(conn, hexes(1))
    accounts.clear_secret(conn, hexes(1))
    assert [account.id for account in accounts.secrets_due(conn, NOW)] == [hexes(2)]


def test_an_api_token_is_found_by_its_hash_until_it_is_revoked(conn: Connection) -> None:
    tokens.insert_api(conn, an_api_token())
    assert tokens.api_by_hash(conn, an_api_token().hash) == an_api_token()
    assert tokens.api_by_hash(conn, "0" * 64) is None
    assert tokens.revoke_api(conn, hexes(1), NOW) is True
    assert tokens.revoke_api(conn, hexes(1), NOW) is False
    assert tokens.api_by_hash(conn, an_api_token().hash) is None
    assert tokens.list_api(conn) == [an_api_token(revoked_at=NOW)]


def test_a_name_is_held_by_one_living_api_token(conn: Connection) -> None:
    tokens.insert_api(conn, an_api_token(1, name="crm"))
    with pytest.raises(AlreadyExists):
        tokens.insert_api(conn, an_api_token(2, name="crm"))
    tokens.revoke_api(conn, hexes(1), NOW)
    tokens.insert_api(conn, an_api_token(2, name="crm", scopes=frozenset()))
    assert [token.id for token in tokens.list_api(conn)] == [hexes(2), hexes(1)]
    assert tokens.list_api(conn)[0].scopes == frozenset()


def test_an_upload_token_is_found_by_its_hash_until_it_expires(conn: Connection) -> None:
    token = an_upload_token(source=Source.SUPPORT)
    tokens.insert_upload(conn, token)
    assert tokens.upload_by_hash(conn, token.hash, token.expires_at - MICROSECOND) == token
    assert tokens.upload_by_hash(conn, token.hash, token.expires_at) is None
    assert tokens.upload_by_hash(conn, "0" * 64, NOW) is None


def test_upload_tokens_are_listed_revoked_and_expired(conn: Connection) -> None:
    for number in range(1, 4):
        tokens.insert_upload(conn, an_upload_token(number, expires_at=NOW + number * SECOND))
    tokens.insert_upload(conn, an_upload_token(4, case_id="C-2"))
    assert [token.id for token in tokens.uploads_of_case(conn, "C-1")] == [hexes(3), hexes(2), hexes(1)]
    assert tokens.revoke_upload(conn, hexes(3)) is True
    assert tokens.revoke_upload(conn, hexes(3)) is False
    assert tokens.expire_uploads(conn, NOW + SECOND) == 1
    kept = replace(an_upload_token(2), expires_at=NOW + 2 * SECOND)
    assert tokens.uploads_of_case(conn, "C-1") == [kept]
