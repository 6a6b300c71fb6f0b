"""draft-ietf-httpbis-resumable-upload, rule by rule: what binds a server, asked in the newest interop version over TLS.

What differs between the versions is in test_draft.py.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import re

import pytest

from tests.fixtures.tls import Answer, Certificates
from tests.unit.http.test_draft import INTEROP, PART, Final, ask, begin, create, digest, patch
from tests.unit.http.tus_site import TusSite, tus_site

NEWEST = 9
NOWHERE = "/files/" + "0" * 32
Rule = Callable[[TusSite], None]
RULES: list[tuple[str, Rule]] = []


def rule(says: str) -> Callable[[Rule], Rule]:
    def kept(check: Rule) -> Rule:
        RULES.append((says, check))
        return check

    return kept


def new(site: TusSite, data: bytes = b"", **headers: str) -> str:
    return str(create(site, NEWEST, data, complete=False, **headers).headers["Location"])


def send(site: TusSite, path: str, offset: int, data: bytes, *, complete: bool = False, **headers: str) -> Final:
    return patch(site, NEWEST, path, offset, data, complete=complete, **headers)


def head(site: TusSite, path: str) -> Final:
    return ask(site, NEWEST, "HEAD", path)


def answers(site: TusSite, method: str, path: str, *fields: str, body: bytes = b"") -> list[Answer]:
    """All answers, interim ones too, to a request whose fields are exactly these."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {site.token}", f"{INTEROP}: {NEWEST}"]
    peer = site.server.peer(timeout=60)
    peer.send("\r\n".join([*lines, *fields]).encode() + b"\r\n\r\n" + body)
    found = [peer.answer()]
    while found[-1].status < 200:
        found.append(peer.answer())
    peer.close()
    return found


# State.


@rule("an Upload-Offset that is no integer counts as absent, and an append needs one")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for said in ("", "-3", "3.0", "abc", '"3"', "3, 3", "1" * 16, "?1", ":Mw==:"):
        assert send(site, path, 3, b"x", **{"Upload-Offset": said}).status == 400, said
    for said in ("3;", "3 ;a", "3;A", "3;a=", "3;a b", '3;a="', "3;a=(1)", "3.", "--3", "0-3"):
        assert send(site, path, 3, b"x", **{"Upload-Offset": said}).status == 400, said
    for offset, parameters in enumerate((";a=b", "; a;  b=?0", ';a="x;, \\"";*b=1.5', ";a=:AA==:;c=*/x;d=@1"), 3):
        assert send(site, path, offset, b"d", **{"Upload-Offset": f"{offset}{parameters}"}).offset == offset + 1
    assert send(site, new(site), 0, b"d", **{"Upload-Offset": "-0"}).offset == 1


@rule("an Upload-Complete that is no boolean counts as absent: a plain creation, and no append")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for said in ("true", "1", "?2", "?", "", "?1, ?0"):
        told = ask(site, NEWEST, "POST", "/files", b"abc", Upload_Complete=said)
        assert (told.status, told.headers["Upload-Complete"]) == (201, "?1"), said
        sent = {"Content-Type": PART, "Upload-Offset": "3", "Upload-Complete": said}
        assert ask(site, NEWEST, "PATCH", path, b"d", **sent).status == 400, said
    assert head(site, path).offset == 3


@rule("an Upload-Length that is no integer counts as absent; one of 15 digits is a length")
def _(site: TusSite) -> None:
    for said in ("-5", "5.0", "abc", '"5"', "", "1" * 16):
        assert "Upload-Length" not in head(site, new(site, b"abc", **{"Upload-Length": said})).headers, said
    assert head(site, new(site, b"abc", **{"Upload-Length": "9" * 15})).headers["Upload-Length"] == "9" * 15


@rule("the offset never decreases, whatever is refused in between")
def _(site: TusSite) -> None:
    path, seen = new(site, b"abc"), [3]
    for sent in ({"Upload-Offset": "0"}, {"Content-Digest": digest(b"other")}, {"Content-Type": "text/plain"}, {}, {}):
        send(site, path, seen[-1], b"de", **sent)
        seen.append(head(site, path).offset)
    assert seen == [3, 3, 3, 3, 5, 7]


