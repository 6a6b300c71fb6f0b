"""tus 1.0.0 on `/files`."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime
import hashlib
import os
from pathlib import Path
import time
import zlib

import pytest

from eft.domain.case import SubStatus
from tests.fixtures.services import STAFF
from tests.fixtures.tls import Certificates
from tests.unit.http.tus_site import PART, TusSite, checksum, encoded, tus_site

MIB = 1024 * 1024


def test_options_lists_what_there_is_and_needs_no_token(site: TusSite) -> None:
    for path in ("/files", "/files/" + "0" * 32):
        answer = site.ask("OPTIONS", path, token="none", version=None)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Tus-Version"] == "1.0.0"
        assert answer.headers["Tus-Extension"] == (
            "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,checksum-trailer,"
            "concatenation,concatenation-unfinished"
        )
        assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,sha512,md5,crc32"
        assert "Tus-Max-Size" not in answer.headers


def test_a_file_in_parts_is_stored_byte_for_byte(site: TusSite) -> None:
    data = os.urandom(3 * MIB + 17)
    path = site.create(len(data), "dir/ä 日本.log")
    for start in range(0, len(data), MIB):
        answer = site.patch(path, start, data[start : start + MIB])
        assert (answer.status, answer.offset) == (204, min(start + MIB, len(data)))
        assert answer.headers["Tus-Resumable"] == "1.0.0"
        assert ("Upload-Expires" in answer.headers) == (answer.offset < len(data))
    assert answer.headers["Repr-Digest"] == f"sha-256=:{encoded(hashlib.sha256(data).digest())}:"
    head = site.ask("HEAD", path)
    assert (head.status, head.offset, head.headers["Upload-Length"]) == (200, len(data), str(len(data)))
    attachments, _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert [(a.name, a.sha256, a.completeness) for a in attachments] == [
        ("dir/ä 日本.log", hashlib.sha256(data).hexdigest(), "declared")
    ]
    assert site.stored(path) == data


def test_head_tells_what_is_stored_and_what_was_sent(site: TusSite) -> None:
    metadata = f"filename {encoded('a.log')},filetype {encoded('text/plain')},empty"
    answer = site.ask("POST", headers={"Upload-Length": "10", "Upload-Metadata": metadata})
    path = answer.headers["Location"]
    expires = parsedate_to_datetime(answer.headers["Upload-Expires"])
    assert expires - site.services.clock.now() == timedelta(days=14)
    site.patch(path, 0, b"abc")
    head = site.ask("HEAD", path)
    assert (head.status, head.offset, head.headers["Upload-Length"]) == (200, 3, "10")
    assert head.headers["Upload-Metadata"] == metadata
    assert head.headers["Cache-Control"] == "no-store"
    assert "Upload-Expires" in head.headers


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0"])
def test_another_version_is_refused_with_ours(site: TusSite, method: str, version: str | None) -> None:
    path = site.create(3)
    answer = site.ask(method, "/files" if method == "POST" else path, version=version)
    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert site.ask("HEAD", path).offset == 0


def test_get_needs_no_version_but_refuses_another(site: TusSite) -> None:
    path = site.create(3)
    site.patch(path, 0, b"abc")
    assert site.ask("GET", path, version=None).body == b"abc"
    answer = site.ask("GET", path, version="0.2.2")
    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")


def test_an_append_at_a_wrong_offset_changes_nothing(site: TusSite) -> None:
    path = site.create(10)
    site.patch(path, 0, b"abc")
    for offset in (0, 2, 4, 10):
        answer = site.patch(path, offset, b"xyz")
        assert (answer.status, answer.code, answer.offset) == (409, "offset-mismatch", 3)
    assert site.ask("HEAD", path).offset == 3


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/octet-stream"}, 415, "content-type"),
        ({"Content-Encoding": "gzip"}, 415, "content-encoding"),
        ({"Upload-Offset": "-1"}, 400, "invalid-request"),
        ({"Upload-Offset": "1e3"}, 400, "invalid-request"),
        ({"Upload-Checksum": "sha3 abcd"}, 400, "checksum-algorithm-unknown"),
        ({"Upload-Checksum": "sha1"}, 400, "invalid-request"),
        ({"Upload-Checksum": "sha1 ***"}, 400, "invalid-request"),
        ({"Trailer": "Upload-Checksum"}, 400, "trailer-impossible"),
        ({"X-HTTP-Method-Override": "BREW"}, 400, "method-override-invalid"),
    ],
)
def test_a_wrong_part_is_refused_and_changes_nothing(site: TusSite, headers: dict[str, str], status: int, code: str) -> None:
    path = site.create(10)
    answer = site.ask("PATCH", path, {"Content-Type": PART, "Upload-Offset": "0", **headers}, b"abc")
    assert (answer.status, answer.code) == (status, code)
    assert site.ask("HEAD", path).offset == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
def test_a_part_with_its_checksum_is_taken(site: TusSite, algorithm: str) -> None:
    path = site.create(2 * MIB)
    data = os.urandom(MIB)
    assert site.patch(path, 0, data, Upload_Checksum=checksum(algorithm, data)).status == 204
    assert site.ask("HEAD", path).offset == MIB


def test_crc32_is_four_bytes_with_the_most_significant_first(site: TusSite) -> None:
    path = site.create(3)
    sum_ = encoded(zlib.crc32(b"abc").to_bytes(4, "big"))
    assert site.patch(path, 0, b"abc", Upload_Checksum=f"crc32 {sum_}").status == 204


@pytest.mark.parametrize("size", [5, 3 * MIB])
def test_a_damaged_part_is_dropped_and_the_offset_stays(site: TusSite, size: int) -> None:
    data = os.urandom(size)
    path = site.create(2 * size)
    site.patch(path, 0, data)
    damaged = site.patch(path, size, data, Upload_Checksum=checksum("sha1", b"other"))
    assert (damaged.status, damaged.code) == (460, "checksum-mismatch")
    assert site.ask("HEAD", path).offset == size
    assert site.patch(path, size, data, Upload_Checksum=checksum("sha1", data)).status == 204
    assert site.stored(path) == data + data


def test_a_part_with_a_checksum_that_is_cut_leaves_the_offset(site: TusSite) -> None:
    path = site.create(8 * MIB)
    peer = site.begin_patch(path, 0, 8 * MIB, f"Upload-Checksum: {checksum('sha1', b'x')}")
    peer.send(b"x" * 5 * MIB)
    time.sleep(0.2)
    peer.vanish()
    assert site.ask("HEAD", path).offset == 0


def test_a_part_that_is_cut_leaves_what_came(site: TusSite) -> None:
    path = site.create(8 * MIB)
    for leave in ("vanish", "close"):
        offset = site.ask("HEAD", path).offset
        peer = site.begin_patch(path, offset, 8 * MIB - offset)
        peer.send(b"x" * MIB)
        time.sleep(0.2)
        getattr(peer, leave)()
        assert site.ask("HEAD", path).offset == offset + MIB


def test_a_half_open_writer_is_displaced_at_once(site: TusSite) -> None:
    path = site.create(10)
    hanging = site.begin_patch(path, 0, 10)
    hanging.send(b"abc")
    time.sleep(0.1)
    began = time.monotonic()
    assert site.ask("HEAD", path).offset == 3
    assert site.patch(path, 3, b"defghij").status == 204
    assert time.monotonic() - began < 1
    answer = hanging.answer()
    assert (answer.status, b"writer-displaced" in answer.body, answer.headers["connection"]) == (409, True, "close")
    assert hanging.is_ended()
    assert site.stored(path) == b"abcdefghij"


def test_a_small_file_is_created_and_finished_in_one_request(site: TusSite) -> None:
    headers = {"Upload-Length": "5", "Content-Type": PART, "Upload-Checksum": checksum("sha1", b"hello")}
    answer = site.ask("POST", headers=headers, body=b"hello")
    assert (answer.status, answer.offset) == (201, 5)
    assert site.stored(answer.headers["Location"]) == b"hello"
    assert "Upload-Expires" not in answer.headers


def test_a_file_may_be_created_with_its_beginning(site: TusSite) -> None:
    answer = site.ask("POST", headers={"Upload-Length": "8", "Content-Type": PART}, body=b"hello")
    assert (answer.status, answer.offset) == (201, 5)
    assert "Upload-Expires" in answer.headers
    path = answer.headers["Location"]
    assert site.patch(path, 5, b"abc").status == 204
    assert site.stored(path) == b"helloabc"


@pytest.mark.parametrize("size", [5, 100_000, 3_000_000])
@pytest.mark.parametrize("rest", [0, 3])
def test_a_creation_with_a_damaged_part_leaves_nothing(site: TusSite, size: int, rest: int) -> None:
    headers = {"Upload-Length": str(size + rest), "Content-Type": PART, "Upload-Checksum": checksum("sha1", b"other")}
    assert site.ask("POST", headers=headers, body=bytes(size)).status == 460
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
    assert site.run(site.services.transfers.unfinished("C-1")) == []


def test_an_empty_file_is_finished_at_once(site: TusSite) -> None:
    path = site.create(0)
    assert site.stored(path) == b""
    assert site.ask("HEAD", path).offset == 0
    assert site.ask("GET", path).status == 200


def test_the_length_may_follow(site: TusSite) -> None:
    path = site.create(None)
    head = site.ask("HEAD", path)
    assert (head.headers["Upload-Defer-Length"], "Upload-Length" in head.headers) == ("1", False)
    assert site.patch(path, 0, b"abc").status == 204
    assert site.patch(path, 3, b"def", Upload_Length="6").status == 204
    head = site.ask("HEAD", path)
    assert (head.headers["Upload-Length"], "Upload-Defer-Length" in head.headers) == ("6", False)
    assert site.stored(path) == b"abcdef"


def test_a_deferred_length_may_come_with_an_empty_part(site: TusSite) -> None:
    path = site.create(None)
    site.patch(path, 0, b"abc")
    assert site.patch(path, 3, b"", Upload_Length="2").code == "length-invalid"
    assert site.patch(path, 3, b"", Upload_Length="3").status == 204
    assert site.stored(path) == b"abc"


def test_a_length_that_was_said_is_not_changed(site: TusSite) -> None:
    path = site.create(10)
    assert site.patch(path, 0, b"abc", Upload_Length="9").code == "length-invalid"
    assert site.patch(path, 0, b"abc", Upload_Length="10").status == 204


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "length-invalid"),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, "length-invalid"),
        ({"Upload-Defer-Length": "2"}, "length-invalid"),
        ({"Upload-Length": "-5"}, "invalid-request"),
        ({"Upload-Length": "five"}, "invalid-request"),
        ({"Upload-Length": "5", "Upload-Metadata": "filename !!!"}, "metadata-invalid"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded('a')},filename {encoded('b')}"}, "metadata-invalid"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded(bytes([255]))}"}, "metadata-invalid"),
        ({"Upload-Length": "5", "Upload-Metadata": "filename " + "A" * 9000}, "metadata-invalid"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded('../x')}"}, "name-not-allowed"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded(chr(0) + 'x')}"}, "name-not-allowed"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded('x' * 300)}"}, "name-not-allowed"),
        ({"Upload-Length": "5", "Upload-Metadata": f"filename {encoded('a')},sha256 {encoded('abc')}"}, "digest-invalid"),
    ],
)
def test_a_wrong_creation_is_refused(site: TusSite, headers: dict[str, str], code: str) -> None:
    answer = site.ask("POST", headers=headers)
    assert (answer.status, answer.code) == (400, code)
    assert answer.problem["remedy"]


def test_a_file_without_a_name_is_given_one(site: TusSite) -> None:
    for headers in ({"Upload-Length": "0", "Upload-Metadata": ""}, {"Upload-Length": "0"}):
        assert site.ask("POST", headers=headers).status == 201
    attachments, _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert all(a.name.startswith("unnamed-") for a in attachments)
    assert len({a.name for a in attachments}) == 2


@pytest.mark.parametrize(
    ("relative", "name"), [("dir/a.log", "dir/a.log"), ("/dir/a.log", "dir/a.log"), ("null", "a.log"), ("", "a.log")]
)
def test_the_relative_path_is_the_name_where_there_is_one(site: TusSite, relative: str, name: str) -> None:
    metadata = f"filename {encoded('a.log')},relativePath {encoded(relative)}"
    site.ask("POST", headers={"Upload-Length": "0", "Upload-Metadata": metadata})
    attachments, _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert [a.name for a in attachments] == [name]


def test_a_whole_that_does_not_match_its_digest_is_refused_and_not_shown(site: TusSite) -> None:
    declared = hashlib.sha256(b"right").hexdigest()
    metadata = f"filename {encoded('a')},sha256 {encoded(declared)}"
    path = site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": metadata}).headers["Location"]
    answer = site.patch(path, 0, b"wrong")
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert answer.problem["declared"] == declared
    assert answer.problem["received"] == hashlib.sha256(b"wrong").hexdigest()
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
    assert site.ask("HEAD", path).status == 422
    assert site.ask("GET", path).status == 204


def test_a_whole_that_matches_its_digest_is_published(site: TusSite) -> None:
    metadata = f"filename {encoded('a')},sha256 {encoded(hashlib.sha256(b'right').hexdigest().upper())}"
    path = site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": metadata}).headers["Location"]
    assert site.patch(path, 0, b"right").status == 204
    assert site.stored(path) == b"right"


def test_more_than_was_announced_is_refused(site: TusSite) -> None:
    path = site.create(5)
    answer = site.patch(path, 0, b"toolong")
    assert (answer.status, answer.code) == (413, "length-exceeded")
    assert site.ask("HEAD", path).offset == 0
    answer = site.ask("POST", headers={"Upload-Length": "5", "Content-Type": PART}, body=b"toolong")
    assert (answer.status, answer.code) == (413, "length-exceeded")


def test_a_finished_upload_takes_no_more(site: TusSite) -> None:
    path = site.create(3)
    site.patch(path, 0, b"abc")
    answer = site.patch(path, 3, b"d")
    assert (answer.status, answer.code) == (409, "already-finished")
    answer = site.patch(path, 0, b"abc")
    assert (answer.status, answer.code, answer.offset) == (409, "offset-mismatch", 3)


def test_an_answer_that_was_lost_is_given_again(site: TusSite) -> None:
    path = site.create(3)
    first, again = site.patch(path, 0, b"abc"), site.patch(path, 3, b"")
    assert (again.status, again.offset, again.headers["Repr-Digest"]) == (204, 3, first.headers["Repr-Digest"])
    assert "Upload-Expires" not in again.headers
    assert site.patch(path, 3, b"", Upload_Length="4").status == 409


def test_a_terminated_upload_is_gone(site: TusSite) -> None:
    path = site.create(10)
    site.patch(path, 0, b"abc")
    assert site.ask("DELETE", path).status == 204
    for method in ("HEAD", "GET", "DELETE"):
        assert site.ask(method, path).status == 410
    assert site.patch(path, 3, b"def").code == "upload-terminated"


def test_termination_ends_a_writer_at_work(site: TusSite) -> None:
    path = site.create(10)
    hanging = site.begin_patch(path, 0, 10)
    hanging.send(b"abc")
    time.sleep(0.1)
    assert site.ask("DELETE", path).status == 204
    assert hanging.answer().status == 409


def test_an_upload_that_rested_too_long_is_gone(site: TusSite) -> None:
    path = site.create(10)
    site.patch(path, 0, b"abc")
    site.run(site.services.transfers.holders.let_go(path.rsplit("/", 1)[-1]))
    site.services.clock.advance(timedelta(days=15))
    site.run(site.services.transfers.tick())
    site.token = site.new_token("C-1")
    assert site.ask("HEAD", path).status == 410
    assert site.patch(path, 3, b"def").code == "upload-expired"


def test_the_method_may_be_overridden(site: TusSite) -> None:
    path = site.create(3)
    headers = {"X-HTTP-Method-Override": "PATCH", "Content-Type": PART, "Upload-Offset": "0"}
    assert site.ask("POST", path, headers, b"abc").status == 204
    assert site.ask("GET", path, {"X-HTTP-Method-Override": "HEAD"}).offset == 3
    assert site.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"}).status == 204
    assert site.ask("GET", path).code == "upload-terminated"


def test_a_finished_file_that_its_sender_ends_stays_with_its_case(site: TusSite) -> None:
    path = site.create(3)
    site.patch(path, 0, b"abc")
    assert site.ask("DELETE", path).status == 204
    for method in ("HEAD", "GET", "DELETE"):
        assert site.ask(method, path).status == 410
    assert site.patch(path, 3, b"").status == 410
    assert site.ask("GET", "/files").body.count(b"sha256") == 0
    (attachment,), _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert (attachment.hidden, site.stored(path)) == (True, b"abc")
    assert "attachment.hide" in site.run(site.services.actions("C-1"))


def test_methods_that_have_no_meaning_are_refused(site: TusSite) -> None:
    assert site.ask("PUT", "/files").headers["Allow"] == "OPTIONS, GET, POST"
    answer = site.ask("PUT", "/files/" + "0" * 32)
    assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, HEAD, GET, PATCH, DELETE")


@pytest.mark.parametrize("path", ["/files/x", "/files/" + "0" * 32, "/files/../etc/passwd", "/files/" + "0" * 32 + "/x"])
def test_what_is_not_there_is_not_found(site: TusSite, path: str) -> None:
    for method in ("HEAD", "GET"):
        assert site.ask(method, path).status == 404


def test_only_an_upload_token_of_this_region_is_let_in(site: TusSite) -> None:
    api = site.run(site.services.tokens.issue_api("crm", ["attachments:write"], STAFF))
    for token in ("", "nonsense", "eft_us_up_" + "A" * 43, api):
        answer = site.ask("POST", headers={"Upload-Length": "1"}, token=token or "x")
        assert (answer.status, answer.code, answer.headers["WWW-Authenticate"]) == (401, "unauthenticated", "Bearer")
    expired = site.new_token("C-1", ttl_s=60)
    site.services.clock.advance(timedelta(seconds=61))
    assert site.ask("POST", headers={"Upload-Length": "1"}, token=expired).status == 401


def test_another_regions_token_is_told_where_to_go_before_the_body_is_read(site: TusSite) -> None:
    peer = site.server.peer()
    peer.send(
        "POST /files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer eft_emea_up_" + "A" * 43 + "\r\n"
        f"Tus-Resumable: 1.0.0\r\nUpload-Length: 1000\r\nContent-Type: {PART}\r\nContent-Length: 1000\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    answer = peer.answer()
    assert (answer.status, b'"region": "emea"' in answer.body) == (421, True)
    assert b"https://eftgateway-emea.example:8442" in answer.body


def test_another_cases_upload_is_not_there(site: TusSite) -> None:
    path = site.create(10)
    site.run(site.services.open_case("C-2"))
    site.token = site.new_token("C-2")
    for method in ("HEAD", "GET", "DELETE"):
        assert site.ask(method, path).status == 404
    assert site.patch(path, 0, b"abc").code == "not-found"


def test_a_closed_case_takes_nothing_and_keeps_what_came(site: TusSite) -> None:
    path = site.create(6)
    site.patch(path, 0, b"abc")
    closing = site.services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    site.run(closing)
    for answer in (site.patch(path, 3, b"def"), site.ask("POST", headers={"Upload-Length": "3"})):
        assert (answer.status, answer.code) == (403, "case-closed")
    head = site.ask("HEAD", path)
    assert (head.status, head.offset) == (200, 3)


def test_a_file_that_is_whole_but_was_not_published_is_published_when_it_is_asked_for(site: TusSite) -> None:
    async def all_but_the_end() -> None:
        reception = await site.services.transfers.take(path.rsplit("/", 1)[-1], case_id="C-1")
        reception.offer(b"abc")
        await reception.commit()
        await reception.release()

    path = site.create(3)
    site.run(all_but_the_end())
    assert site.ask("HEAD", path).offset == 3
    assert site.stored(path) == b"abc"


def test_a_download_has_ranges_validators_and_its_name(site: TusSite) -> None:
    data = os.urandom(2 * MIB + 5)
    path = site.create(len(data), 'dir/größe "1".log')
    site.patch(path, 0, data)
    whole = site.ask("GET", path, version=None)
    assert whole.body == data
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert whole.headers["Content-Disposition"] == (
        "attachment; filename=\"gr__e _1_.log\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22.log"
    )
    assert whole.headers["Repr-Digest"] == f"sha-256=:{encoded(hashlib.sha256(data).digest())}:"
    part = site.ask("GET", path, {"Range": "bytes=1048575-1048577"})
    assert (part.status, part.body) == (206, data[1048575:1048578])
    assert part.headers["Content-Range"] == f"bytes 1048575-1048577/{len(data)}"
    assert site.ask("GET", path, {"Range": "bytes=-3"}).body == data[-3:]
    assert site.ask("GET", path, {"Range": "bytes=2097152-"}).body == data[2097152:]
    outside = site.ask("GET", path, {"Range": f"bytes={len(data)}-"})
    assert (outside.status, outside.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    assert site.ask("GET", path, {"Range": "bytes=0-0", "If-Range": whole.headers["ETag"]}).status == 206
    assert site.ask("GET", path, {"Range": "bytes=0-0", "If-Range": '"other"'}).status == 200
    assert site.ask("GET", path, {"If-None-Match": whole.headers["ETag"]}).status == 304


def test_an_unfinished_download_tells_the_offset(site: TusSite) -> None:
    path = site.create(10)
    site.patch(path, 0, b"abc")
    answer = site.ask("GET", path, version=None)
    assert (answer.status, answer.offset, answer.body) == (204, 3, b"")


def test_a_largest_size_is_told_and_kept(tmp_path: Path, certificates: Certificates) -> None:
    with tus_site(tmp_path, certificates, max_size=10) as site:
        assert site.ask("OPTIONS").headers["Tus-Max-Size"] == "10"
        assert site.ask("POST", headers={"Upload-Length": "11"}).status == 413
        path = site.create(None)
        assert site.patch(path, 0, b"a" * 11).status == 413
        assert site.patch(path, 0, b"a", Upload_Length="11").status == 413


def test_scripts_of_a_configured_origin_may_use_it(site: TusSite) -> None:
    origin = {"Origin": "https://portal.example:8440"}
    asked = {**origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "upload-offset"}
    preflight = site.ask("OPTIONS", headers=asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Upload-Offset" in preflight.headers["Access-Control-Allow-Headers"]
    answer = site.ask("POST", headers={**origin, "Upload-Length": "1"})
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"
    stranger = site.ask("POST", headers={"Origin": "https://evil.example", "Upload-Length": "1"})
    assert "Access-Control-Allow-Origin" not in stranger.headers
