"""tus 1.0.0 §concatenation, with concatenation-unfinished."""

from __future__ import annotations

from datetime import timedelta
import hashlib
import os
import time
from typing import Any

import pytest

from tests.fixtures.services import STAFF
from tests.unit.http.tus_site import PART, Told, TusSite, encoded

MIB = 1024 * 1024


def part(site: TusSite, data: bytes | None, length: int | None = None) -> str:
    """The path of a part, whole or (with a length) without a byte of it."""
    size = len(data) if data is not None else length
    sent = {"Upload-Concat": "partial", "Upload-Length": str(size)}
    if data:
        sent["Content-Type"] = PART
    told = site.ask("POST", headers=sent, body=data)
    assert told.status == 201, told.body
    assert "Repr-Digest" not in told.headers
    return str(told.headers["Location"])


def final(site: TusSite, *paths: str, name: str = "whole.log", **headers: str) -> Told:
    sent = {"Upload-Concat": "final;" + " ".join(paths), "Upload-Metadata": f"filename {encoded(name)}", **headers}
    return site.ask("POST", headers=sent)


def listed(site: TusSite) -> list[Any]:
    return site.run(site.services.transfers.attachments("C-1", None, 10))[0]


@pytest.mark.parametrize("sizes", [(5, 7), (40_000, 3, 100_000), (0, 5), (5,), (0, 0), (3 * MIB, MIB + 1)])
def test_a_final_upload_is_its_parts_in_their_order(site: TusSite, sizes: tuple[int, ...]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    whole = b"".join(pieces)
    paths = [part(site, piece) for piece in pieces]
    assert listed(site) == []
    told = final(site, *paths)
    assert (told.status, told.offset, told.headers["Upload-Length"]) == (201, len(whole), str(len(whole)))
    (attachment,) = listed(site)
    assert (attachment.name, attachment.size, attachment.sha256) == ("whole.log", len(whole), hashlib.sha256(whole).hexdigest())
    assert attachment.completeness == "declared"
    path = told.headers["Location"]
    assert site.stored(path) == whole
    head = site.ask("HEAD", path)
    assert (head.status, head.offset, head.headers["Upload-Length"]) == (200, len(whole), str(len(whole)))
    assert head.headers["Upload-Concat"] == "final;" + " ".join(paths)
    assert head.headers["Repr-Digest"] == f"sha-256=:{encoded(hashlib.sha256(whole).digest())}:"
    for one, piece in zip(paths, pieces, strict=True):
        head = site.ask("HEAD", one)
        assert (head.status, head.offset, head.headers["Upload-Concat"]) == (200, len(piece), "partial")


def test_ranges_across_parts_are_read_where_they_lie(site: TusSite) -> None:
    pieces = [os.urandom(70_000), os.urandom(70_000), os.urandom(10)]
    whole = b"".join(pieces)
    path = final(site, *(part(site, piece) for piece in pieces)).headers["Location"]
    for start, stop in ((0, 10), (69_990, 70_010), (65_536, 140_005), (140_000, 140_010)):
        told = site.ask("GET", path, {"Range": f"bytes={start}-{stop - 1}"}, version=None)
        assert (told.status, told.body) == (206, whole[start:stop])


def test_a_part_may_be_sent_in_pieces_and_is_never_published_or_listed(site: TusSite) -> None:
    path = part(site, None, 10)
    assert site.patch(path, 0, b"01234").offset == 5
    told = site.patch(path, 5, b"56789")
    assert (told.status, told.offset, "Upload-Expires" in told.headers) == (204, 10, True)
    assert site.ask("HEAD", path).offset == 10
    site.run(site.services.transfers.tick())
    assert listed(site) == []
    assert site.run(site.services.transfers.unfinished("C-1")) == []
    assert site.stored(final(site, path).headers["Location"]) == b"0123456789"


def test_a_final_upload_may_be_made_before_its_parts_are_done(site: TusSite) -> None:
    first, second = part(site, b"abc"), part(site, None, 4)
    told = final(site, first, second)
    path = told.headers["Location"]
    assert (told.status, "Upload-Offset" in told.headers) == (201, False)
    head = site.ask("HEAD", path)
    assert (head.status, "Upload-Offset" in head.headers, head.headers["Upload-Length"]) == (200, False, "7")
    site.patch(second, 0, b"de")
    site.run(site.services.transfers.tick())
    assert listed(site) == []
    site.patch(second, 2, b"fg")
    site.run(site.services.transfers.tick())
    assert site.ask("HEAD", path).offset == 7
    assert site.stored(path) == b"abcdefg"


def test_a_part_whose_sender_was_cut_after_the_last_byte_counts(site: TusSite) -> None:
    path = part(site, None, 3)
    peer = site.begin_patch(path, 0, 3)
    peer.send(b"abc")
    time.sleep(0.2)
    peer.vanish()
    assert site.ask("HEAD", path).offset == 3
    assert site.stored(final(site, path).headers["Location"]) == b"abc"


def test_asking_again_makes_nothing_new(site: TusSite) -> None:
    paths = [part(site, b"abc"), part(site, b"def")]
    told = final(site, *paths)
    again = final(site, *paths)
    assert (again.status, again.headers["Location"]) == (201, told.headers["Location"])
    assert len(listed(site)) == 1
    assert final(site, *reversed(paths)).headers["Location"] != told.headers["Location"]
    assert final(site, *paths, name="other.log").headers["Location"] != told.headers["Location"]


def test_what_was_deleted_is_made_anew_and_what_was_refused_is_refused_again(site: TusSite) -> None:
    paths = [part(site, b"abc"), part(site, b"def")]
    deleted = final(site, *paths).headers["Location"]
    assert site.ask("DELETE", deleted).status == 204
    again = final(site, *paths).headers["Location"]
    assert (again != deleted, site.ask("HEAD", again).offset, site.stored(again)) == (True, 6, b"abcdef")
    assert final(site, *paths).headers["Location"] == again
    site.run(site.services.transfers.delete(again.rpartition("/")[2], actor=STAFF))
    assert site.ask("HEAD", final(site, *paths).headers["Location"]).offset == 6
    wrong = {"Repr-Digest": f"sha-256=:{encoded(bytes(32))}:"}
    assert [final(site, *paths, **wrong).status for _ in range(2)] == [422, 422]


def test_parts_are_named_by_path_or_address_and_may_come_twice(site: TusSite) -> None:
    path = part(site, b"abc")
    assert site.stored(final(site, f"https://localhost:8441{path}", path, path).headers["Location"]) == b"abcabcabc"


def test_hundreds_of_parts(site: TusSite) -> None:
    path = part(site, b"0123456789")
    other = part(site, os.urandom(50_000))
    paths = [path, other] * 200
    told = final(site, *paths)
    assert (told.status, told.offset) == (201, 200 * 50_010)
    assert listed(site)[0].sha256 == hashlib.sha256(site.stored(told.headers["Location"])).hexdigest()


def test_a_final_upload_takes_no_bytes(site: TusSite) -> None:
    waiting = final(site, part(site, None, 4)).headers["Location"]
    done = final(site, part(site, b"abc")).headers["Location"]
    for path in (waiting, done):
        told = site.patch(path, 0, b"abcd")
        assert (told.status, told.code) == (403, "read-only")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Upload-Concat": "final;"}, None),
        ({"Upload-Concat": "final"}, None),
        ({"Upload-Concat": "partially"}, None),
        ({"Upload-Concat": "final;PART", "Upload-Length": "3"}, None),
        ({"Upload-Concat": "final;PART", "Upload-Defer-Length": "1"}, None),
        ({"Upload-Concat": "final;PART", "Content-Type": PART}, b"abc"),
        ({"Upload-Concat": "partial"}, None),
        ({"Upload-Concat": "final;WHOLE"}, None),
    ],
)
def test_a_wrong_concatenation_is_refused(site: TusSite, headers: dict[str, str], body: bytes | None) -> None:
    named = {"PART": part(site, b"abc"), "WHOLE": site.create(5)}
    for word, path in named.items():
        headers = {name: value.replace(word, path) for name, value in headers.items()}
    assert site.ask("POST", headers=headers, body=body).status == 400
    assert listed(site) == []


