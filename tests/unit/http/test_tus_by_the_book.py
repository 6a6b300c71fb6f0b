"""tus 1.0.0, rule by rule: one row for each MUST and SHOULD that binds a server, asked over a real connection."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
import hashlib
import re

import pytest

from tests.fixtures.tls import Answer
from tests.unit.http.tus_site import PART, TusSite, checksum, encoded

NOWHERE = "/files/" + "0" * 32
Rule = Callable[[TusSite], None]
RULES: list[tuple[str, Rule]] = []


def rule(says: str) -> Callable[[Rule], Rule]:
    def kept(check: Rule) -> Rule:
        RULES.append((says, check))
        return check

    return kept


def raw(site: TusSite, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
    """A request whose fields may come twice."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {site.token}", *fields]
    return site.server.ask("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def whole(site: TusSite, data: bytes = b"abcde", **headers: str) -> str:
    path = site.create(len(data), **headers)
    assert site.patch(path, 0, data).status == 204
    return path


# Core.


@rule("HEAD tells the offset of a new, a begun and a finished upload, and the length")
def _(site: TusSite) -> None:
    path = site.create(5)
    for sent, data in ((0, b"ab"), (2, b"cde"), (5, b"")):
        head = site.ask("HEAD", path)
        assert (head.status, head.offset, head.headers["Upload-Length"], head.body) == (200, sent, "5", b"")
        site.patch(path, sent, data)


@rule("HEAD is never cached")
def _(site: TusSite) -> None:
    assert site.ask("HEAD", site.create(5)).headers["Cache-Control"] == "no-store"


@rule("HEAD of what is not there is 404, 410 or 403, without an offset")
def _(site: TusSite) -> None:
    gone = site.create(5)
    site.ask("DELETE", gone)
    for path, status in ((NOWHERE, 404), (gone, 410)):
        head = site.ask("HEAD", path)
        assert (head.status, head.headers["Upload-Offset"]) == (status, None)


@rule("every answer names the version, refusals too")
def _(site: TusSite) -> None:
    path = site.create(5)
    answers = [site.ask(method, path) for method in ("HEAD", "GET", "PUT", "DELETE")]
    answers += [site.ask("HEAD", NOWHERE), site.patch(path, 9, b"x"), site.ask("POST"), site.ask("HEAD", path, token="none")]
    assert [answer.headers["Tus-Resumable"] for answer in answers] == ["1.0.0"] * len(answers)


@rule("a refusal that comes before the upload is looked at names the version too")
def _(site: TusSite) -> None:
    path = site.create(5)
    refused = site.patch(path, 0, b"abc", Content_Encoding="gzip")
    assert (refused.status, refused.headers["Tus-Resumable"], site.ask("HEAD", path).offset) == (415, "1.0.0", 0)
    elsewhere = site.ask("POST", headers={"Upload-Length": "5", "Host": "elsewhere.example"})
    assert (elsewhere.status, elsewhere.headers["Tus-Resumable"]) == (421, "1.0.0")


@rule("another version, or none, is 412 with ours, and nothing is done")
def _(site: TusSite) -> None:
    path = site.create(5)
    for version in (None, "0.2.2", "1.0.1", "1.0.0, 0.2.2", "abc"):
        for method, headers, body in (
            ("HEAD", {}, None),
            ("PATCH", {"Upload-Offset": "0", "Content-Type": PART}, b"abc"),
            ("DELETE", {}, None),
        ):
            answer = site.ask(method, path, headers, body, version=version)
            assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
        assert site.ask("POST", headers={"Upload-Length": "5"}, version=version).status == 412
    assert site.ask("HEAD", path).offset == 0


@rule("OPTIONS is answered whatever version it names, with the versions, the extensions and the checksums")
def _(site: TusSite) -> None:
    for version in (None, "9.9.9"):
        told = site.ask("OPTIONS", version=version)
        assert (told.status, told.headers["Tus-Version"]) == (200, "1.0.0")
        assert {"creation", "expiration", "checksum", "concatenation"} <= set(told.headers["Tus-Extension"].split(","))
        assert "sha1" in told.headers["Tus-Checksum-Algorithm"].split(",")
        assert not re.search(r"[^a-z0-9,]", told.headers["Tus-Checksum-Algorithm"])
        assert told.headers["Allow"] == "OPTIONS, GET, POST, PUT"
    assert site.ask("OPTIONS", NOWHERE).headers["Allow"] == "OPTIONS, HEAD, GET, PATCH, DELETE"
    assert raw(site, "OPTIONS", "*").status == 204


@rule("what a field that comes twice says must not depend on which one is read")
def _(site: TusSite) -> None:
    path = site.create(5)
    part = f"Content-Type: {PART}"
    for method, fields, status in (
        ("PATCH", ["Tus-Resumable: 1.0.0", "Tus-Resumable: 2.0.0", part, "Upload-Offset: 0"], 412),
        ("PATCH", ["Tus-Resumable: 1.0.0", part, "Content-Type: text/plain", "Upload-Offset: 0"], 415),
        ("PATCH", ["Tus-Resumable: 1.0.0", part, "Upload-Offset: 0", "Upload-Offset: 3"], 400),
        ("PATCH", ["Tus-Resumable: 1.0.0", part, "Upload-Offset: 0", "Upload-Length: 5", "Upload-Length: 6"], 400),
        ("POST", ["Tus-Resumable: 1.0.0", "X-HTTP-Method-Override: PATCH", "X-HTTP-Method-Override: DELETE"], 400),
    ):
        assert raw(site, method, path, *fields).status == status, fields
    for fields in (
        ["Upload-Length: 5", "Upload-Length: 6"],
        ["Upload-Defer-Length: 1", "Upload-Defer-Length: 0"],
        ["Upload-Length: 5", "Upload-Concat: partial", f"Upload-Concat: final;{path}"],
        ["Upload-Length: 5", "Upload-Metadata: a MQ==", "Upload-Metadata: a Mg=="],
    ):
        assert raw(site, "POST", "/files", "Tus-Resumable: 1.0.0", *fields).status == 400, fields
    assert site.ask("HEAD", path).offset == 0


@rule("PATCH is 204 and tells the sum of the offset and what came")
def _(site: TusSite) -> None:
    path = site.create(5)
    told = site.patch(path, 0, b"abc")
    assert (told.status, told.offset, told.body) == (204, 3, b"")
    assert site.patch(path, 3, b"").offset == 3


@rule("PATCH of another type, or none, is 415 and changes nothing")
def _(site: TusSite) -> None:
    path = site.create(5)
    for kind in ("text/plain", "application/octet-stream", "application/offset", ""):
        assert site.patch(path, 0, b"abc", Content_Type=kind).status == 415
    assert site.ask("PATCH", path, {"Upload-Offset": "0"}, b"abc").status == 415
    assert site.ask("HEAD", path).offset == 0


@rule("PATCH at another offset is 409 and changes nothing")
def _(site: TusSite) -> None:
    path = site.create(5)
    site.patch(path, 0, b"abc")
    for offset in (0, 2, 4, 5, 10**15):
        assert site.patch(path, offset, b"d").status == 409
    assert site.ask("HEAD", path).offset == 3


@rule("an offset that is no number of bytes is 400")
def _(site: TusSite) -> None:
    path = site.create(5)
    for offset in ("", "-1", "+0", "0.0", "0x0", "٣", "1e3", "NaN", "0, 0"):
        sent = {"Content-Type": PART, "Upload-Offset": offset.encode().decode("latin-1")}
        assert site.ask("PATCH", path, sent, b"abc").status == 400, offset
    assert site.ask("PATCH", path, {"Content-Type": PART}, b"abc").status == 400
    assert site.ask("HEAD", path).offset == 0


@rule("a number of bytes is one however long it is: an offset that is not ours is 409, a length that no file has 413")
def _(site: TusSite) -> None:
    path = site.create(5)
    for offset in ("9" * 19, "9" * 30, "1" + "0" * 5000):
        assert site.ask("PATCH", path, {"Content-Type": PART, "Upload-Offset": offset}, b"abc").status == 409
        assert site.ask("POST", headers={"Upload-Length": offset}).status == 413
    assert site.ask("PATCH", path, {"Content-Type": PART, "Upload-Offset": "0" * 40}, b"abc").offset == 3
    assert site.ask("HEAD", site.create(10**18 - 1)).headers["Upload-Length"] == "9" * 18


@rule("PATCH of what is not there is 404, whatever else is wrong with it")
def _(site: TusSite) -> None:
    assert site.patch(NOWHERE, 0, b"abc").status == 404
    assert site.patch(NOWHERE, 0, b"abc", Content_Type="text/plain").status == 404
    gone = site.create(5)
    site.ask("DELETE", gone)
    assert site.ask("PATCH", gone, {}, b"abc").status == 410
    assert site.patch("/files/no-such-upload", 0, b"abc").status == 404


@rule("more than the length is refused and changes nothing")
def _(site: TusSite) -> None:
    path = site.create(5)
    assert site.patch(path, 0, b"abcdef").status == 413
    assert site.ask("HEAD", path).offset == 0


@rule("X-HTTP-Method-Override is the method, whatever the request's own")
def _(site: TusSite) -> None:
    path = site.create(5)
    sent = {"X-HTTP-Method-Override": "PATCH", "Content-Type": PART, "Upload-Offset": "0"}
    for own in ("POST", "PUT"):
        assert site.ask(own, path, sent, b"ab").status == (204 if own == "POST" else 409)
    assert site.ask("GET", path, {**sent, "Upload-Offset": "2", "X-HTTP-Method-Override": "patch"}, b"").status == 204
    assert site.ask("HEAD", path, {"X-HTTP-Method-Override": ""}).offset == 2
    assert site.ask("HEAD", path, {"X-HTTP-Method-Override": "PUT"}).status == 405
    assert site.ask("POST", path, {"X-HTTP-Method-Override": "BREW"}).status == 400
    assert site.ask("PATCH", "/files", {"X-HTTP-Method-Override": "POST", "Upload-Length": "5"}).status == 201
    assert site.ask("POST", path, {"X-HTTP-Method-Override": "HEAD"}).offset == 2
    assert site.ask("GET", path, {"X-HTTP-Method-Override": "OPTIONS"}, version=None).headers["Tus-Version"] == "1.0.0"
    assert site.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"}).status == 204


# Creation.


@rule("a creation is 201, and its Location is where the upload is")
def _(site: TusSite) -> None:
    told = site.ask("POST", headers={"Upload-Length": "5"})
    assert (told.status, told.body) == (201, b"")
    assert site.ask("HEAD", told.headers["Location"]).offset == 0


@rule("a length is said, or deferred by 1, and never both; it is a number that is not negative")
def _(site: TusSite) -> None:
    for sent in (
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "abc"},
        {"Upload-Length": ""},
        {"Upload-Length": "5.0"},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "true"},
        {"Upload-Length": "5", "Upload-Defer-Length": "1"},
    ):
        assert site.ask("POST", headers=sent).status == 400, sent


