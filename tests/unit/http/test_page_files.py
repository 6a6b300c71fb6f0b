"""Files of a case below `/transfer/CASE`, for the page's visitor and for the holder of an upload token."""

from __future__ import annotations

from datetime import timedelta
import http.client
import io
import json
import zipfile

import jwt
import pytest

from eft.db import attachments
from eft.domain.attachment import AttachmentState
from eft.domain.upload import Source
from tests.fixtures.services import STAFF
from tests.unit.http.page_site import OWN, PageSite

MIB = 1024 * 1024
PATIENCE_S = 90.0


def bearer(pages: PageSite, case_id: str = "C-1") -> dict[str, str]:
    token, _ = pages.run(pages.services.tokens.issue_upload(case_id, 3600, Source.HTTPS, STAFF))
    return {"Authorization": f"Bearer {token}"}


def downloads(pages: PageSite) -> list[tuple[str, str, dict[str, object]]]:
    entries = pages.run(pages.services.audited("C-1"))
    return [(entry.actor, entry.subject, dict(entry.detail)) for entry in entries if entry.action == "attachment.download"]


def test_all_files_come_as_one_archive_to_the_visitor_and_to_a_token(pages: PageSite) -> None:
    contents = {"logs/é.log": b"a" * 100, "dump.bin": bytes(range(256)) * 20_000}
    ids = {pages.run(pages.services.store("C-1", name, content)).id for name, content in contents.items()}
    for how in ({"cookie": pages.launch()}, {"headers": bearer(pages)}):
        answer = pages.ask("GET", "/transfer/C-1/attachments.zip", **how)  # type: ignore[arg-type]
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.headers["Content-Disposition"] == "attachment; filename=\"C-1.zip\"; filename*=UTF-8''C-1.zip"
        assert "no-store" in answer.headers["Cache-Control"]
        whole = zipfile.ZipFile(io.BytesIO(answer.body))
        assert whole.testzip() is None
        assert {name: whole.read(name) for name in contents} == contents
        head = pages.ask("HEAD", "/transfer/C-1/attachments.zip", **how)  # type: ignore[arg-type]
        assert (head.headers["Content-Length"], head.body) == (answer.headers["Content-Length"], b"")
    assert {subject for _, subject, _ in downloads(pages)} == ids
    assert {detail["archive"] for _, _, detail in downloads(pages)} == {"zip"}
    assert len(downloads(pages)) == 4


def test_the_page_links_to_the_archive_and_to_receipts_where_there_are_files(pages: PageSite) -> None:
    cookie = pages.launch()
    assert "attachments.zip" not in pages.page(cookie=cookie).body.decode()
    made = pages.run(pages.services.store("C-1", "a", b"x"))
    text = pages.page(cookie=cookie).body.decode()
    assert 'href="/transfer/C-1/attachments.zip"' in text
    assert f'href="/transfer/C-1/attachments/{made.id}/receipt"' in text


def test_a_receipt_is_had_from_the_page(pages: PageSite) -> None:
    made = pages.run(pages.services.store("C-1", "a.log", b"x" * 10))
    path = f"/transfer/C-1/attachments/{made.id}/receipt"
    for how in ({"cookie": pages.launch()}, {"headers": bearer(pages)}):
        answer = pages.ask("GET", path, **how)  # type: ignore[arg-type]
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jose")
        keys = jwt.PyJWKSet.from_dict(pages.run(pages.services.receipts.published_keys()))
        said = json.loads(jwt.PyJWS().decode(answer.body, keys.keys[0].key, algorithms=["EdDSA"]))
        assert (said["attachment"], said["sha256"]) == (made.id, made.sha256)
    pages.run(pages.services.transfers.delete(made.id, actor=STAFF))
    assert pages.ask("GET", path, headers=bearer(pages)).code == "purged"