def test_what_is_not_there_or_another_cases_is_not_found(site: TusSite) -> None:
    assert final(site, "/files/" + "0" * 32).status == 404
    assert final(site, "/etc/passwd").status == 404
    path = part(site, b"abc")
    site.run(site.services.open_case("C-2"))
    sent = {"Upload-Concat": f"final;{path}"}
    assert site.ask("POST", headers=sent, token=site.new_token("C-2")).status == 404


def test_parts_that_are_gone_cannot_be_put_together(site: TusSite) -> None:
    path = part(site, None, 4)
    waiting = final(site, path).headers["Location"]
    assert site.ask("DELETE", path).status == 204
    assert final(site, path, name="b").status == 410
    site.run(site.services.transfers.tick())
    assert site.ask("HEAD", waiting).status == 410


def test_a_finished_file_outlives_its_parts(site: TusSite) -> None:
    whole = os.urandom(100_000)
    paths = [part(site, whole[:50_000]), part(site, whole[50_000:])]
    path = final(site, *paths).headers["Location"]
    assert site.ask("DELETE", paths[0]).status == 204
    site.services.clock.advance(timedelta(days=15))
    site.run(site.services.transfers.tick())
    site.token = site.new_token("C-1")
    assert site.ask("HEAD", paths[1]).status == 410
    assert site.stored(path) == whole
    site.run(site.services.transfers.delete(path.rpartition("/")[2], actor=STAFF))
    assert site.ask("HEAD", path).status == 410


def test_a_whole_that_is_not_what_was_declared_is_refused(site: TusSite) -> None:
    path = part(site, b"abc")
    told = final(site, path, **{"Repr-Digest": f"sha-256=:{encoded(hashlib.sha256(b'other').digest())}:"})
    assert (told.status, told.code) == (422, "digest-mismatch")
    assert listed(site) == []
    told = final(site, path, **{"Repr-Digest": f"sha-256=:{encoded(hashlib.sha256(b'abc').digest())}:"})
    assert told.status == 201