@rule("a deferred length is told by HEAD until it is known, and not changed after")
def _(site: TusSite) -> None:
    path = site.create(None)
    site.patch(path, 0, b"ab")
    head = site.ask("HEAD", path)
    assert (head.headers["Upload-Defer-Length"], head.headers["Upload-Length"]) == ("1", None)
    assert site.patch(path, 2, b"c", Upload_Length="5").status == 204
    head = site.ask("HEAD", path)
    assert (head.headers["Upload-Defer-Length"], head.headers["Upload-Length"]) == (None, "5")
    assert site.patch(path, 3, b"d", Upload_Length="6").status == 400
    assert site.patch(path, 3, b"d", Upload_Length="5").offset == 4
    path = site.create(None)
    assert site.patch(path, 0, b"abc", Upload_Length="2").status == 413
    assert (site.ask("HEAD", path).headers["Upload-Defer-Length"], site.patch(path, 0, b"abc", Upload_Length="3").offset) == (
        "1",
        3,
    )


@rule("an empty file is finished when it is created")
def _(site: TusSite) -> None:
    path = site.create(0)
    head = site.ask("HEAD", path)
    assert (head.offset, head.headers["Upload-Length"], site.stored(path)) == (0, "0", b"")


@rule("metadata comes back as it was sent: keys without a value, empty values, order")
def _(site: TusSite) -> None:
    for text in ("is_confidential", f"b {encoded('2')},a,c {encoded('1')}", f"x , y,filename {encoded('ä.log')}", "k "):
        told = site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": text})
        assert told.status == 201, text
        assert site.ask("HEAD", told.headers["Location"]).headers["Upload-Metadata"] == text.strip()