@rule("lengths match within a request and between requests")
def _(site: TusSite) -> None:
    for fields in ({"Upload-Length": "4"}, {"Upload-Length": "2"}):
        told = create(site, NEWEST, b"abc", complete=True, **fields)
        assert (told.status, told.problem["type"].rpartition("#")[2]) == (400, "inconsistent-upload-length")
    path = new(site, b"abc", **{"Upload-Length": "10"})
    for offset, data, complete, fields in ((3, b"de", True, {}), (3, b"de", False, {"Upload-Length": "9"})):
        told = send(site, path, offset, data, complete=complete, **fields)
        assert (told.status, told.headers["Upload-Complete"]) == (400, "?0")
    assert head(site, path).headers["Upload-Length"] == "10"


@rule("length and offset do not make an upload complete")
def _(site: TusSite) -> None:
    path = new(site, b"abc", **{"Upload-Length": "3"})
    assert (head(site, path).headers["Upload-Complete"], ask(site, NEWEST, "GET", path).status) == ("?0", 204)


# Limits.


@rule("OPTIONS tells the limits, and min-size=0 where there are none; with Upload-Complete it is answered too")
def _(site: TusSite) -> None:
    for sent in ({}, {"Upload-Complete": "?1"}):
        told = ask(site, None, "OPTIONS", "/files", **sent)
        assert (told.status, told.headers["Upload-Limit"]) == (200, "min-size=0")
        assert PART in told.headers["Accept-Patch"]


@rule("the end that max-age tells comes no nearer")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    ages = []
    for offset in (3, 4, 5):
        told = send(site, path, offset, b"x")
        ages += [int(re.fullmatch(r"max-age=(\d+)", answer.headers["Upload-Limit"])[1]) for answer in (told, head(site, path))]
    assert ages == sorted(ages)


# Creation.


@rule("an upload is announced before its body with Location and Upload-Limit, and the final answer has the same Location")
def _(site: TusSite) -> None:
    for complete in ("?1", "?0"):
        first, last = answers(site, "POST", "/files", f"Upload-Complete: {complete}", "Content-Length: 3", body=b"abc")
        assert (first.status, last.status, last.headers["upload-complete"]) == (104, 201, complete)
        assert first.headers["location"] == last.headers["location"]
        assert re.fullmatch(r"/files/[0-9a-f]{32}", first.headers["location"])
        assert first.headers["upload-limit"].startswith("max-age=")


@rule("100 Continue is sent although 104 was")
def _(site: TusSite) -> None:
    for method, path, fields in (
        ("POST", "/files", ["Upload-Complete: ?1"]),
        ("PATCH", new(site), ["Upload-Complete: ?1", f"Content-Type: {PART}", "Upload-Offset: 0"]),
    ):
        peer = site.server.peer(timeout=60)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {site.token}", f"{INTEROP}: {NEWEST}"]
        peer.send("\r\n".join([*lines, *fields, "Content-Length: 3", "Expect: 100-continue"]) + "\r\n\r\n")
        statuses = []
        while 100 not in statuses:
            statuses.append(peer.answer().status)
        assert statuses == ([104, 100] if method == "POST" else [100])
        peer.send(b"abc")
        while (told := peer.answer()).status == 104:
            pass
        assert told.status in (200, 201)


@rule("an empty body is an empty file, or a beginning")
def _(site: TusSite) -> None:
    told = create(site, NEWEST, b"", complete=True)
    assert (told.status, told.offset, told.headers["Upload-Complete"], told.headers["Repr-Digest"]) == (201, 0, "?1", digest(b""))
    told = create(site, NEWEST, b"", complete=False)
    assert (told.status, told.offset, told.headers["Upload-Complete"]) == (201, 0, "?0")
    assert told.headers["Upload-Limit"].startswith("max-age=")


@rule("POST and PUT create; other methods are refused with those that there are")
def _(site: TusSite) -> None:
    for method in ("POST", "PUT"):
        assert ask(site, NEWEST, method, "/files", b"abc", Upload_Complete="?1").status == 201
    told = ask(site, NEWEST, "PATCH", "/files", b"abc", Upload_Complete="?1")
    assert (told.status, told.headers["Allow"]) == (405, "OPTIONS, GET, POST, PUT")


