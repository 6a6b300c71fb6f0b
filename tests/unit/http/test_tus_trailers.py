"""tus 1.0.0 §checksum-trailer: a checksum that comes after the part it is of."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from tests.fixtures.tls import Peer
from tests.unit.http.tus_site import PART, TusSite, checksum, encoded

MIB = 1024 * 1024


def begin(site: TusSite, path: str, *fields: str, announced: str = "Upload-Checksum") -> Peer:
    peer = site.server.peer()
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {site.token}",
        "Tus-Resumable: 1.0.0",
        f"Content-Type: {PART}",
        "Upload-Offset: 0",
        "Transfer-Encoding: chunked",
        *([f"Trailer: {announced}"] if announced else []),
        *fields,
    ]
    peer.send("\r\n".join(lines) + "\r\n\r\n")
    return peer


def send(peer: Peer, data: bytes, *trailers: str) -> None:
    for start in range(0, len(data), MIB):
        piece = data[start : start + MIB]
        peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    peer.send("0\r\n" + "".join(f"{trailer}\r\n" for trailer in trailers) + "\r\n")


@pytest.mark.parametrize(("algorithm", "size"), [("sha1", 5), ("sha256", 5), ("sha512", 5), ("md5", 5), ("sha256", 20 * MIB)])
def test_a_part_is_taken_whose_checksum_follows_it(site: TusSite, algorithm: str, size: int) -> None:
    data = os.urandom(size)
    path = site.create(size)
    peer = begin(site, path)
    send(peer, data, f"Upload-Checksum: {checksum(algorithm, data)}")
    assert peer.answer().status == 204
    assert site.stored(path) == data


@pytest.mark.parametrize("size", [5, 20 * MIB])
@pytest.mark.parametrize(
    ("trailers", "status", "code"),
    [
        (["Upload-Checksum: sha1 " + encoded(bytes(20))], 460, "checksum-mismatch"),
        (["Upload-Checksum: sha3 " + encoded(bytes(20))], 400, "checksum-algorithm-unknown"),
        (["Upload-Checksum: sha1 ***"], 400, "invalid-request"),
        ([], 400, "trailer-checksum"),
    ],
)
def test_a_part_is_dropped_whose_trailer_is_not_its_checksum(
    site: TusSite, size: int, trailers: list[str], status: int, code: str
) -> None:
    path = site.create(2 * size)
    peer = begin(site, path)
    send(peer, os.urandom(size), *trailers)
    answer = peer.answer()
    assert (answer.status, code.encode() in answer.body) == (status, True)
    assert site.ask("HEAD", path).offset == 0


def test_a_part_that_is_cut_before_its_trailer_leaves_the_offset(site: TusSite) -> None:
    path = site.create(40 * MIB)
    peer = begin(site, path)
    for _ in range(20):
        peer.send(b"%x\r\n%b\r\n" % (MIB, bytes(MIB)))
    time.sleep(0.2)
    peer.vanish()
    assert site.ask("HEAD", path).offset == 0


def test_a_trailer_needs_a_body_in_chunks(site: TusSite) -> None:
    path = site.create(3)
    answer = site.patch(path, 0, b"abc", Trailer="Upload-Checksum")
    assert (answer.status, answer.code) == (400, "trailer-impossible")


def test_a_content_digest_may_follow_too(site: TusSite) -> None:
    path = site.create(6)
    peer = begin(site, path, announced="Content-Digest")
    send(peer, b"abc", f"Content-Digest: sha-256=:{encoded(hashlib.sha256(b'other').digest())}:")
    assert peer.answer().status == 460
    peer = begin(site, path, announced="Content-Digest")
    send(peer, b"abc", f"Content-Digest: sha-512=:{encoded(hashlib.sha512(b'abc').digest())}:")
    assert peer.answer().status == 204
    assert site.ask("HEAD", path).offset == 3


def test_a_header_and_a_trailer_have_both_to_hold(site: TusSite) -> None:
    path = site.create(6)
    peer = begin(site, path, f"Upload-Checksum: {checksum('sha1', b'abc')}")
    send(peer, b"abc", f"Upload-Checksum: {checksum('sha1', b'other')}")
    assert peer.answer().status == 460
    peer = begin(site, path, f"Upload-Checksum: {checksum('md5', b'abc')}")
    send(peer, b"abc", f"Upload-Checksum: {checksum('sha1', b'abc')}")
    assert peer.answer().status == 204


@pytest.mark.parametrize("algorithm", ["sha1", "sha512", "md5"])
def test_a_trailer_that_nobody_announced_counts_too(site: TusSite, algorithm: str) -> None:
    data = os.urandom(200_000)
    path = site.create(len(data))
    for said, status in (
        (checksum(algorithm, b"other"), 460),
        ("sha3 AAAA", 400),
        (f"{algorithm} ***", 400),
        (checksum(algorithm, data), 204),
    ):
        assert site.ask("HEAD", path).offset == 0
        peer = begin(site, path, announced="")
        send(peer, data, f"Upload-Checksum: {said}")
        assert peer.answer().status == status
    assert site.stored(path) == data


def test_a_creation_with_a_trailer_that_nobody_announced(site: TusSite) -> None:
    for said, status in ((b"other", 460), (b"abc", 201)):
        peer = site.server.peer()
        lines = ["POST /files HTTP/1.1", "Host: localhost", f"Authorization: Bearer {site.token}", "Tus-Resumable: 1.0.0"]
        peer.send("\r\n".join([*lines, "Upload-Length: 6", f"Content-Type: {PART}", "Transfer-Encoding: chunked"]) + "\r\n\r\n")
        send(peer, b"abc", f"Upload-Checksum: {checksum('sha1', said)}")
        assert peer.answer().status == status
        assert len(site.run(site.services.transfers.unfinished("C-1"))) == (status == 201)


def test_one_that_comes_after_a_large_body_unannounced_is_never_passed_over(site: TusSite) -> None:
    data = os.urandom(5 * MIB)
    path = site.create(len(data))
    peer = begin(site, path, announced="")
    send(peer, data, f"Upload-Checksum: {checksum('sha1', b'other')}")
    answer = peer.answer()
    assert (answer.status, b"trailer-checksum" in answer.body) == (400, True)
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []
