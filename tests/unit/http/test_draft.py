"""The IETF draft on `/files`, and both protocols on one upload."""

from __future__ import annotations

from base64 import b64encode
from email.message import Message
import hashlib
import json
import os
import re
from typing import Any

import pytest

from tests.fixtures.tls import Peer
from tests.unit.http.tus_site import TusSite, checksum, encoded

MIB = 1024 * 1024
INTEROP = "Upload-Draft-Interop-Version"
PART = "application/partial-upload"
VERSIONS = [3, 4, 5, 6, 7, 8, 9]


def completeness(version: int, complete: bool) -> dict[str, str]:
    if version == 3:
        return {"Upload-Incomplete": "?0" if complete else "?1"}
    return {"Upload-Complete": "?1" if complete else "?0"}


def digest(data: bytes) -> str:
    return f"sha-256=:{encoded(hashlib.sha256(data).digest())}:"


class Final:
    """The final answer to a request; what came before it is passed over."""

    def __init__(self, peer: Peer, method: str) -> None:
        answer = peer.answer(to_head=method == "HEAD")
        while answer.status < 200:
            answer = peer.answer(to_head=method == "HEAD")
        self.status, self.body = answer.status, answer.body
        self.headers = Message()
        for name, value in answer.headers.items():
            self.headers[name] = value

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["Content-Type"] == "application/problem+json"
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.problem["code"])

    def says(self, fields: dict[str, str]) -> bool:
        return all(self.headers[name] == value for name, value in fields.items())


def ask(site: TusSite, version: int | None, method: str, path: str, body: bytes | None = None, **headers: str) -> Final:
    sent = {"Host": "localhost", "Authorization": f"Bearer {site.token}"}
    if version is not None:
        sent[INTEROP] = str(version)
    if body is not None:
        sent["Content-Length"] = str(len(body))
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    peer = site.server.peer()
    fields = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    peer.send(f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode() + (body or b""))
    try:
        return Final(peer, method)
    finally:
        peer.close()


def create(site: TusSite, version: int, body: bytes, *, complete: bool, **headers: str) -> Final:
    return ask(site, version, "POST", "/files", body, **completeness(version, complete), **headers)


def patch(site: TusSite, version: int, path: str, offset: int, body: bytes, *, complete: bool, **headers: str) -> Final:
    sent = {"Content-Type": PART, "Upload-Offset": str(offset), **completeness(version, complete), **headers}
    return ask(site, version, "PATCH", path, body, **sent)


def begin(site: TusSite, version: int | None, size: int, *fields: str) -> Peer:
    """A creation of which the head alone was sent."""
    peer = site.server.peer()
    lines = [
        "POST /files HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {site.token}",
        *([f"{INTEROP}: {version}"] if version is not None else []),
        *(f"{name}: {value}" for name, value in completeness(version or 9, True).items()),
        f"Content-Length: {size}",
        *fields,
    ]
    peer.send("\r\n".join(lines) + "\r\n\r\n")
    return peer


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_in_one_request(site: TusSite, version: int) -> None:
    data = os.urandom(70_000)
    told = create(site, version, data, complete=True, Content_Disposition="attachment; filename*=UTF-8''%C3%A4.log")
    assert (told.status, told.offset) == (201, len(data))
    assert told.headers["Repr-Digest"] == digest(data)
    assert told.says(completeness(version, True))
    assert site.stored(told.headers["Location"]) == data
    (attachment,), _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert (attachment.name, attachment.completeness) == ("ä.log", "declared")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_in_parts(site: TusSite, version: int) -> None:
    data = os.urandom(100_000)
    told = create(site, version, data[:40_000], complete=False)
    path = told.headers["Location"]
    assert (told.status, told.offset) == (201, 40_000)
    assert told.says(completeness(version, False))
    told = patch(site, version, path, 40_000, data[40_000:60_000], complete=False)
    assert (told.status, told.offset) == (201 if version <= 6 else 204, 60_000)
    head = ask(site, version, "HEAD", path)
    assert (head.status, head.offset, head.headers["Cache-Control"]) == (204, 60_000, "no-store")
    assert head.says(completeness(version, False))
    assert "Upload-Length" not in head.headers
    told = patch(site, version, path, 60_000, data[60_000:], complete=True)
    assert (told.status, told.offset, told.headers["Repr-Digest"]) == (201 if version <= 6 else 200, 100_000, digest(data))
    head = ask(site, version, "HEAD", path)
    assert (head.status, head.offset, head.headers["Upload-Length"]) == (204, 100_000, "100000")
    assert head.says(completeness(version, True))
    assert site.stored(path) == data