@pytest.mark.parametrize("what", ["attachments.zip", "attachments/{}", "attachments/{}/receipt"])
def test_only_who_belongs_to_the_case_reads_its_files(pages: PageSite, what: str) -> None:
    pages.run(pages.services.open_case("C-2"))
    path = f"/transfer/C-1/{what.format(pages.run(pages.services.store('C-1', 'a', b'x')).id)}"
    assert pages.ask("GET", path).status == 401
    assert pages.ask("GET", path, cookie=pages.launch("C-2")).status == 401
    assert pages.ask("GET", path, headers=bearer(pages, "C-2")).code == "not-found"
    refused = pages.ask("GET", path, headers={"Authorization": "Bearer nonsense"})
    assert (refused.status, refused.code, refused.headers["WWW-Authenticate"]) == (401, "unauthenticated", "Bearer")
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert pages.ask("GET", path, cookie=pages.launch(), headers=foreign).status == 401
    assert pages.ask("POST", path, cookie=pages.launch(), headers=OWN).status == 405
    assert not downloads(pages)


def test_a_download_by_token_from_files_is_audited_too(pages: PageSite) -> None:
    made = pages.run(pages.services.store("C-1", "a", b"0123456789"))
    headers = bearer(pages)
    for more in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": f'"sha256-{made.sha256}"'}):
        pages.ask("GET", f"/files/{made.id}", headers={**headers, "Tus-Resumable": "1.0.0", **more})
    assert [(subject, detail) for _, subject, detail in downloads(pages)] == [(made.id, {}), (made.id, {"range": "bytes 0-1/10"})]
    assert all(actor.startswith("upload-token:") for actor, _, _ in downloads(pages))


@pytest.mark.parametrize("path", ["/transfer/C-1/attachments.zip", "/transfer/C-1/attachments/{}", "/files/{}"])
def test_a_purge_in_the_middle_cuts_the_answer(pages: PageSite, path: str) -> None:
    made = pages.server.run(pages.services.store("C-1", "a", b"x" * (40 * MIB)), timeout=PATIENCE_S)
    peer = pages.server.peer(timeout=PATIENCE_S)
    token = bearer(pages)["Authorization"]
    peer.send(f"GET {path.format(made.id)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nTus-Resumable: 1.0.0\r\n\r\n")
    seen = peer.receive()
    assert seen.startswith(b"HTTP/1.1 200 ")

    async def purge() -> None:
        services = pages.services
        await services.database.write(
            lambda conn: attachments.set_state(conn, made.id, AttachmentState.TOMBSTONED, services.clock.now())
        )
        services.clock.advance(timedelta(minutes=1))

    pages.run(purge())
    got = len(seen)
    while piece := peer.receive():
        got += len(piece)
    assert got < made.size
    assert pages.ask("GET", path.format(made.id), headers={"Authorization": token, "Tus-Resumable": "1.0.0"}).status == (
        200 if path.endswith("zip") else 410
    )


def test_a_peer_that_goes_away_lets_the_archive_go(pages: PageSite) -> None:
    pages.run(pages.services.store("C-1", "a", b"x" * (20 * MIB)))
    context = pages.server.certificates.client_context()
    connection = http.client.HTTPSConnection("localhost", pages.server.port, context=context, timeout=20)
    connection.request("GET", "/transfer/C-1/attachments.zip", headers=bearer(pages))
    connection.getresponse().read(10)
    connection.close()
    assert pages.ask("GET", "/transfer/C-1/attachments.zip", headers=bearer(pages)).status == 200


def test_what_is_given_out_at_files_is_a_download_and_what_is_only_asked_about_is_none(pages: PageSite) -> None:
    identifier = pages.run(pages.services.store("C-1", "dump.bin", b"0123456789")).id
    headers = bearer(pages)
    assert pages.ask("HEAD", f"/files/{identifier}", headers={**headers, "Tus-Resumable": "1.0.0"}).status == 200
    assert pages.ask("GET", f"/files/{identifier}", headers={**headers, "If-None-Match": "*"}).status == 304
    assert downloads(pages) == []
    assert pages.ask("GET", f"/files/{identifier}", headers={**headers, "Range": "bytes=2-4"}).body == b"234"
    assert pages.ask("GET", f"/files/{identifier}", headers=headers).body == b"0123456789"
    assert [(subject, how) for _, subject, how in downloads(pages)] == [
        (identifier, {"range": "bytes 2-4/10"}),
        (identifier, {}),
    ]
