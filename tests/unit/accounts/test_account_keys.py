"""Public keys of temporary accounts, on both databases."""

from __future__ import annotations

from datetime import timedelta

import asyncssh
import pytest

from eft.db import account_keys as rows
from eft.domain.account import LIFETIME, TemporaryAccount
from eft.domain.case import SubStatus
from eft.domain.errors import NotFound, PublicKeyInvalid, SignInRefused, TooManyKeys, WrongRegion
from eft.domain.public_key import MOST_KEYS, parse_public_key
from tests.fixtures.services import MICROSECOND, STAFF, Services

ADDRESS = "198.51.100.9"
MADE = [
    asyncssh.generate_private_key("ssh-ed25519", comment="laptop").export_public_key().decode().strip()
    for _ in range(MOST_KEYS + 1)
]
TEXT, OTHER = MADE[:2]
BLOB = parse_public_key(TEXT).blob


async def issued(services: Services, case_id: str = "C-1") -> TemporaryAccount:
    await services.open_case(case_id)
    return (await services.accounts.issue(case_id, STAFF)).account


async def may_sign_in(services: Services, account: TemporaryAccount, text: str = TEXT) -> bool:
    """As one question: whether the key would do is answered like whether it did."""
    keys, blob = services.accounts.public_keys, parse_public_key(text).blob
    answers = set()
    for question in (
        keys.known(account.username, blob),
        keys.authenticate(account.username, blob, ADDRESS, signed=True),
    ):
        try:
            answers.add((await question).id == account.id)
        except SignInRefused:
            answers.add(False)
    assert len(answers) == 1
    return answers.pop()


async def test_a_registered_key_opens_exactly_its_account(services: Services) -> None:
    first, second = await issued(services), await issued(services, "C-2")
    key, new = await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    assert new
    assert (key.comment, key.added_by, key.fingerprint) == ("laptop", STAFF.name, parse_public_key(TEXT).fingerprint)
    assert await may_sign_in(services, first)
    assert not await may_sign_in(services, second)
    assert not await may_sign_in(services, first, OTHER)


async def test_registering_again_is_the_same_key_and_one_entry_in_the_audit_log(services: Services) -> None:
    await issued(services)
    first, _ = await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    again, new = await services.accounts.public_keys.register("C-1", TEXT + " under another comment", STAFF)
    assert (again, new) == (first, False)
    assert await services.accounts.public_keys.of_case("C-1") == [first]
    assert [entry.action for entry in await services.audited("C-1")].count("account.key-add") == 1


async def test_an_account_has_so_many_keys_and_no_more(services: Services) -> None:
    await issued(services)
    for text in MADE[:MOST_KEYS]:
        await services.accounts.public_keys.register("C-1", text, STAFF)
    with pytest.raises(TooManyKeys):
        await services.accounts.public_keys.register("C-1", MADE[MOST_KEYS], STAFF)
    assert len(await services.accounts.public_keys.of_case("C-1")) == MOST_KEYS
    assert not (await services.accounts.public_keys.register("C-1", TEXT, STAFF))[1]


async def test_a_removed_key_opens_nothing(services: Services) -> None:
    account = await issued(services)
    key, _ = await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    await services.accounts.public_keys.remove("C-1", key.id, STAFF)
    assert not await may_sign_in(services, account)
    for missing in (key.id, "0" * 32, ""):
        with pytest.raises(NotFound):
            await services.accounts.public_keys.remove("C-1", missing, STAFF)


async def test_a_key_is_removed_through_its_own_case_alone(services: Services) -> None:
    first = await issued(services)
    await issued(services, "C-2")
    key, _ = await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    with pytest.raises(NotFound):
        await services.accounts.public_keys.remove("C-2", key.id, STAFF)
    assert await may_sign_in(services, first)


@pytest.mark.parametrize(("before_the_end", "lives"), [(MICROSECOND, True), (timedelta(0), False)])
async def test_a_key_opens_its_account_for_120_hours_to_the_instant(
    services: Services, before_the_end: timedelta, lives: bool
) -> None:
    account = await issued(services)
    await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    services.clock.advance(LIFETIME - before_the_end)
    assert await may_sign_in(services, account) is lives


@pytest.mark.parametrize("end", ["expiry", "revocation", "closing", "renewal"])
async def test_keys_die_with_their_account(services: Services, end: str) -> None:
    account = await issued(services)
    await services.accounts.public_keys.register("C-1", TEXT, STAFF)
    if end == "expiry":
        services.clock.advance(LIFETIME)
    elif end == "revocation":
        await services.accounts.revoke("C-1", STAFF)
    elif end == "closing":
        await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    else:
        fresh = (await services.accounts.issue("C-1", STAFF)).account
        assert not await may_sign_in(services, fresh)
        assert await services.accounts.public_keys.of_case("C-1") == []
    assert not await may_sign_in(services, account)
    await services.accounts.erase_due()
    assert await services.database.read(lambda conn: rows.of_account(conn, account.id)) == []
    if end != "renewal":
        with pytest.raises(NotFound):
            await services.accounts.public_keys.of_case("C-1")
        with pytest.raises(NotFound):
            await services.accounts.public_keys.register("C-1", TEXT, STAFF)


async def test_what_is_no_key_registers_nothing(services: Services) -> None:
    await issued(services)
    with pytest.raises(PublicKeyInvalid):
        await services.accounts.public_keys.register("C-1", "ssh-dss AAAA", STAFF)
    assert await services.accounts.public_keys.of_case("C-1") == []


async def test_registering_signing_in_and_removing_are_in_the_audit_log_with_the_fingerprint(services: Services) -> None:
    account = await issued(services)
    keys = services.accounts.public_keys
    key, _ = await keys.register("C-1", TEXT, STAFF)
    await keys.known(account.username, BLOB)
    await keys.authenticate(account.username, BLOB, ADDRESS, signed=True)
    for blob, signed in ((BLOB, False), (parse_public_key(OTHER).blob, True)):
        with pytest.raises(SignInRefused):
            await keys.authenticate(account.username, blob, ADDRESS, signed=signed)
    await keys.remove("C-1", key.id, STAFF)
    entries = [entry for entry in await services.audited("C-1") if "public_key" in entry.detail]
    told = [(entry.action, entry.actor, entry.outcome, entry.detail.get("why"), entry.detail["public_key"]) for entry in entries]
    user, other = f"sftp:{account.username}", parse_public_key(OTHER).fingerprint
    assert told == [
        ("account.key-add", STAFF.name, "done", None, key.fingerprint),
        ("account.sign-in", user, "done", None, key.fingerprint),
        ("account.sign-in", user, "refused", "signature", key.fingerprint),
        ("account.sign-in", user, "refused", "key", other),
        ("account.key-remove", STAFF.name, "done", None, key.fingerprint),
    ]


async def test_a_user_name_that_is_none_of_ours_is_not_written_down(services: Services) -> None:
    with pytest.raises(SignInRefused):
        await services.accounts.public_keys.authenticate("my password", BLOB, ADDRESS, signed=True)
    assert "my password" not in repr(await services.audited(None))


async def test_another_regions_name_is_sent_there(services: Services) -> None:
    with pytest.raises(WrongRegion):
        await services.accounts.public_keys.known("eft_emea_abcdefghjkmn", BLOB)