@rule("metadata may be any bytes, except what is a name here, and may come in several lines")
def _(site: TusSite) -> None:
    text = f"raw {encoded(bytes(range(256)))}"
    path = site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": text}).headers["Location"]
    assert site.ask("HEAD", path).headers["Upload-Metadata"] == text
    for key in ("filename", "relativePath"):
        refused = site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": f"{key} {encoded(bytes([255]))}"})
        assert (refused.status, refused.code) == (400, "metadata-invalid")
    told = raw(
        site, "POST", "/files", "Tus-Resumable: 1.0.0", "Upload-Length: 5", "Upload-Metadata: a MQ==", "Upload-Metadata: b"
    )
    assert site.ask("HEAD", told.headers["location"]).headers["Upload-Metadata"] == "a MQ==,b"


@rule("metadata that is not Base64, or has a key twice or an empty one, is 400")
def _(site: TusSite) -> None:
    for text in ("filename not_base64!", "a MQ==,a Mg==", "a MQ==,,b", "a MQ== Mg=="):
        assert site.ask("POST", headers={"Upload-Length": "5", "Upload-Metadata": text}).status == 400, text


@rule("a creation with a beginning tells how much of it was taken, and wants the type of a part")
def _(site: TusSite) -> None:
    told = site.ask("POST", headers={"Upload-Length": "5", "Content-Type": PART}, body=b"abc")
    assert (told.status, told.offset) == (201, 3)
    assert site.patch(told.headers["Location"], 3, b"de").offset == 5
    told = site.ask("POST", headers={"Upload-Defer-Length": "1", "Content-Type": PART}, body=b"abc")
    assert (told.status, told.offset) == (201, 3)
    assert site.ask("POST", headers={"Upload-Length": "5", "Content-Type": "text/plain"}, body=b"abc").status == 415
    assert site.ask("POST", headers={"Upload-Length": "2", "Content-Type": PART}, body=b"abc").status == 413