@pytest.mark.parametrize("version", VERSIONS)
def test_the_upload_is_announced_before_its_body_comes(site: TusSite, version: int) -> None:
    peer = begin(site, version, 10)
    told = peer.answer()
    assert (told.status, told.headers[INTEROP.lower()]) == (104, str(version))
    path = told.headers["location"]
    assert ("upload-limit" in told.headers) == (version >= 6)
    peer.send(b"0123456789")
    told = peer.answer()
    assert (told.status, told.headers["location"]) == (201, path)


@pytest.mark.parametrize("version", [None, 2, 10, 99])
def test_who_names_no_version_or_an_unknown_one_is_sent_no_interim_answer(site: TusSite, version: int | None) -> None:
    peer = begin(site, version, 3)
    peer.send(b"abc")
    assert peer.answer().status == 201


@pytest.mark.parametrize("version", [5, 9])
def test_progress_is_told_while_the_body_comes(site: TusSite, version: int) -> None:
    size = 40 * MIB
    peer = begin(site, version, size)
    assert peer.answer().status == 104
    peer.send(bytes(size))
    offsets = []
    while (told := peer.answer()).status == 104:
        assert "location" not in told.headers
        assert told.headers[INTEROP.lower()] == str(version)
        offsets.append(int(told.headers["upload-offset"]))
    assert told.status == 201
    assert offsets
    assert offsets == sorted(set(offsets))


def test_a_cut_creation_is_resumed_where_it_stopped(site: TusSite) -> None:
    data = os.urandom(300_000)
    peer = begin(site, 9, len(data))
    path = peer.answer().headers["location"]
    peer.send(data[:200_000])
    peer.vanish()
    head = ask(site, 9, "HEAD", path)
    assert head.headers["Upload-Complete"] == "?0"
    assert (head.headers["Upload-Length"], head.offset <= 200_000) == ("300000", True)
    told = patch(site, 9, path, head.offset, data[head.offset :], complete=True)
    assert (told.status, site.stored(path)) == (200, data)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_offset_is_told_with_the_right_one(site: TusSite, version: int) -> None:
    path = create(site, version, b"abc", complete=False).headers["Location"]
    told = patch(site, version, path, 1, b"x", complete=True)
    assert (told.status, told.offset) == (409, 3)
    assert told.says(completeness(version, False))
    assert told.problem["type"].endswith("#mismatching-upload-offset")
    assert (told.problem["expected-offset"], told.problem["provided-offset"]) == (3, 1)
    assert ask(site, version, "HEAD", path).offset == 3


def test_lengths_that_differ_are_refused(site: TusSite) -> None:
    told = create(site, 9, b"abc", complete=True, Upload_Length="4")
    assert (told.status, told.problem["type"].rpartition("#")[2]) == (400, "inconsistent-upload-length")
    path = create(site, 9, b"abc", complete=False, Upload_Length="10").headers["Location"]
    told = patch(site, 9, path, 3, b"defg", complete=True)
    assert (told.status, told.problem["type"].rpartition("#")[2]) == (400, "inconsistent-upload-length")
    told = patch(site, 9, path, 3, b"defg", complete=False, Upload_Length="11")
    assert told.status == 400
    assert patch(site, 9, path, 3, b"defghij", complete=True).status == 200


def test_a_length_reached_does_not_complete_an_upload_and_an_empty_part_does(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=False, Upload_Length="3").headers["Location"]
    assert ask(site, 9, "HEAD", path).headers["Upload-Complete"] == "?0"
    told = patch(site, 9, path, 3, b"", complete=True)
    assert (told.status, told.headers["Upload-Complete"], told.headers["Repr-Digest"]) == (200, "?1", digest(b"abc"))


