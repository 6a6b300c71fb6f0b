"""What an SFTP client sees of its case, and what its commands do to files that are there already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
import hashlib

import pytest

from eft.domain.attachment import Attachment
from eft.domain.errors import AlreadyExists, Invalid, NameNotAllowed, NotEmpty, NotFound, ReadOnly
from eft.domain.upload import Completeness, Source, UploadState
from eft.transfers import Directory, Reception, Transfers
from tests.contract.receive_path.conftest import CUSTOMER, Site, intent, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


async def put(directory: Directory, path: str, content: bytes, *, settle: float | None = 5, **flags: bool) -> Reception:
    modes = {"create": True, "truncate": True, "exclusive": False, **flags}
    reception = await directory.open_write("C-1", path, CUSTOMER, **modes)
    reception.offer(content)
    await reception.settle(settle)
    return reception


async def names(directory: Directory, path: str = "") -> list[str]:
    return [entry.path for entry in await directory.list("C-1", path)]


async def everything(transfers: Transfers) -> list[Attachment]:
    return (await transfers.attachments("C-1", None, 100))[0]


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
async def test_a_closed_file_settles_and_is_then_an_attachment(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await put(directory, "a.log", noise(size))
    assert (await directory.stat("C-1", "a.log")).size == size
    assert await everything(transfers) == []
    await transfers.tick()
    assert await everything(transfers) == []
    site.clock.advance(seconds=5)
    await transfers.tick()
    (attachment,) = await everything(transfers)
    assert attachment.id == reception.upload_id
    assert attachment.completeness is Completeness.CLOSED
    assert attachment.sha256 == hashlib.sha256(noise(size)).hexdigest()
    assert await read_all(transfers, attachment.id) == noise(size)
    assert await names(directory) == ["a.log", "from-support", "receipts"]


async def test_a_settling_file_is_readable_by_its_sender_at_once(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    for size in (10, 2 * MIB):
        await put(directory, "a.log", noise(size))
        content = await directory.open_read("C-1", "a.log")
        assert await content.read(0, 10 * MIB) == noise(size)
        content.close()


async def appended(directory: Directory) -> None:
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=False, truncate=False, exclusive=False)
    reception.offer(b"and more")
    await reception.settle(5)


async def overwritten(directory: Directory) -> None:
    await put(directory, "a.log", b"another")


async def read(directory: Directory) -> bytes:
    content = await directory.open_read("C-1", "a.log")
    try:
        return await content.read(0, 10 * MIB)
    finally:
        content.close()


async def removed(directory: Directory) -> None:
    await directory.remove("C-1", "a.log", CUSTOMER)


async def renamed(directory: Directory) -> None:
    await directory.rename("C-1", "a.log", "b.log", CUSTOMER, replace=False)


async def dated(directory: Directory) -> None:
    await directory.touch("C-1", "a.log", datetime(2001, 2, 3, tzinfo=UTC))


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
@pytest.mark.parametrize("what", [appended, overwritten, read, removed, renamed, dated])
async def test_what_is_done_to_a_file_is_the_same_if_it_is_published_in_between(
    site: Site, noise: Noise, size: int, what: Callable[[Directory], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", noise(size))
    view = directory._view
    look = view.stat

    async def looked_at_and_published(look: Callable[[str, str], Awaitable[object]], case_id: str, path: str) -> object:
        found = await look(case_id, path)
        monkeypatch.undo()
        site.clock.advance(seconds=5)
        await transfers.tick()
        assert len(await everything(transfers)) == 1
        return found

    for name in ("stat", "place"):
        monkeypatch.setattr(view, name, partial(looked_at_and_published, getattr(view, name)))
    said = await what(directory)
    assert len(await everything(transfers)) == 1
    if what is read:
        assert said == noise(size)
    site.clock.advance(seconds=5)
    await transfers.tick()
    shown = {name: await look("C-1", name) for name in await names(directory) if name not in ("from-support", "receipts")}
    sizes = {name: entry.size for name, entry in shown.items()}
    match what.__name__:
        case "appended":
            assert sizes == {"a.log": size + 8}
        case "overwritten":
            assert sizes == {"a.log": 7}
        case "removed":
            assert sizes == {}
        case "renamed":
            assert sizes == {"b.log": size}
        case "dated":
            assert shown["a.log"].modified_at == datetime(2001, 2, 3, tzinfo=UTC)
        case _:
            assert sizes == {"a.log": size}
    kept = {attachment.sha256 for attachment in await everything(transfers)}
    assert hashlib.sha256(noise(size)).hexdigest() in kept, "what was closed stays with the case"


@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_a_resume_while_it_settles_goes_on_and_settles_anew(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", noise(2 * size)[:size])
    site.clock.advance(seconds=4)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
    assert reception.offset == size
    site.clock.advance(seconds=4)
    await transfers.tick()
    assert await everything(transfers) == []
    reception.offer(noise(2 * size)[size:])
    await reception.settle(5)
    site.clock.advance(seconds=5)
    await transfers.tick()
    (attachment,) = await everything(transfers)
    assert await read_all(transfers, attachment.id) == noise(2 * size)
    assert attachment.sha256 == hashlib.sha256(noise(2 * size)).hexdigest()


@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_a_resume_after_publication_becomes_a_new_version_by_reference(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", noise(2 * size)[:size])
    site.clock.advance(seconds=6)
    await transfers.tick()
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
    assert reception.offset == size
    reception.offer(noise(2 * size)[size:])
    await reception.settle(5)
    site.clock.advance(seconds=6)
    await transfers.tick()
    newer, older = await everything(transfers)
    assert (newer.version, older.version, older.superseded) == (2, 1, True)
    assert await read_all(transfers, newer.id) == noise(2 * size)
    assert await read_all(transfers, older.id) == noise(2 * size)[:size]
    await transfers.delete(older.id, actor=CUSTOMER)
    assert await read_all(transfers, newer.id) == noise(2 * size)


async def test_opening_a_finished_file_for_writing_and_writing_nothing_changes_nothing(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    for size in (10, 2 * MIB):
        await put(directory, "a.log", noise(size))
        site.clock.advance(seconds=6)
        await transfers.tick()
        before = await everything(transfers)
        for end in ("settle", "release"):
            reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
            await (reception.settle(5) if end == "settle" else reception.release())
        site.clock.advance(seconds=6)
        await transfers.tick()
        assert await everything(transfers) == before


async def test_a_settling_file_opened_and_left_alone_settles_on(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    for size in (10, 2 * MIB):
        name = f"{size}.log"
        await put(directory, name, noise(size))
        reception = await directory.open_write("C-1", name, CUSTOMER, create=True, truncate=False, exclusive=False)
        await reception.release()
        site.clock.advance(seconds=6)
        await transfers.tick()
        assert [found.name for found in await everything(transfers)].count(name) == 1


async def test_overwriting_keeps_the_earlier_version_for_staff(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", b"one")
    await put(directory, "a.log", b"two")
    site.clock.advance(seconds=6)
    await transfers.tick()
    newer, older = await everything(transfers)
    assert (await read_all(transfers, newer.id), await read_all(transfers, older.id)) == (b"two", b"one")
    assert (newer.version, older.version) == (2, 1)
    assert await names(directory) == ["a.log", "from-support", "receipts"]


async def test_a_cut_upload_stays_under_its_name_with_what_is_durable(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(noise(MIB))
    await reception.release()
    site.clock.advance(days=1)
    await transfers.tick()
    assert (await directory.stat("C-1", "a.log")).size == MIB
    assert await everything(transfers) == []
    again = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
    assert again.offset == MIB


async def test_a_cut_upload_that_is_begun_anew_leaves_no_rest(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(noise(MIB))
    await reception.release()
    await put(directory, "a.log", b"whole")
    assert [found.state for found in await transfers.unfinished("C-1")] == [UploadState.SETTLING]
    assert site.files() == []


async def test_a_temporary_name_waits_for_its_rename(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log.filepart", noise(MIB), settle=None)
    site.clock.advance(hours=1)
    await transfers.tick()
    assert await everything(transfers) == []
    await directory.rename("C-1", "a.log.filepart", "a.log", CUSTOMER, replace=False)
    site.clock.advance(seconds=6)
    await transfers.tick()
    (attachment,) = await everything(transfers)
    assert attachment.name == "a.log"


async def test_rename_over_an_existing_file_makes_a_version(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", b"one")
    site.clock.advance(seconds=6)
    await transfers.tick()
    await put(directory, "b.log", b"two")
    with pytest.raises(AlreadyExists):
        await directory.rename("C-1", "b.log", "a.log", CUSTOMER, replace=False)
    await directory.rename("C-1", "b.log", "a.log", CUSTOMER, replace=True)
    site.clock.advance(seconds=6)
    await transfers.tick()
    newer, older = await everything(transfers)
    assert (newer.name, newer.version, older.superseded) == ("a.log", 2, True)
    assert await names(directory) == ["a.log", "from-support", "receipts"]


async def test_removing_takes_a_file_out_of_the_directory_and_keeps_it_for_staff(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a.log", b"one")
    site.clock.advance(seconds=6)
    await transfers.tick()
    await directory.remove("C-1", "a.log", CUSTOMER)
    assert await names(directory) == ["from-support", "receipts"]
    with pytest.raises(NotFound):
        await directory.stat("C-1", "a.log")
    (attachment,) = await everything(transfers)
    assert await read_all(transfers, attachment.id) == b"one"


async def test_directories_are_made_listed_renamed_and_removed_when_empty(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await directory.make("C-1", "logs", CUSTOMER)
    await directory.make("C-1", "logs/old", CUSTOMER)
    await put(directory, "logs/old/a.log", b"one")
    with pytest.raises(NotFound):
        await put(directory, "nowhere/a.log", b"one")
    with pytest.raises(AlreadyExists):
        await directory.make("C-1", "logs", CUSTOMER)
    with pytest.raises(NotEmpty):
        await directory.remove_directory("C-1", "logs", CUSTOMER)
    await directory.rename("C-1", "logs", "traces", CUSTOMER, replace=False)
    assert await names(directory) == ["from-support", "receipts", "traces"]
    assert await names(directory, "traces/old") == ["traces/old/a.log"]
    await directory.remove("C-1", "traces/old/a.log", CUSTOMER)
    await directory.remove_directory("C-1", "traces/old", CUSTOMER)
    assert await names(directory, "traces") == []


async def test_what_support_hands_back_is_read_only_and_apart(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await transfers.begin("C-1", intent("fix/patch.zip", source=Source.SUPPORT))
    reception.offer(b"patch")
    await reception.finish(Completeness.DECLARED)
    assert await names(directory) == ["from-support", "receipts"]
    assert await names(directory, "from-support") == ["from-support/fix"]
    assert await names(directory, "from-support/fix") == ["from-support/fix/patch.zip"]
    content = await directory.open_read("C-1", "from-support/fix/patch.zip")
    assert await content.read(0, 100) == b"patch"
    for attempt in (
        put(directory, "from-support/x", b""),
        directory.remove("C-1", "from-support/fix/patch.zip", CUSTOMER),
        directory.make("C-1", "from-support/new", CUSTOMER),
        directory.rename("C-1", "from-support/fix/patch.zip", "mine", CUSTOMER, replace=True),
    ):
        with pytest.raises(ReadOnly):
            await attempt


async def test_a_file_that_another_worker_renames_while_it_is_written_does_not_wait_for_its_rename(site: Site) -> None:
    transfers, others = await site.worker(), await site.worker()
    directory, elsewhere = site.directory_of(transfers), site.directory_of(others)
    reception = await directory.open_write("C-1", "a.log.filepart", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(b"abc")
    await reception.commit()
    await elsewhere.rename("C-1", "a.log.filepart", "a.log", CUSTOMER, replace=False)
    reception.offer(b"def")
    assert reception.path == "a.log.filepart"  # as this worker knows it: its door lets it rest until its rename
    await reception.settle(None)
    site.clock.advance(seconds=1)
    await transfers.tick()
    (attachment,) = await everything(transfers)
    assert attachment.name == "a.log"
    assert await read_all(transfers, attachment.id) == b"abcdef"


async def test_a_directory_is_not_removed_as_a_file_nor_made_twice_nor_is_the_top_one(site: Site) -> None:
    directory = site.directory_of(await site.worker())
    await directory.make("C-1", "logs", CUSTOMER)
    with pytest.raises(Invalid, match=r"a directory"):
        await directory.remove("C-1", "logs", CUSTOMER)
    for path in ("", "logs"):
        with pytest.raises(AlreadyExists):
            await directory.make("C-1", path, CUSTOMER)


async def test_a_file_being_written_is_seen_before_it_is_stored(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=True)
    reception.offer(b"abc")
    assert (await directory.stat("C-1", "a.log")).size == 3
    assert await names(directory) == ["a.log", "from-support", "receipts"]
    with pytest.raises(AlreadyExists):
        await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=True)
    await directory.rename("C-1", "a.log", "b.log", CUSTOMER, replace=False)
    await reception.settle(5)
    assert await names(directory) == ["b.log", "from-support", "receipts"]


@pytest.mark.parametrize("looks", ["stat", "list"])
async def test_what_a_file_is_told_to_have_is_durable_and_can_be_gone_on_from_in_another_worker(
    site: Site, noise: Noise, looks: str
) -> None:
    first, second = await site.worker(), await site.worker()
    begun = await site.directory_of(first).open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    begun.offer(noise(1000))
    if looks == "stat":
        told = await site.directory_of(first).stat("C-1", "a.log")
    else:
        (told,) = [entry for entry in await site.directory_of(first).list("C-1", "") if entry.path == "a.log"]
    assert told.size == begun.durable == 1000
    going_on = await site.directory_of(second).open_write("C-1", "a.log", CUSTOMER, create=False, truncate=False, exclusive=False)
    assert going_on.offset == 1000
    await going_on.release()


async def test_the_clients_time_of_modification_is_kept(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    then = datetime(2020, 2, 29, 1, 2, 3, tzinfo=UTC)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(b"abc")
    await directory.touch("C-1", "a.log", then)
    await reception.settle(5)
    assert (await directory.stat("C-1", "a.log")).modified_at == then
    site.clock.advance(seconds=6)
    await transfers.tick()
    assert (await directory.stat("C-1", "a.log")).modified_at == then
    later = datetime(2021, 2, 28, 1, 2, 3, tzinfo=UTC)
    await directory.touch("C-1", "a.log", later)
    assert (await directory.stat("C-1", "a.log")).modified_at == later


async def test_bad_names_are_refused_before_anything_is_stored(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    for name in ("a\\b", "x" * 256, "a\x07"):
        with pytest.raises(NameNotAllowed):
            await put(directory, name, b"")
        with pytest.raises(NameNotAllowed):
            await directory.make("C-1", name, CUSTOMER)


async def test_a_removed_name_does_not_show_what_it_had_replaced(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "a", noise(10))
    site.clock.advance(seconds=5)
    await transfers.tick()
    site.clock.advance(seconds=1)
    await put(directory, "a.tmp", noise(20), settle=None)
    await directory.rename("C-1", "a.tmp", "a", CUSTOMER, replace=True)
    await directory.remove("C-1", "a", CUSTOMER)
    assert await names(directory) == ["from-support", "receipts"]
    assert [attachment.size for attachment in await everything(transfers)] == [20, 10]