@rule("a creation with the type of a part tells how much was taken also where that is nothing")
def _(site: TusSite) -> None:
    told = site.ask("POST", headers={"Upload-Length": "5", "Content-Type": PART}, body=b"")
    assert (told.status, told.offset) == (201, 0)


@rule("an empty part at the end of a finished file may come in chunks, of an empty file too; its checksum is compared")
def _(site: TusSite) -> None:
    for path, size in ((whole(site), 5), (site.create(0), 0)):
        fields = ["Tus-Resumable: 1.0.0", f"Content-Type: {PART}", f"Upload-Offset: {size}", "Transfer-Encoding: chunked"]
        for trailer, status in (
            ("", 204),
            (f"Upload-Checksum: {checksum('sha1', b'')}\r\n", 204),
            (f"Upload-Checksum: {checksum('sha1', b'a')}\r\n", 460),
        ):
            for announced in ([], ["Trailer: Upload-Checksum"])[: 1 + bool(trailer)]:
                told = raw(site, "PATCH", path, *fields, *announced, body=f"0\r\n{trailer}\r\n".encode())
                assert told.status == status, (trailer, announced)
        assert raw(site, "PATCH", path, *fields, body=b"1\r\na\r\n0\r\n\r\n").status == 409


@rule("a body in chunks that has none is no body, and needs no type")
def _(site: TusSite) -> None:
    fields = ["Tus-Resumable: 1.0.0", "Upload-Length: 5", "Transfer-Encoding: chunked"]
    told = raw(site, "POST", "/files", *fields, body=b"0\r\n\r\n")
    assert (told.status, site.ask("HEAD", told.headers["location"]).offset) == (201, 0)
    assert raw(site, "POST", "/files", *fields, body=b"1\r\na\r\n0\r\n\r\n").status == 415


# Expiration.


@rule("POST and every PATCH tell when an unfinished upload expires, as HTTP writes dates; what expired is 410")
def _(site: TusSite) -> None:
    created = site.ask("POST", headers={"Upload-Length": "5"})
    path = created.headers["Location"]
    told = [created, site.patch(path, 0, b"ab"), site.patch(path, 2, b""), site.ask("HEAD", path)]
    for answer in told:
        expires = answer.headers["Upload-Expires"]
        assert expires.endswith(" GMT")
        assert parsedate_to_datetime(expires) > site.services.clock.now()
    assert site.patch(path, 2, b"cde").headers["Upload-Expires"] is None