@pytest.mark.parametrize("version", [3, 4, 5, 6])
def test_in_older_versions_a_length_reached_completes_an_upload(site: TusSite, version: int) -> None:
    path = create(site, version, b"abc", complete=False, Upload_Length="5").headers["Location"]
    told = patch(site, version, path, 3, b"de", complete=False)
    assert (told.status, told.headers["Repr-Digest"]) == (201, digest(b"abcde"))
    assert told.says(completeness(version, True))


def test_an_answer_that_was_lost_is_given_again(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=True).headers["Location"]
    told = patch(site, 9, path, 3, b"", complete=True)
    assert (told.status, told.headers["Upload-Complete"], told.headers["Repr-Digest"]) == (200, "?1", digest(b"abc"))
    told = patch(site, 9, path, 3, b"d", complete=True)
    assert (told.status, told.headers["Upload-Complete"], told.code) == (400, "?0", "already-finished")
    assert "completed-upload" not in told.problem["type"]
    told = patch(site, 8, path, 3, b"d", complete=True)
    assert (told.status, told.headers["Upload-Complete"]) == (400, "?1")
    assert told.problem["type"].endswith("#completed-upload")
    told = patch(site, 9, path, 0, b"abc", complete=True)
    assert (told.status, told.headers["Upload-Complete"], told.offset) == (409, "?0", 3)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upload_that_was_sent_more_than_its_length_is_over_since_the_draft_says_so(site: TusSite, version: int) -> None:
    path = create(site, version, b"", complete=False, Upload_Length="5").headers["Location"]
    told = patch(site, version, path, 0, b"toolong", complete=False)
    assert (told.status, told.says(completeness(version, False))) == (400, True)
    assert told.problem["type"].endswith("#inconsistent-upload-length")
    assert ask(site, version, "HEAD", path).status == (410 if version >= 8 else 204)


def test_a_creation_that_brings_more_than_its_length_leaves_nothing(site: TusSite) -> None:
    assert create(site, 9, b"toolong", complete=False, Upload_Length="5").status == 400
    assert site.run(site.services.transfers.unfinished("C-1")) == []


def test_a_request_that_names_no_protocol_speaks_the_one_that_began_the_upload(site: TusSite) -> None:
    path = ask(site, None, "POST", "/files", b"abc", Upload_Complete="?0", Upload_Length="5").headers["Location"]
    for method in ("HEAD", "GET"):
        told = ask(site, None, method, path)
        assert (told.status, told.offset, told.headers["Upload-Complete"], told.headers["Upload-Length"]) == (204, 3, "?0", "5")
        assert (told.headers["Cache-Control"], "max-age=" in told.headers["Upload-Limit"]) == ("no-store", True)
    told = ask(site, None, "PATCH", path, b"de", Content_Type=PART, Upload_Offset="3", Upload_Complete="?1")
    assert (told.status, told.headers["Upload-Complete"]) == (200, "?1")
    assert ask(site, None, "HEAD", path).headers["Upload-Complete"] == "?1"
    told = ask(site, None, "GET", path)
    assert (told.status, told.body, told.offset, told.headers["Upload-Complete"]) == (200, b"abcde", 5, "?1")
    assert ask(site, None, "DELETE", path).status == 204
    assert ask(site, None, "HEAD", path).status == 410
    begun_with_tus = site.create(3)
    assert ask(site, None, "HEAD", begun_with_tus).status == 412


@pytest.mark.parametrize("field", ["Upload_Offset", "Upload_Complete"])
def test_a_request_for_the_offset_that_tells_one_is_refused(site: TusSite, field: str) -> None:
    path = create(site, 4, b"abc", complete=False).headers["Location"]
    assert ask(site, 4, "HEAD", path, **{field: "?0"}).status == 400


