"""A resume is bound to the case and to the content: by whichever token of the case, and of no other file."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.http.test_draft import PART as DRAFT_PART
from tests.unit.http.test_draft import ask, digest
from tests.unit.http.tus_site import PART, TusSite

FIRST, REST = b"a" * 70_000, b"b" * 70_000
OTHER = b"c" * 70_000


def test_a_token_that_expires_in_the_middle_is_renewed(site: TusSite) -> None:
    path = site.create(len(FIRST + REST))
    assert site.patch(path, 0, FIRST).status == 204
    old = site.token
    site.services.clock.advance(timedelta(hours=2))
    assert site.patch(path, len(FIRST), REST).status == 401
    site.token = site.new_token("C-1")
    assert site.ask("HEAD", path, token=old).status == 401
    assert site.ask("HEAD", path).offset == len(FIRST)
    assert site.patch(path, len(FIRST), REST).status == 204
    assert site.stored(path) == FIRST + REST


def test_a_token_that_expires_during_a_body_does_not_cut_it(site: TusSite) -> None:
    path = site.create(10)
    peer = site.begin_patch(path, 0, 10, "Expect: 100-continue")
    assert peer.answer().status == 100
    site.services.clock.advance(timedelta(hours=2))
    peer.send(b"0123456789")
    assert peer.answer().status == 204


def test_the_sender_of_another_case_finds_nothing_and_stops_nobody(site: TusSite) -> None:
    site.run(site.services.open_case("C-2"))
    stranger = site.new_token("C-2")
    path = site.create(10)
    peer = site.begin_patch(path, 0, 10, "Expect: 100-continue")
    assert peer.answer().status == 100
    peer.send(b"01234")
    part = {"Content-Type": PART, "Upload-Offset": "0"}
    for method, headers in (("HEAD", {}), ("GET", {}), ("PATCH", part), ("DELETE", {})):
        told = site.ask(method, path, headers, b"" if method == "PATCH" else None, token=stranger)
        assert (told.status, told.headers["Upload-Offset"]) == (404, None)
    assert site.ask("POST", headers={"Upload-Concat": f"final;{path}"}, token=stranger).status == 404
    peer.send(b"56789")
    assert peer.answer().status == 204
    assert site.ask("GET", path, token=stranger).status == 404
    assert site.stored(path) == b"0123456789"


@pytest.mark.parametrize("says_it_first", [True, False])
def test_another_file_of_that_name_and_size_is_not_spliced_on(site: TusSite, says_it_first: bool) -> None:
    declared = {"Repr-Digest": digest(FIRST + REST)} if says_it_first else {}
    path = site.create(len(FIRST + REST), **declared)
    assert site.patch(path, 0, FIRST, Repr_Digest=digest(FIRST + REST)).status == 204
    for told in (
        site.patch(path, len(FIRST), REST, Repr_Digest=digest(OTHER + REST)),
        ask(
            site, 9, "PATCH", path, REST, Content_Type=DRAFT_PART, Upload_Offset=str(len(FIRST)), Upload_Complete="?1",
            Repr_Digest=digest(OTHER + REST),
        ),
    ):  # fmt: skip
        assert (told.status, told.code) == (400, "digest-invalid")
        assert site.ask("HEAD", path).offset == len(FIRST)
    told = site.patch(path, len(FIRST), OTHER)
    assert (told.status, told.code) == (422, "digest-mismatch")
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