@rule("a PATCH that is refused tells when the upload expires too, if it does")
def _(site: TusSite) -> None:
    path = site.create(5)
    for status, sent, data in (
        (409, {"Upload-Offset": "3"}, b"ab"),
        (415, {"Content-Type": "text/plain"}, b"ab"),
        (460, {"Upload-Checksum": checksum("sha1", b"other")}, b"ab"),
        (400, {"Upload-Checksum": "sha3 AAAA"}, b"ab"),
        (400, {"Upload-Offset": "x"}, b"ab"),
        (413, {}, b"abcdef"),
    ):
        told = site.ask("PATCH", path, {"Content-Type": PART, "Upload-Offset": "0", **sent}, data)
        assert (told.status, told.headers["Upload-Expires"]) == (status, site.ask("HEAD", path).headers["Upload-Expires"])
    done = whole(site)
    assert [site.patch(done, offset, b"x").headers["Upload-Expires"] for offset in (0, 5)] == [None, None]
    assert site.patch(NOWHERE, 0, b"x").headers["Upload-Expires"] is None


# Checksum.


@rule("a right checksum is 204; a wrong one 460, an unknown one 400, and both leave the offset")
def _(site: TusSite) -> None:
    path = site.create(5)
    for said, status in (
        (checksum("sha1", b"other"), 460),
        ("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAAA", 460),
        ("sha3 AAAA", 400),
        ("SHA1 " + encoded(hashlib.sha1(b"abc").digest()), 400),
        ("sha1", 400),
        ("sha1 %%%", 400),
        ("", 400),
    ):
        assert site.patch(path, 0, b"abc", Upload_Checksum=said).status == status, said
        assert site.ask("HEAD", path).offset == 0
    assert site.patch(path, 0, b"abc", Upload_Checksum=checksum("sha1", b"abc")).offset == 3
    assert site.patch(path, 3, b"", Upload_Checksum=checksum("sha1", b"")).offset == 3


@rule("a checksum of a body without bytes is compared too, whatever the request does besides")
def _(site: TusSite) -> None:
    done, part = whole(site), site.create(0, **{"Upload-Concat": "partial"})
    for said, status in (
        (checksum("sha1", b""), 201),
        (checksum("sha1", b"a"), 460),
        ("sha3 AAAA", 400),
        ("sha1", 400),
    ):
        for sent in ({"Upload-Length": "5"}, {"Upload-Length": "0"}, {"Upload-Concat": f"final;{part}"}):
            assert site.ask("POST", headers={**sent, "Upload-Checksum": said}).status == status, (said, sent)
        assert site.patch(done, 5, b"", Upload_Checksum=said).status == (204 if status == 201 else status), said


# Termination.


@rule("DELETE is 204 for unfinished and finished uploads; afterwards nothing is there")
def _(site: TusSite) -> None:
    for path in (site.create(5), whole(site)):
        told = site.ask("DELETE", path)
        assert (told.status, told.body) == (204, b"")
        assert [site.ask(method, path).status for method in ("HEAD", "GET", "DELETE")] == [410] * 3
        assert site.patch(path, 0, b"abc").status == 410
    assert site.ask("DELETE", NOWHERE).status == 404


# Concatenation.


@rule("a final upload is as long as its parts, in their order; HEAD gives Upload-Concat back as it was sent")
def _(site: TusSite) -> None:
    first, second = (whole(site, data, **{"Upload-Concat": "partial"}) for data in (b"abc", b"defg"))
    assert site.ask("HEAD", first).headers["Upload-Concat"] == "partial"
    for named in (f"final;{second} {first} {second}", f"final;https://localhost{first} {second}"):
        told = site.ask("POST", headers={"Upload-Concat": named})
        head = site.ask("HEAD", told.headers["Location"])
        assert (told.status, head.headers["Upload-Concat"]) == (201, named)
        assert head.offset == int(head.headers["Upload-Length"]) == (11 if named.startswith(f"final;{second}") else 7)
    assert site.stored(told.headers["Location"]) == b"abcdefg"