@rule("a body with a content coding is refused, and nothing is begun")
def _(site: TusSite) -> None:
    told = create(site, NEWEST, b"abc", complete=True, **{"Content-Encoding": "gzip"})
    assert (told.status, site.run(site.services.transfers.unfinished("C-1"))) == (415, [])
    assert told.headers["Upload-Complete"] == "?0"


# Offset retrieval.


@rule("HEAD and GET tell offset, completeness, the length if it was said, and limits, and are not cached")
def _(site: TusSite) -> None:
    unknown, known = new(site, b"abc"), new(site, b"abc", **{"Upload-Length": "5"})
    done = str(create(site, NEWEST, b"abc", complete=True).headers["Location"])
    for path, length, complete, limit in (
        (unknown, None, "?0", "max-age="),
        (known, "5", "?0", "max-age="),
        (done, "3", "?1", "min"),
    ):
        for method in ("HEAD", "GET"):
            told = ask(site, NEWEST, method, path)
            assert (told.offset, told.headers["Upload-Length"], told.headers["Upload-Complete"]) == (3, length, complete)
            assert told.headers["Upload-Limit"].startswith(limit)
            assert "no-store" in told.headers["Cache-Control"]
            assert told.status == (200 if path == done and method == "GET" else 204)


@rule("HEAD with an offset or a completeness is refused")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for field in ({"Upload-Offset": "3"}, {"Upload-Complete": "?0"}):
        assert ask(site, NEWEST, "HEAD", path, **field).status == 400


@rule("an offset that HEAD tells is taken, whoever was writing before")
def _(site: TusSite) -> None:
    for _ in range(5):
        peer = begin(site, NEWEST, 100_000, "Expect: 100-continue")
        path = peer.answer().headers["location"]
        assert peer.answer().status == 100
        peer.send(bytes(40_000))
        told = head(site, path)
        peer.send(bytes(1000))
        assert send(site, path, told.offset, bytes(100_000 - told.offset), complete=True).status == 200
        peer.close()


# Append.


@rule("another offset is 409 with ?0, the right offset and both in the problem, of a complete upload too")
def _(site: TusSite) -> None:
    path, done = new(site, b"abc"), str(create(site, NEWEST, b"abc", complete=True).headers["Location"])
    for where in (path, done):
        for offset in (0, 2, 4, 10**14):
            told = send(site, where, offset, b"x")
            assert (told.status, told.headers["Upload-Complete"], told.offset) == (409, "?0", 3)
            problem = told.problem
            assert problem["type"] == "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
            assert (problem["expected-offset"], problem["provided-offset"]) == (3, offset)


@rule("a part is 204 with ?0, the last one 200 with ?1, an empty one ends a file")
def _(site: TusSite) -> None:
    path = new(site)
    for offset, data, complete, status in (
        (0, b"abc", False, 204),
        (3, b"", False, 204),
        (3, b"de", False, 204),
        (5, b"", True, 200),
    ):
        told = send(site, path, offset, data, complete=complete)
        assert (told.status, told.headers["Upload-Complete"]) == (status, "?1" if complete else "?0")
        assert told.offset == offset + len(data)
    assert site.stored(path) == b"abcde"


@rule("a lost last answer is given again, and nothing more is taken")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for _ in range(2):
        told = send(site, path, 3, b"" if site.run(site.services.transfers.unfinished("C-1")) == [] else b"d", complete=True)
        if told.status == 409:
            told = send(site, path, 4, b"", complete=True)
        assert (told.status, told.headers["Upload-Complete"], told.headers["Repr-Digest"]) == (200, "?1", digest(b"abcd"))
    assert send(site, path, 4, b"e", complete=True).status == 400
    assert send(site, path, 4, b"", complete=False).status == 400


@rule("another type than application/partial-upload is 415")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for kind in ("text/plain", "application/offset+octet-stream", "application/octet-stream", ""):
        assert send(site, path, 3, b"d", **{"Content-Type": kind}).status == 415
    assert send(site, path, 3, b"d", **{"Content-Type": "Application/Partial-Upload; a=b"}).status == 204


