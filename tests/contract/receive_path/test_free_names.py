"""Many files in one directory: not each is looked for before it is begun, and nothing is lost by that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eft.db import uploads
from eft.domain.errors import CaseClosed, NameNotAllowed, ReadOnly
from eft.domain.upload import UploadState
from eft.transfers import Directory, Reception
from eft.transfers import free_names as adapter
from tests.contract.receive_path.conftest import CUSTOMER, Site, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


async def put(directory: Directory, path: str, content: bytes = b"x", *, settle: float | None = 5) -> Reception:
    reception = await directory.open_write("C-1", path, CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(content)
    await reception.settle(settle)
    return reception


async def fill(directory: Directory, parent: str = "") -> None:
    """Two files are begun, so that a third need not be looked for."""
    for name in ("first", "second"):
        await put(directory, parent + name)


async def test_the_third_file_of_a_directory_is_begun_at_once_and_is_there_as_any_other(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await directory.make("C-1", "logs", CUSTOMER)
    assert directory.open_new("C-1", "logs/a", CUSTOMER) is None
    await fill(directory, "logs/")
    for name, size in (("a", 10), ("b", 3 * MIB)):
        reception = directory.open_new("C-1", f"logs/{name}", CUSTOMER)
        assert reception is not None
        assert directory.open_new("C-1", f"logs/{name}", CUSTOMER) is None
        reception.offer(noise(size))
        await reception.settle(5)
    site.clock.advance(seconds=5)
    await transfers.tick()
    found, _ = await transfers.attachments("C-1", None, 100)
    assert {each.name: each.size for each in found} == {"logs/first": 1, "logs/second": 1, "logs/a": 10, "logs/b": 3 * MIB}
    assert await read_all(transfers, next(each.id for each in found if each.name == "logs/b")) == noise(3 * MIB)


@pytest.mark.parametrize("size", [10, 3 * MIB])
@pytest.mark.parametrize("waits", [True, False])
async def test_what_another_worker_closed_under_the_name_meanwhile_becomes_the_version_before(
    site: Site, noise: Noise, size: int, *, waits: bool
) -> None:
    ours, theirs = site.directory_of(await site.worker()), site.directory_of(await site.worker())
    await fill(ours)
    earlier = await put(theirs, "a", b"theirs", settle=600 if waits else 0)
    reception = ours.open_new("C-1", "a", CUSTOMER)
    assert reception is not None
    reception.offer(noise(size))
    await reception.settle(5)
    assert (await ours.stat("C-1", "a")).size == size
    site.clock.advance(seconds=5)
    for transfers in site.workers:
        await transfers.tick()
    found = {each.id: each for each in (await site.workers[0].attachments("C-1", None, 100))[0] if each.name == "a"}
    assert {upload_id: each.version for upload_id, each in found.items()} == {earlier.upload_id: 1, reception.upload_id: 2}
    assert found[earlier.upload_id].superseded
    assert not found[reception.upload_id].superseded


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_what_another_worker_is_receiving_under_the_name_ends(site: Site, noise: Noise, size: int) -> None:
    ours, theirs = site.directory_of(await site.worker()), site.directory_of(await site.worker())
    await fill(ours)
    cut = await theirs.open_write("C-1", "a", CUSTOMER, create=True, truncate=True, exclusive=False)
    cut.offer(b"begun")
    await cut.commit()
    reception = ours.open_new("C-1", "a", CUSTOMER)
    assert reception is not None
    reception.offer(noise(size))
    await reception.settle(5)
    found = await site.database.read(lambda conn: uploads.get(conn, cut.upload_id))
    assert found is not None
    assert (found.state, found.ended) == (UploadState.EXPIRED, "overwritten")
    assert (await theirs.stat("C-1", "a")).size == size


async def test_of_two_workers_that_begin_one_name_at_the_same_time_each_keeps_its_file(site: Site) -> None:
    ours, theirs = site.directory_of(await site.worker()), site.directory_of(await site.worker())
    await fill(ours)
    await put(theirs, "third")
    await put(theirs, "fourth")
    receptions = [side.open_new("C-1", "a", CUSTOMER) for side in (ours, theirs)]
    for number, reception in enumerate(receptions):
        assert reception is not None
        reception.offer(b"%d" % number)
        await reception.settle(5)
    site.clock.advance(seconds=5)
    await site.workers[0].tick()
    versions = [each for each in (await site.workers[0].attachments("C-1", None, 100))[0] if each.name == "a"]
    assert sorted((each.version, each.superseded) for each in versions) == [(1, True), (2, False)]


async def test_a_name_that_is_there_or_was_just_begun_is_not_free(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    for path in ("made", "deep", "deep/er"):
        await directory.make("C-1", path, CUSTOMER)
    await put(directory, "deep/er/file")
    begun = await directory.open_write("C-1", "begun", CUSTOMER, create=True, truncate=True, exclusive=False)
    await fill(directory)
    for name in ("made", "deep", "begun", "first", "second"):
        assert directory.open_new("C-1", name, CUSTOMER) is None
    assert directory.open_new("C-1", "elsewhere/a", CUSTOMER) is None
    assert directory.open_new("C-2", "a", CUSTOMER) is None
    assert directory.open_new("C-1", "a.part", CUSTOMER) is None
    await begun.release()


async def test_what_was_seen_counts_for_a_moment_and_until_names_change(site: Site) -> None:
    directory = site.directory_of(await site.worker())

    async def change_by_making() -> None:
        await directory.make("C-1", "made", CUSTOMER)

    async def change_by_renaming() -> None:
        await directory.rename("C-1", "first", "renamed", CUSTOMER, replace=False)

    async def change_by_removing() -> None:
        await directory.remove_directory("C-1", "made", CUSTOMER)

    async def wait() -> None:
        site.clock.advance(seconds=adapter.FRESH_S * 1.01)

    for change in (change_by_making, change_by_renaming, change_by_removing, wait):
        await fill(directory)
        assert directory.open_new("C-1", f"a {change.__name__}", CUSTOMER) is not None
        await change()
        assert directory.open_new("C-1", f"b {change.__name__}", CUSTOMER) is None


async def test_of_a_directory_with_too_many_names_none_is_known_to_be_free(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = site.directory_of(await site.worker())
    monkeypatch.setattr(adapter, "NAMES", 3)
    await fill(directory)
    assert directory.open_new("C-1", "third", CUSTOMER) is not None
    for name in ("third", "fourth", "fifth"):
        await put(directory, name)
    assert directory.open_new("C-1", "sixth", CUSTOMER) is None


async def test_a_closed_case_takes_no_file_that_was_begun_at_once(site: Site) -> None:
    directory = site.directory_of(await site.worker())
    await fill(directory)
    reception = directory.open_new("C-1", "a", CUSTOMER)
    assert reception is not None
    reception.offer(b"late")
    await site.close_case("C-1")
    with pytest.raises(CaseClosed):
        await reception.settle(5)


async def test_with_a_quota_each_file_is_held_against_it(site: Site) -> None:
    directory = site.directory_of(await site.worker(case_bytes=1000))
    await fill(directory)
    assert directory.open_new("C-1", "a", CUSTOMER) is None


@pytest.mark.parametrize(("name", "error"), [("", ReadOnly), ("from-support/a", ReadOnly), ("a\x07", NameNotAllowed)])
async def test_a_name_that_may_not_be_written_is_refused_at_once(site: Site, name: str, error: type[Exception]) -> None:
    directory = site.directory_of(await site.worker())
    await fill(directory)
    with pytest.raises(error):
        directory.open_new("C-1", name, CUSTOMER)


async def test_files_of_many_directories_are_remembered_for_a_few_of_them(site: Site) -> None:
    directory = site.directory_of(await site.worker())
    for number in range(adapter.DIRECTORIES + 1):
        await directory.make("C-1", f"d{number}", CUSTOMER)
    for number in range(adapter.DIRECTORIES + 1):
        await fill(directory, f"d{number}/")
    assert directory.open_new("C-1", "d0/a", CUSTOMER) is None
    assert directory.open_new("C-1", "d1/a", CUSTOMER) is not None