@rule("a final upload names no length, takes no part, and keeps nothing of its parts' metadata")
def _(site: TusSite) -> None:
    part = whole(site, b"abc", **{"Upload-Concat": "partial"})
    assert site.ask("POST", headers={"Upload-Concat": f"final;{part}", "Upload-Length": "3"}).status == 400
    path = site.ask("POST", headers={"Upload-Concat": f"final;{part}"}).headers["Location"]
    assert [site.patch(path, offset, b"x").status for offset in (0, 3)] == [403, 403]
    assert [site.patch(path, 3, b"").status, site.patch(path, 0, b"x", Content_Type="text/plain").status] == [403, 403]
    assert site.ask("PATCH", path, {}, b"x").status == 403
    head = site.ask("HEAD", path)
    assert (head.offset, head.headers["Upload-Metadata"], site.ask("HEAD", part).offset) == (3, None, 3)


@rule("a final upload before its parts are whole has no offset, and its length where that can be told")
def _(site: TusSite) -> None:
    part, open_end = site.create(5, **{"Upload-Concat": "partial"}), site.create(None, **{"Upload-Concat": "partial"})
    for named, length in ((part, "5"), (f"{part} {open_end}", None)):
        path = site.ask("POST", headers={"Upload-Concat": f"final;{named}"}).headers["Location"]
        head = site.ask("HEAD", path)
        assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, None, length)
        assert (site.ask("GET", path).status, site.ask("GET", path).headers["Upload-Offset"]) == (204, None)
    assert site.patch(part, 0, b"abcde").status == 204


@rule("a concatenation of nothing, of what is not there or no part, is refused")
def _(site: TusSite) -> None:
    for named, status in ((f"final;{NOWHERE}", 404), ("final;", 400), ("final", 400), ("other", 400)):
        assert site.ask("POST", headers={"Upload-Concat": named}).status == status
    assert site.ask("POST", headers={"Upload-Concat": f"final;{whole(site)}"}).status == 400
    part = whole(site, b"abc", **{"Upload-Concat": "partial"})
    final = site.ask("POST", headers={"Upload-Concat": f"final;{part}"}).headers["Location"]
    assert site.ask("POST", headers={"Upload-Concat": f"final;{final}"}).status == 400
    for named in (
        f"{part},{part}",
        f"{part}?a",
        f"/elsewhere{part}",
        f"{part}/x",
        f"{part} {part}x",
        "https://localhost" + part[6:],
    ):
        assert site.ask("POST", headers={"Upload-Concat": f"final;{named}"}).status == 404, named
    for said in ("Partial", "PARTIAL", "partial;", "partial, partial", "", f"FINAL;{part}", f"final:{part}", "final; "):
        assert site.ask("POST", headers={"Upload-Length": "3", "Upload-Concat": said}).status == 400, said


@rule("as many as 1,000 parts may be named by their whole addresses; HEAD tells them all")
def _(site: TusSite) -> None:
    part = whole(site, b"abc", **{"Upload-Concat": "partial"})
    address = f"https://eftgateway-apac.a-long-domain-of-a-customer.example.com:8441{part}"
    sent = ["Tus-Resumable: 1.0.0", "Upload-Concat: final;" + " ".join([address] * 1000)]
    told = raw(site, "POST", "/files", *sent)
    assert (told.status, told.headers["upload-offset"], "upload-concat" in told.headers) == (201, "3000", False)
    peer = site.server.peer()
    authorization = f"Authorization: Bearer {site.token}"
    peer.send(f"HEAD {told.headers['location']} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\nTus-Resumable: 1.0.0\r\n\r\n")
    assert peer.answer(to_head=True).headers["upload-concat"] == sent[1].partition(": ")[2]
    assert site.stored(told.headers["location"]) == b"abc" * 1000
    refused = raw(site, "POST", "/files", *sent, sent[1].replace("Concat", "Other"))
    assert (refused.status, b"131072 bytes" in refused.body) == (431, True)


@pytest.mark.parametrize("check", [check for _, check in RULES], ids=[says for says, _ in RULES])
def test_tus_is_kept_to_the_letter(site: TusSite, check: Rule) -> None:
    check(site)
