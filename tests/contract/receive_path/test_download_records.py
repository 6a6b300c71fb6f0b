"""What the audit log has of files that an SFTP client read."""

from __future__ import annotations

from eft.db import audit
from eft.domain.actor import Actor
from eft.domain.upload import Completeness, Source
from tests.contract.receive_path.conftest import CUSTOMER, Site, intent

READER = Actor("sftp:eft_us_someone", "192.0.2.7")


async def test_a_finished_file_that_was_read_is_a_download_and_nothing_else_is(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    finished = {}
    for name, source in (("a.log", Source.HTTPS), ("back.zip", Source.SUPPORT)):
        reception = await transfers.begin("C-1", intent(name, source=source))
        reception.offer(b"0123456789")
        await reception.finish(Completeness.DECLARED)
        finished[name] = reception.upload_id
    begun = await directory.open_write("C-1", "settling", CUSTOMER, create=True, truncate=True, exclusive=False)
    begun.offer(b"bytes")
    await begun.settle(600)
    for path, served, whole in (
        ("a.log", 10, True),
        ("from-support/back.zip", 3, False),
        ("settling", 5, True),
        ("receipts/a.log.sha256", 70, True),
    ):
        content = await directory.open_read("C-1", path)
        content.close()
        await content.note_read(READER, served, whole)
    entries, _ = await site.database.read(lambda conn: audit.page(conn, None, 100, case_id="C-1"))
    told = [(each.actor, each.address, each.subject, each.detail) for each in entries if each.action == "attachment.download"]
    assert told[::-1] == [
        (READER.name, READER.address, finished["a.log"], {"served": 10, "whole": True}),
        (READER.name, READER.address, finished["back.zip"], {"served": 3, "whole": False}),
    ]
