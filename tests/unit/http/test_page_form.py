"""The plain form: several files, hostile names, forms that break off, and what each of them leaves."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
from pathlib import Path
import re
import time

import pytest

from eft.domain.case import SubStatus
from eft.domain.upload import Completeness, Source
from eft.http_resumable.form_names import file_name, read_disposition
from eft.http_resumable.page_form import form_token
from tests.fixtures.services import STAFF
from tests.fixtures.tls import Certificates
from tests.unit.http.page_site import BROWSER, GRACE, OWN, PORTAL, PageSite, a_file, code_in, form, page_site

MIB = 1024 * 1024


def test_several_files_are_stored_byte_for_byte_and_shown_with_their_digests(pages: PageSite) -> None:
    contents = {"a.log": b"hello", "empty": b"", "ä 日本.bin": os.urandom(3 * MIB + 7)}
    cookie = pages.launch()
    answer = pages.send_form(cookie, *form(*(a_file(name, content) for name, content in contents.items())))
    text = answer.body.decode()
    assert answer.status == 200
    assert pages.attachments() == contents
    for name, content in contents.items():
        assert name in text
        assert hashlib.sha256(content).hexdigest() in text
    found, _ = pages.run(pages.services.transfers.attachments("C-1", None, 10))
    assert {(each.source, each.completeness, each.actor) for each in found} == {
        (Source.HTTPS, Completeness.CLOSED, "customer:ada@example.com")
    }


def test_bytes_that_look_like_a_delimiter_are_the_files_own(pages: PageSite) -> None:
    content = b"\r\n--x\r\n--xboundar\r\n--XBOUNDARY--\r\n" * 20_000 + b"\r\n--xboundary"[:-1] + b"\r\n-"
    cookie = pages.launch()
    assert pages.send_form(cookie, *form(a_file("a.bin", content), boundary="xboundary")).status == 200
    assert pages.attachments() == {"a.bin": content}


def test_what_staff_send_comes_from_support(pages: PageSite) -> None:
    pages.send_form(pages.launch(person=GRACE), *form(a_file("fix.bin", b"x")))
    found, _ = pages.run(pages.services.transfers.attachments("C-1", None, 10))
    assert [each.source for each in found] == [Source.SUPPORT]


def test_a_name_that_is_refused_does_not_lose_the_other_files(pages: PageSite) -> None:
    cookie = pages.launch()
    parts = (
        a_file("../../etc/passwd", b"evil"),
        a_file("good.log", b"good"),
        a_file("a\\b", b"bad"),
        a_file("last.log", b"last"),
    )
    answer = pages.send_form(cookie, *form(*parts))
    assert (answer.status, pages.attachments()) == (200, {"good.log": b"good", "last.log": b"last"})
    assert re.findall(r'<li data-code="([a-z-]+)">', answer.body.decode()) == ["name-not-allowed"] * 2
    assert pages.state(cookie)["uploads"] == []


def test_a_form_of_which_nothing_is_taken_is_no_success(pages: PageSite) -> None:
    answer = pages.send_form(pages.launch(), *form(a_file("..", b"x")))
    assert (answer.status, code_in(answer)) == (400, "name-not-allowed")


@pytest.mark.parametrize("parts", [(), (a_file("", b""),), (('name="note"', b"hello"),), (('name="other"; filename="x"', b"x"),)])
def test_a_form_without_a_file_says_so(pages: PageSite, parts: tuple[tuple[str, bytes], ...]) -> None:
    answer = pages.send_form(pages.launch(), *form(*parts))
    assert (answer.status, code_in(answer), pages.attachments()) == (400, "no-file", {})


@pytest.mark.parametrize(("cut", "stored"), [(b"", {"a.log": b"first"}), (b"--\r\n", {"a.log": b"first"})])
def test_a_form_that_breaks_off_publishes_what_was_whole_and_no_part_of_the_rest(
    pages: PageSite, cut: bytes, stored: dict[str, bytes]
) -> None:
    cookie = pages.launch()
    body, boundary = form(a_file("a.log", b"first"), a_file("b.bin", os.urandom(2 * MIB)))
    ending = f"\r\n--{boundary}--\r\n".encode()
    assert body.endswith(ending)
    answer = pages.send_form(cookie, body.removesuffix(ending) + cut, boundary)
    assert (answer.status, code_in(answer)) == (400, "form-broken")
    assert pages.attachments() == stored
    assert pages.state(cookie)["uploads"] == []


def test_a_connection_that_is_cut_publishes_nothing_of_the_file_it_was_in(pages: PageSite) -> None:
    cookie = pages.launch()
    body, boundary = form(a_file("a.log", b"first"), a_file("b.bin", os.urandom(4 * MIB)))
    peer = pages.server.peer()
    peer.send(
        f"POST /transfer/C-1 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    peer.send(body[: 3 * MIB])
    peer.close()
    _until(lambda: pages.attachments() == {"a.log": b"first"} and pages.state(cookie)["uploads"] == [])


def test_a_case_that_closes_between_two_files_keeps_the_first(pages: PageSite) -> None:
    cookie = pages.launch()
    body, boundary = form(a_file("a.log", b"first"), a_file("b.log", b"second"))
    at = body.index(b"second")
    peer = pages.server.peer()
    peer.send(
        f"POST /transfer/C-1 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    peer.send(body[:at])
    _until(lambda: set(pages.attachments()) == {"a.log"})
    pages.run(pages.services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF))
    peer.send(body[at:])
    answer = peer.answer()
    assert answer.status == 200
    assert b'<li data-code="case-closed">' in answer.body
    assert set(pages.attachments()) == {"a.log"}


def test_a_closed_case_answers_the_form_with_what_to_do(pages: PageSite) -> None:
    cookie = pages.launch()
    pages.run(pages.services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF))
    answer = pages.send_form(cookie, *form(a_file("a.log", b"x")), **BROWSER)
    assert (answer.status, code_in(answer)) == (403, "case-closed")


def test_a_file_past_the_limit_is_refused_and_leaves_nothing(certificates: Certificates, tmp_path: Path) -> None:
    with page_site(tmp_path, certificates, max_size=MIB) as pages:
        cookie = pages.launch()
        answer = pages.send_form(cookie, *form(a_file("big", bytes(2 * MIB)), a_file("fits", bytes(MIB))))
        assert re.findall(r'<li data-code="([a-z-]+)">', answer.body.decode()) == ["too-large"]
        assert set(pages.attachments()) == {"fits"}
        assert pages.state(cookie)["uploads"] == []


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data", "multipart/mixed; boundary=x", "text/plain", ""]
)
def test_a_body_that_is_no_form_is_refused(pages: PageSite, kind: str) -> None:
    answer = pages.ask(
        "POST", "/transfer/C-1", cookie=pages.launch(), headers={**OWN, "Content-Type": kind}, body=b"--x\r\n\r\n--x--"
    )
    assert (answer.status, code_in(answer)) == (415, "content-type")


@pytest.mark.parametrize(
    "body",
    [
        b"no delimiter at all",
        b"--x\r\nno colon\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Type: text/plain\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: attachment\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 20_000 + b"\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\nabc\r\n--x--\r\n",
    ],
)
def test_parts_that_cannot_be_read_are_refused(pages: PageSite, body: bytes) -> None:
    answer = pages.send_form(pages.launch(), body, "x")
    assert (answer.status, code_in(answer), pages.attachments()) == (400, "form-broken", {})


# Whether the form is ours.


def test_a_browser_that_says_nothing_of_itself_needs_the_forms_token(pages: PageSite) -> None:
    cookie = pages.launch()
    shown = pages.page(cookie=cookie).body.decode()
    token = re.search(r'name="token" value="([0-9a-f]{64})"', shown)
    assert token is not None
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for sent in ({}, {"Origin": "null"}):
        for value in (b"", b"0" * 64, form_token("other", "C-1").encode(), token[1].encode()[:-1]):
            body, _ = form(('name="token"', value), a_file("a.log", b"x"), boundary="x")
            answer = pages.ask("POST", "/transfer/C-1", cookie=cookie, headers={**headers, **sent}, body=body)
            assert (answer.status, code_in(answer)) == (403, "cross-origin")
        late, _ = form(a_file("a.log", b"x"), ('name="token"', token[1].encode()), boundary="x")
        assert pages.ask("POST", "/transfer/C-1", cookie=cookie, headers={**headers, **sent}, body=late).status == 403
        assert pages.attachments() == {}
    good, _ = form(('name="token"', token[1].encode()), a_file("a.log", b"x"), boundary="x")
    assert pages.ask("POST", "/transfer/C-1", cookie=cookie, headers=headers, body=good).status == 200
    assert pages.attachments() == {"a.log": b"x"}


@pytest.mark.parametrize(
    "foreign",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": PORTAL},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_another_sites_form_stores_nothing_even_with_the_token(pages: PageSite, foreign: dict[str, str]) -> None:
    cookie = pages.launch()
    token = form_token(cookie.partition("=")[2], "C-1").encode()
    body, _ = form(('name="token"', token), a_file("a.log", b"x"), boundary="x")
    headers = {"Content-Type": "multipart/form-data; boundary=x", **foreign}
    answer = pages.ask("POST", "/transfer/C-1", cookie=cookie, headers=headers, body=body)
    assert (answer.status, code_in(answer), pages.attachments()) == (403, "cross-origin", {})


# Names.


@pytest.mark.parametrize(
    ("sent", "charset", "name"),
    [
        (b'form-data; name="file"; filename="a.log"', "utf-8", "a.log"),
        (b"form-data; name=file; filename=a.log", "utf-8", "a.log"),
        (b'FORM-DATA;name="file";filename="a;b=c.log"', "utf-8", "a;b=c.log"),
        (b'form-data; name="file"; filename="a%22b.log"', "utf-8", 'a"b.log'),
        (b'form-data; name="file"; filename="a\\"b.log"', "utf-8", 'a"b.log'),
        (b'form-data; name="file"; filename="100%25.log"', "utf-8", "100%25.log"),
        ('form-data; name="file"; filename="ä 日本.log"'.encode(), "utf-8", "ä 日本.log"),
        (b'form-data; name="file"; filename="\xe4.log"', "iso-8859-1", "ä.log"),
        (b'form-data; name="file"; filename="\x80.log"', "windows-1252", "€.log"),
        (b'form-data; name="file"; filename="x"; filename*=UTF-8\'\'%e2%82%ac%20rates', "utf-8", "€ rates"),
        (b"form-data; name=\"file\"; filename*=iso-8859-1'en'%A3", "utf-8", "£"),
        (b'form-data; name="file"; filename="C:\\fakepath\\a.log"', "utf-8", "a.log"),
        (b'form-data; name="file"; filename="dir/a.log"', "utf-8", "dir/a.log"),
        (b'form-data; name="file"; filename=""', "utf-8", ""),
    ],
)
def test_names_are_read_as_browsers_and_curl_write_them(sent: bytes, charset: str, name: str) -> None:
    disposition = read_disposition(sent)
    assert disposition is not None
    assert (disposition.field, file_name(disposition, charset)) == ("file", name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a%0D%0Ab", "name-not-allowed"),
        ("/etc/passwd", "name-not-allowed"),
        ("a/../b", "name-not-allowed"),
        ("a\u202egpj.exe", "name-not-allowed"),
        ("x" * 256, "name-not-allowed"),
        ("from-support/x", "conflict"),
    ],
)
def test_a_hostile_name_is_refused_and_shown_harmless(pages: PageSite, name: str, code: str) -> None:
    answer = pages.send_form(pages.launch(), *form(a_file(name, b"x")))
    assert (code_in(answer), pages.attachments()) == (code, {})
    assert "\u202e" not in answer.body.decode()


def test_markup_in_a_name_is_text(pages: PageSite) -> None:
    answer = pages.send_form(pages.launch(), *form(a_file("<script>alert(1)<∕script>", b"x"), a_file("<b>\\", b"x")))
    assert b"<script>" not in answer.body
    assert b"<b>" not in answer.body
    assert b"&lt;script&gt;" in answer.body


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
