from __future__ import annotations

from datetime import timedelta
import re

import pytest

from eft.accounts.passwords import WAITING, Passwords
from eft.db import accounts as rows
from eft.domain.account import LIFETIME
from eft.domain.case import CaseStatus, SubStatus
from eft.domain.errors import Busy, CaseClosed, KeyUnavailable, NotFound, SignInRefused, StorageFailed, WrongRegion
from tests.fixtures.services import MICROSECOND, STAFF, START, Services


async def close(services: Services, case_id: str = "C-1") -> None:
    await services.cases.close(case_id, sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)


async def sign_in(services: Services, username: str, password: str) -> str:
    return (await services.accounts.authenticate(username, password, "198.51.100.9")).case_id


async def test_an_account_lets_its_holder_into_exactly_its_case(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    assert re.fullmatch(r"eft_us_[a-z0-9]{12}", credentials.account.username)
    assert await sign_in(services, credentials.account.username, credentials.password) == "C-1"


async def test_a_password_never_appears_when_credentials_are_printed(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    assert credentials.password not in repr(credentials)


@pytest.mark.parametrize(("before_the_end", "lives"), [(MICROSECOND, True), (timedelta(0), False), (-MICROSECOND, False)])
async def test_an_account_lives_120_hours_to_the_instant(services: Services, before_the_end: timedelta, lives: bool) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    assert credentials.account.expires_at == START + timedelta(hours=120)
    services.clock.advance(LIFETIME - before_the_end)
    account = credentials.account
    assert await services.accounts.alive([account.id]) == ({account.id} if lives else set())
    if lives:
        assert await sign_in(services, account.username, credentials.password) == "C-1"
        assert (await services.accounts.show("C-1", STAFF)).password == credentials.password
    else:
        with pytest.raises(SignInRefused):
            await sign_in(services, account.username, credentials.password)
        with pytest.raises(NotFound):
            await services.accounts.show("C-1", STAFF)


async def test_the_wall_clock_decides_and_not_the_time_that_passed(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    services.clock.set_to(START + LIFETIME)
    with pytest.raises(SignInRefused):
        await sign_in(services, credentials.account.username, credentials.password)


async def test_after_expiry_the_password_is_gone_from_database_and_key_store(services: Services) -> None:
    await services.open_case()
    account = (await services.accounts.issue("C-1", STAFF)).account
    assert account.secret_slot is not None
    services.clock.advance(LIFETIME)
    assert await services.accounts.erase_due() == 1
    assert await services.accounts.erase_due() == 0
    with pytest.raises(KeyUnavailable):
        services.keys.secret(account.secret_slot, account.id)
    row = await services.database.read(lambda conn: rows.by_username(conn, account.username))
    assert row is not None
    assert (row.secret_slot, row.password_hash) == (None, "")


async def test_erasing_goes_on_after_a_crash_between_key_store_and_row(services: Services) -> None:
    await services.open_case()
    account = (await services.accounts.issue("C-1", STAFF)).account
    services.clock.advance(LIFETIME)
    assert account.secret_slot is not None
    services.keys.erase_secret(account.secret_slot, account.id)
    assert services.keys.put_secret("somebody-else", b"theirs") == account.secret_slot
    assert await services.accounts.erase_due() == 1
    assert services.keys.secret(account.secret_slot, "somebody-else") == b"theirs"


async def test_the_plain_password_is_in_no_file(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    assert credentials.password.encode() not in services.stored_bytes()


async def test_a_new_account_replaces_the_one_alive(services: Services) -> None:
    await services.open_case()
    first = await services.accounts.issue("C-1", STAFF)
    second = await services.accounts.issue("C-1", STAFF)
    assert await services.accounts.alive([first.account.id, second.account.id]) == {second.account.id}
    with pytest.raises(SignInRefused):
        await sign_in(services, first.account.username, first.password)
    assert (await services.accounts.show("C-1", STAFF)).password == second.password
    assert services.keys.check().secrets == 1


async def test_a_closed_case_gets_no_account(services: Services) -> None:
    await services.open_case()
    await close(services)
    with pytest.raises(CaseClosed):
        await services.accounts.issue("C-1", STAFF)
    assert services.keys.check().secrets == 0


async def test_an_unknown_case_has_no_account(services: Services) -> None:
    for refused in (services.accounts.issue, services.accounts.show, services.accounts.revoke):
        with pytest.raises(NotFound):
            await refused("C-404", STAFF)


async def test_closing_the_case_ends_the_account_and_reopening_does_not_bring_it_back(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    await close(services)
    await services.cases.reopen("C-1", reason="more logs", by_customer=True, actor=STAFF)
    assert await services.accounts.alive([credentials.account.id]) == set()
    with pytest.raises(SignInRefused):
        await sign_in(services, credentials.account.username, credentials.password)
    with pytest.raises(NotFound):
        await services.accounts.show("C-1", STAFF)


async def test_a_case_that_closes_while_the_password_is_hashed_lets_nobody_in(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    check = services.accounts._passwords.matches

    async def slow(password: str, password_hash: str | None) -> bool:
        matched = await check(password, password_hash)
        await close(services)
        return matched

    services.accounts._passwords.matches = slow  # type: ignore[method-assign]
    with pytest.raises(SignInRefused):
        await sign_in(services, credentials.account.username, credentials.password)


async def test_revoking_is_repeatable_and_erases_at_once(services: Services) -> None:
    await services.open_case()
    await services.accounts.issue("C-1", STAFF)
    await services.accounts.revoke("C-1", STAFF)
    await services.accounts.revoke("C-1", STAFF)
    assert services.keys.check().secrets == 0
    assert (await services.actions("C-1")).count("account.revoke") == 1


async def test_a_slot_is_erased_when_the_row_cannot_be_written(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await services.open_case()

    def fails(*_: object) -> None:
        raise StorageFailed

    monkeypatch.setattr(rows, "insert", fails)
    with pytest.raises(StorageFailed):
        await services.accounts.issue("C-1", STAFF)
    assert services.keys.check().secrets == 0


async def test_a_failed_replacement_leaves_the_old_account_alive(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await services.open_case()
    first = await services.accounts.issue("C-1", STAFF)

    def fails(*_: object) -> None:
        raise StorageFailed

    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", fails)
        with pytest.raises(StorageFailed):
            await services.accounts.issue("C-1", STAFF)
    assert (await services.accounts.show("C-1", STAFF)).password == first.password


async def test_every_act_is_in_the_audit_log_and_none_has_the_password(services: Services) -> None:
    await services.open_case()
    credentials = await services.accounts.issue("C-1", STAFF)
    await services.accounts.show("C-1", STAFF)
    await sign_in(services, credentials.account.username, credentials.password)
    with pytest.raises(SignInRefused):
        await sign_in(services, credentials.account.username, "wrong")
    await services.accounts.revoke("C-1", STAFF)
    records = (await services.audited("C-1"))[1:]
    assert [(record.action, record.outcome) for record in records] == [
        ("account.issue", "done"),
        ("account.reveal", "done"),
        ("account.sign-in", "done"),
        ("account.sign-in", "refused"),
        ("account.revoke", "done"),
        ("account.erase", "done"),
    ]
    assert records[1].actor == "token:portal"
    assert records[2].address == "198.51.100.9"
    assert credentials.password not in repr(records)


async def test_a_name_that_is_not_ours_is_not_written_down(services: Services) -> None:
    with pytest.raises(SignInRefused):
        await sign_in(services, "my-secret-password\0\ud800", "x")
    record = (await services.audited())[-1]
    assert (record.action, record.outcome, record.actor) == ("account.sign-in", "refused", "sftp:-")


async def test_another_regions_user_name_is_sent_to_its_region(services: Services) -> None:
    with pytest.raises(WrongRegion) as refused:
        await sign_in(services, "eft_emea_abcdefghjkmn", "x")
    assert (refused.value.region, refused.value.url) == ("emea", "sftp://eftgateway-emea.example:2222")


async def test_an_unknown_region_is_an_unknown_user(services: Services) -> None:
    with pytest.raises(SignInRefused):
        await sign_in(services, "eft_mars_abcdefghjkmn", "x")


async def test_an_unknown_user_costs_one_hash_as_a_wrong_password_does(services: Services) -> None:
    await services.open_case()
    known = (await services.accounts.issue("C-1", STAFF)).account.username
    hashes: list[str] = []
    work = services.accounts._passwords._hasher.verify

    class Counting:
        def verify(self, known_hash: str, secret: bytes) -> bool:
            hashes.append(known_hash.rsplit("$", 2)[0])
            return work(known_hash, secret)

    services.accounts._passwords._hasher = Counting()  # type: ignore[assignment]
    for username in (known, "eft_us_zzzzzzzzzzzz", "root"):
        with pytest.raises(SignInRefused):
            await sign_in(services, username, "wrong")
    assert len(hashes) == 3
    assert set(hashes) == {"$argon2id$v=19$m=7168,t=5,p=1"}


async def test_a_flood_of_sign_ins_is_told_to_come_back(services: Services) -> None:
    passwords = Passwords()
    passwords._under_way = WAITING
    with pytest.raises(Busy):
        await passwords.matches("x", None)
    passwords.close()


async def test_putting_the_case_to_closed_ends_the_account_too(services: Services) -> None:
    await services.open_case()
    account = (await services.accounts.issue("C-1", STAFF)).account
    await services.cases.put(
        "C-1", organisation="Example", subject="Crash", status=CaseStatus.CLOSED, closed_at=None, actor=STAFF
    )
    assert await services.accounts.alive([account.id]) == set()
    assert await services.accounts.alive([]) == set()