@pytest.mark.parametrize("version", [3, 5, 6])
def test_up_to_06_a_cancellation_that_tells_a_state_is_refused(site: TusSite, version: int) -> None:
    path = create(site, version, b"abc", complete=False).headers["Location"]
    for field in ("Upload-Offset", "Upload-Incomplete" if version == 3 else "Upload-Complete"):
        assert ask(site, version, "DELETE", path, **{field: "3" if field == "Upload-Offset" else "?0"}).status == 400
    assert ask(site, version, "HEAD", path, Upload_Length="3").status == (400 if version == 6 else 204)
    assert ask(site, version, "DELETE", path).status == 204


@pytest.mark.parametrize("version", [3, 5, 6, 9])
def test_up_to_06_every_refused_part_tells_the_offset(site: TusSite, version: int) -> None:
    path = create(site, version, b"abc", complete=False, **{"Upload-Length": "10"}).headers["Location"]
    for offset, fields in (
        (3, {"Content-Digest": digest(b"other")}),
        (3, {"Content-Digest": "md5=:AA==:"}),
        (3, {"Upload-Length": "11"}),
        ("x", {}),
    ):
        told = patch(site, version, path, 3, b"d", complete=False, **{"Upload-Offset": str(offset), **fields})
        assert (told.status, told.headers["Upload-Offset"]) == (400, "3" if version <= 6 else None), fields
    broken = create(site, version, b"abc", complete=True, **{"Content-Digest": digest(b"other")})
    assert (broken.status, broken.headers["Upload-Offset"]) == (400, "0" if version <= 6 else None)


def test_a_file_is_compared_with_the_digest_that_its_last_part_declares(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    told = patch(site, 9, path, 3, b"de", complete=True, **{"Repr-Digest": digest(b"other")})
    assert (told.status, told.code, told.headers["Upload-Complete"]) == (422, "digest-mismatch", "?1")
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    told = patch(site, 9, path, 3, b"d", complete=False, **{"Repr-Digest": digest(b"abcde")})
    assert told.status == 204
    told = patch(site, 9, path, 4, b"e", complete=True, **{"Repr-Digest": digest(b"other")})
    assert (told.status, told.code) == (400, "digest-invalid")
    told = patch(site, 9, path, 4, b"e", complete=True)
    assert (told.status, told.headers["Repr-Digest"]) == (200, digest(b"abcde"))


@pytest.mark.parametrize(("wanted", "is_told"), [("sha-256=0", False), ("sha-512=3, sha-256=1", True), ("sha-512=9", True)])
def test_a_digest_that_is_unwanted_is_not_told(site: TusSite, wanted: str, is_told: bool) -> None:
    told = create(site, 9, b"abc", complete=True, Want_Repr_Digest=wanted)
    assert ("Repr-Digest" in told.headers) is is_told
    told = ask(site, 9, "HEAD", told.headers["Location"], Want_Repr_Digest=wanted)
    assert ("Repr-Digest" in told.headers) is is_told


def test_sha_512_is_told_of_a_small_finished_file_to_who_asks(site: TusSite) -> None:
    small, large = b"abc", bytes(4 * MIB + 1)
    sha512 = f"sha-512=:{encoded(hashlib.sha512(small).digest())}:"
    both = f"{digest(small)}, {sha512}"
    path = create(site, 9, small, complete=True, Want_Repr_Digest="sha-512=9").headers["Location"]
    for wish, said in (
        ("sha-512=9, sha-256=1", both),
        ("sha-512=1,sha-256=0", sha512),
        ("sha-512=0", digest(small)),
        ("", digest(small)),
    ):
        for method in ("HEAD", "GET"):
            assert ask(site, 9, method, path, Want_Repr_Digest=wish).headers["Repr-Digest"] == said
            assert site.ask(method, path, {"Want-Repr-Digest": wish}).headers["Repr-Digest"] == said
    unfinished = create(site, 9, small, complete=False, Want_Repr_Digest="sha-512=9").headers["Location"]
    assert "Repr-Digest" not in ask(site, 9, "HEAD", unfinished, Want_Repr_Digest="sha-512=9").headers
    assert patch(site, 9, unfinished, 3, b"", complete=True, Want_Repr_Digest="sha-512=9").headers["Repr-Digest"] == both
    told = create(site, 9, large, complete=True, Want_Repr_Digest="sha-512=9")
    assert told.headers["Repr-Digest"] == digest(large)


def test_a_cancelled_upload_is_gone(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    assert ask(site, 9, "DELETE", path).status == 204
    assert ask(site, 9, "HEAD", path).status == 410
    assert ask(site, 6, "HEAD", path).status == 404
    assert ask(site, 9, "HEAD", "/files/" + "0" * 32).status == 404


def test_part_types_are_those_of_the_version(site: TusSite) -> None:
    path = create(site, 6, b"abc", complete=False).headers["Location"]
    sent = {"Upload-Offset": "3", "Upload-Complete": "?0"}
    assert ask(site, 6, "PATCH", path, b"d", **sent).status == 415
    assert ask(site, 5, "PATCH", path, b"d", **sent).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Offset": "3"},
        {"Upload-Offset": "3", "Upload-Complete": "yes"},
        {"Upload-Complete": "?1"},
        {"Upload-Offset": "-3", "Upload-Complete": "?1"},
        {"Upload-Offset": "9" * 30, "Upload-Complete": "?1"},
    ],
)
def test_a_part_that_lacks_what_it_needs_is_refused_and_changes_nothing(site: TusSite, headers: dict[str, str]) -> None:
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    assert ask(site, 9, "PATCH", path, b"d", Content_Type=PART, **headers).status == 400
    assert ask(site, 9, "HEAD", path).offset == 3