@rule("more than the length is refused without Content-Length too, and the upload is over")
def _(site: TusSite) -> None:
    for framing, body in ((["Content-Length: 4"], b"defg"), (["Transfer-Encoding: chunked"], b"4\r\ndefg\r\n0\r\n\r\n")):
        path = new(site, b"abc", **{"Upload-Length": "5"})
        fields = [f"Content-Type: {PART}", "Upload-Offset: 3", "Upload-Complete: ?0", *framing]
        told = answers(site, "PATCH", path, *fields, body=body)[-1]
        assert (told.status, json.loads(told.body)["type"].rpartition("#")[2]) == (400, "inconsistent-upload-length")
        assert [ask(site, NEWEST, method, path).status for method in ("HEAD", "DELETE")] == [410, 410]
        assert send(site, path, 3, b"d").status == 410


@rule("what was cut is not complete, though it said that it would be")
def _(site: TusSite) -> None:
    peer = begin(site, NEWEST, 10)
    path = peer.answer().headers["location"]
    peer.send(b"abc")
    peer.vanish()
    told = head(site, path)
    assert (told.headers["Upload-Complete"], told.headers["Upload-Length"], told.offset <= 3) == ("?0", "10", True)


# Cancellation.


@rule("DELETE ends an upload and the request that is writing to it")
def _(site: TusSite) -> None:
    peer = begin(site, NEWEST, 100_000, "Expect: 100-continue")
    path = peer.answer().headers["location"]
    assert peer.answer().status == 100
    peer.send(bytes(1000))
    assert ask(site, NEWEST, "DELETE", path).status == 204
    peer.send(bytes(1000))
    while (told := peer.answer()).status == 104:
        pass
    assert told.status in (409, 410)
    assert [head(site, path).status, send(site, path, 0, b"x").status] == [410, 410]
    assert ask(site, NEWEST, "DELETE", NOWHERE).status == 404


# Digests (§Integrity Digests, RFC 9530).


@rule(
    "content that is not what Content-Digest says is not appended, and a whole that is not what Repr-Digest says is not processed"
)
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    assert (send(site, path, 3, b"de", **{"Content-Digest": digest(b"other")}).status, head(site, path).offset) == (400, 3)
    told = send(site, path, 3, b"de", complete=True, **{"Repr-Digest": digest(b"other")})
    assert (told.status, told.headers["Upload-Complete"]) == (422, "?1")
    assert site.run(site.services.transfers.attachments("C-1", None, 10))[0] == []


@rule("a digest may come without its padding, and a field of no digests says nothing")
def _(site: TusSite) -> None:
    path = new(site, b"abc")
    for offset, said in enumerate((digest(b"d").removesuffix("=:") + ":", "", f"sha-256=:AA==:x, {digest(b'd')}"), 3):
        assert send(site, path, offset, b"d", **{"Content-Digest": said}).status == (204 if offset < 5 else 400), said


@rule("the representation's digest is told once it is complete, and where it is asked for")
def _(site: TusSite) -> None:
    path = new(site, b"abc", **{"Want-Repr-Digest": "sha-256=1"})
    assert "Repr-Digest" not in send(site, path, 3, b"d").headers
    assert send(site, path, 4, b"", complete=True, **{"Want-Repr-Digest": "sha-256=1"}).headers["Repr-Digest"] == digest(b"abcd")


@pytest.mark.parametrize("check", [check for _, check in RULES], ids=[says for says, _ in RULES])
def test_the_draft_is_kept_to_the_letter(site: TusSite, check: Rule) -> None:
    check(site)


def test_what_is_too_large_is_told_with_the_limit(certificates: Certificates, tmp_path: Path) -> None:
    with tus_site(tmp_path, certificates, max_size=10) as site:
        assert ask(site, None, "OPTIONS", "/files").headers["Upload-Limit"] == "max-size=10"
        path = new(site, b"abc")
        chunked = ["Transfer-Encoding: chunked", f"Content-Type: {PART}", "Upload-Offset: 3", "Upload-Complete: ?0"]
        for told in (
            answers(site, "POST", "/files", "Upload-Complete: ?0", "Upload-Length: 11")[-1],
            answers(site, "POST", "/files", "Upload-Complete: ?1", "Content-Length: 11", body=bytes(11))[-1],
            answers(site, "PATCH", path, *chunked, body=b"9\r\n123456789\r\n0\r\n\r\n")[-1],
        ):
            assert (told.status, told.headers["upload-limit"], told.headers["upload-complete"]) == (413, "max-size=10", "?0")