def test_what_one_protocol_began_the_other_finishes(site: TusSite) -> None:
    data = os.urandom(3000)
    path = site.create(len(data), "a.log")
    site.patch(path, 0, data[:1000])
    head = ask(site, 9, "HEAD", path)
    assert (head.offset, head.headers["Upload-Length"], head.headers["Upload-Complete"]) == (1000, "3000", "?0")
    assert head.headers["Upload-Metadata"] == f"filename {encoded('a.log')}"
    assert patch(site, 9, path, 1000, data[1000:2000], complete=False).status == 204
    told = site.patch(path, 2000, data[2000:])
    assert (told.status, told.headers["Repr-Digest"]) == (204, digest(data))

    path = create(site, 9, data[:1000], complete=False, Upload_Length="3000").headers["Location"]
    head = site.ask("HEAD", path)
    assert (head.status, head.offset, head.headers["Upload-Length"]) == (200, 1000, "3000")
    assert site.patch(path, 1000, data[1000:]).offset == 3000
    assert ask(site, 9, "HEAD", path).headers["Upload-Complete"] == "?1"
    assert site.stored(path) == data


def test_a_part_that_is_not_what_its_content_digest_says_is_dropped(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    for wrong in (digest(b"other"), f"{digest(b'def')}, sha-512=:{encoded(bytes(64))}:"):
        told = patch(site, 9, path, 3, b"def", complete=True, **{"Content-Digest": wrong})
        assert (told.status, told.code) == (400, "checksum-mismatch")
        assert ask(site, 9, "HEAD", path).offset == 3
    both = f"{digest(b'def')}, sha-512=:{encoded(hashlib.sha512(b'def').digest())}:"
    assert patch(site, 9, path, 3, b"def", complete=True, **{"Content-Digest": both}).status == 200


@pytest.mark.parametrize("value", ["sha-256=abc", "sha-256=:AAAA:", "sha-256=:***:", "sha-256", "=:AAAA:", "adler=:AAAAAA==:"])
@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
def test_a_digest_that_cannot_be_checked_is_never_passed_over(site: TusSite, name: str, value: str) -> None:
    told = create(site, 9, b"abc", complete=True, **{name: value})
    assert told.status == 400
    assert site.run(site.services.transfers.unfinished("C-1")) == []


def test_a_whole_that_is_not_what_repr_digest_says_is_never_published(site: TusSite) -> None:
    told = create(site, 9, b"abc", complete=True, **{"Repr-Digest": digest(b"other")})
    assert (told.status, told.code) == (422, "digest-mismatch")
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
    assert create(site, 9, b"abc", complete=True, **{"Repr-Digest": digest(b"abc")}).status == 201


def test_a_body_of_unknown_length_ends_where_it_ends(site: TusSite) -> None:
    peer = site.server.peer()
    peer.send(
        f"POST /files?filename=stream.log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token}\r\n"
        f"{INTEROP}: 9\r\nUpload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"
    )
    assert peer.answer().status == 104
    told = peer.answer()
    assert (told.status, told.headers["upload-offset"], told.headers["repr-digest"]) == (201, "6", digest(b"abcdef"))
    (attachment,), _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert (attachment.name, attachment.size) == ("stream.log", 6)


def test_a_body_of_unknown_length_that_is_cut_is_not_complete(site: TusSite) -> None:
    peer = site.server.peer()
    peer.send(
        f"POST /files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token}\r\n"
        f"{INTEROP}: 9\r\nUpload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"
    )
    path = peer.answer().headers["location"]
    peer.vanish()
    head = ask(site, 9, "HEAD", path)
    assert (head.status, head.headers["Upload-Complete"]) == (204, "?0")
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []


def test_options_tells_of_both_protocols(site: TusSite) -> None:
    told = ask(site, 9, "OPTIONS", "/files")
    assert (told.status, told.headers["Upload-Limit"], told.headers["Tus-Version"]) == (200, "min-size=0", "1.0.0")
    assert PART in told.headers["Accept-Patch"]


def test_a_half_open_writer_is_displaced_by_the_next_request(site: TusSite) -> None:
    peer = begin(site, 9, 10 * MIB)
    path = peer.answer().headers["location"]
    peer.send(bytes(MIB))
    head = ask(site, 9, "HEAD", path)
    assert head.offset <= MIB
    assert patch(site, 9, path, head.offset, bytes(10 * MIB - head.offset), complete=True).status == 200
    assert peer.answer().status in (104, 409)


def test_a_checksum_of_tus_counts_in_the_draft_too(site: TusSite) -> None:
    path = create(site, 9, b"abc", complete=False).headers["Location"]
    told = patch(site, 9, path, 3, b"def", complete=True, **{"Upload-Checksum": checksum("sha1", b"other")})
    assert (told.status, ask(site, 9, "HEAD", path).offset) == (400, 3)


def test_fields_are_structured(site: TusSite) -> None:
    told = ask(site, None, "POST", "/files", b"abc", Upload_Complete="?0;reason=x", Upload_Length="5;x")
    assert told.status == 201
    head = ask(site, 9, "HEAD", told.headers["Location"])
    assert (head.headers["Upload-Length"], head.offset) == ("5", 3)
    assert re.fullmatch(r"max-age=\d+", head.headers["Upload-Limit"])


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20name%20%E2%82%AC.jpg", "file name €.jpg"),
        ("attachment; filename*=UTF-8''%C3%A4.log; filename=\"a.log\"", "ä.log"),
        ("attachment; filename*=ISO-8859-1'de'%E4.log", "ä.log"),
        ('attachment; FILENAME="a \\"b\\".log"', 'a "b".log'),
        ("attachment; filename=a.log", "a.log"),
        ('attachment; filename=""; name=x', None),
        ("attachment", None),
    ],
)
def test_the_name_is_that_of_content_disposition(site: TusSite, said: str, name: str | None) -> None:
    create(site, 9, b"abc", complete=True, Content_Disposition=said)
    (attachment,), _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert attachment.name == name or (name is None and attachment.name.startswith("unnamed-"))


def test_names_of_content_disposition_lose_their_directories(site: TusSite) -> None:
    create(site, 9, b"abc", complete=True, Content_Disposition='inline; filename="..\\\\x/y z.log"', Content_Type="text/plain")
    (attachment,), _ = site.run(site.services.transfers.attachments("C-1", None, 10))
    assert attachment.name == "y z.log"
    head = ask(site, 9, "HEAD", f"/files/{attachment.id}")
    assert head.headers["Upload-Metadata"] == ",".join(
        f"{key} {b64encode(value).decode()}" for key, value in (("filename", b"y z.log"), ("filetype", b"text/plain"))
    )
