"""Whom the page's cookie lets in at `/files`, for which case, and from where."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eft.domain.case import SubStatus
from eft.domain.person import Person, Role
from tests.fixtures.services import STAFF
from tests.unit.http.page_site import ADA, GRACE, OWN, PORTAL, TUS, PageSite
from tests.unit.http.tus_site import PART, encoded

OTHER = Person("Bob", "bob@example.com", Role.CUSTOMER)


def test_the_cookie_sends_a_file_as_a_token_does(pages: PageSite) -> None:
    cookie = pages.launch()
    created = pages.create(cookie, 5, **OWN)
    assert created.status == 201
    path = created.headers["Location"]
    part = {**TUS, **OWN, "Content-Type": PART, "Upload-Offset": "0"}
    assert pages.ask("PATCH", path, cookie=cookie, headers=part, body=b"hello").status == 204
    assert pages.ask("HEAD", path, cookie=cookie, headers=TUS).headers["Upload-Offset"] == "5"
    assert pages.ask("GET", path, cookie=cookie).body == b"hello"
    assert [entry.actor for entry in pages.run(pages.services.audited("C-1")) if entry.action.startswith("upload.")] == [
        ADA.actor_name
    ] * 2


ORIGINS = [
    ({}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Origin": "own"}, True),
    ({"Origin": "null"}, False),
    ({"Origin": PORTAL}, False),
    ({"Origin": "http://own"}, False),
    ({"Origin": "https://localhost"}, False),
    ({"Origin": "own", "Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": PORTAL, "Sec-Fetch-Site": "same-origin"}, False),
    ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True),
]


@pytest.mark.parametrize(("said", "is_taken"), ORIGINS)
def test_a_change_by_cookie_needs_the_page_itself_to_ask(pages: PageSite, said: dict[str, str], is_taken: bool) -> None:
    own = f"localhost:{pages.server.port}"
    headers = {name: {"own": f"https://{own}", "http://own": f"http://{own}"}.get(value, value) for name, value in said.items()}
    cookie = pages.launch()
    upload = pages.run(pages.services.begin("C-1", "a.log", b"abc", 10))
    part = {**TUS, "Content-Type": PART, "Upload-Offset": "3", **headers}
    wanted = (201, 204, 204, 204) if is_taken else (403, 403, 403, 403)
    answers = (
        pages.create(cookie, **headers),
        pages.ask("PATCH", f"/files/{upload}", cookie=cookie, headers=part, body=b"def"),
        pages.ask(
            "POST",
            f"/files/{upload}",
            cookie=cookie,
            headers={**part, "Upload-Offset": "6", "X-HTTP-Method-Override": "PATCH"},
            body=b"ghi",
        ),
        pages.ask("DELETE", f"/files/{upload}", cookie=cookie, headers={**TUS, **headers}),
    )
    assert tuple(answer.status for answer in answers) == wanted
    if not is_taken:
        assert {answer.code for answer in answers} == {"cross-origin"}
        (left,) = pages.state(cookie)["uploads"]
        assert (left["id"], left["offset"]) == (upload, 3)


def test_a_get_that_overrides_its_method_is_a_change(pages: PageSite) -> None:
    cookie = pages.launch()
    upload = pages.run(pages.services.begin("C-1", "a.log", b"abc", 10))
    answer = pages.ask("GET", f"/files/{upload}", cookie=cookie, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert (answer.status, answer.code) == (403, "cross-origin")


@pytest.mark.parametrize("foreign", [{"Origin": PORTAL}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_nothing_is_read_by_cookie_from_another_origin(pages: PageSite, foreign: dict[str, str]) -> None:
    stored = pages.run(pages.services.store("C-1", "a.log", b"hello"))
    cookie = pages.launch()
    for path in (f"/files/{stored.id}", "/transfer/C-1/state", f"/transfer/C-1/attachments/{stored.id}", "/transfer/C-1"):
        answer = pages.ask("GET", path, cookie=cookie, headers=foreign)
        assert answer.status == 401, path
        assert "Access-Control-Allow-Credentials" not in answer.headers
    followed = {**foreign, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
    followed.pop("Origin", None)
    assert pages.ask("GET", "/transfer/C-1", cookie=cookie, headers=followed).status == 200


def test_a_token_needs_no_origin_and_outweighs_a_cookie(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    token, _ = pages.run(pages.services.tokens.issue_upload("C-2", 60, ADA.source, STAFF))
    created = pages.create(pages.launch(), Authorization=f"Bearer {token}", Origin=PORTAL)
    assert created.status == 201
    assert [upload.case_id for upload in pages.run(pages.services.transfers.unfinished("C-2"))] == ["C-2"]
    bad = pages.create(pages.launch(), Authorization="Bearer nonsense", **OWN)
    assert (bad.status, bad.code) == (401, "unauthenticated")


def test_no_cookie_two_cookies_and_dead_ones_let_nobody_in(pages: PageSite) -> None:
    cookie = pages.launch()
    value = cookie.partition("=")[2]
    for sent in (
        None,
        f"{cookie}; {cookie[:-1]}x",
        f"__Host-eft-emea={value}",
        f"eft-us={value}",
        f"__Host-eft-us={value[:-1]}",
        "__Host-eft-us=",
    ):
        answer = pages.create(sent, **OWN)
        assert (answer.status, answer.code) == (401, "unauthenticated"), sent
    assert pages.create(f"theme=dark; {cookie}; a=b", **OWN).status == 201
    pages.services.clock.advance(timedelta(days=1))
    assert pages.create(cookie, **OWN).status == 401


# Several cases in one browser.


def test_two_cases_of_one_person_work_side_by_side(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    first = pages.launch("C-1")
    second = pages.launch("C-2", cookie=first)
    assert second == first
    assert [pages.page(case, first).status for case in ("C-1", "C-2")] == [200, 200]
    unnamed = pages.create(first, **OWN)
    assert (unnamed.status, unnamed.code) == (400, "case-missing")
    paths = {case: pages.create(first, Eft_Case=case, **OWN).headers["Location"] for case in ("C-1", "C-2")}
    for case, path in paths.items():
        assert [f"/files/{upload['id']}" for upload in pages.state(first, case)["uploads"]] == [path]
        # A page that does not name its case is understood where the upload has one.
        assert pages.ask("HEAD", path, cookie=first, headers=TUS).status == 200
        other = "C-1" if case == "C-2" else "C-2"
        assert pages.ask("HEAD", path, cookie=first, headers={**TUS, "Eft-Case": case}).status == 200
        assert pages.ask("HEAD", path, cookie=first, headers={**TUS, "Eft-Case": other}).status == 404


def test_no_header_reaches_a_case_that_was_not_opened(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    upload = pages.run(pages.services.begin("C-2", "secret.log", b"abc", 10))
    cookie = pages.launch("C-1")
    for case in ("C-2", "C-404", "", "C-1 "):
        assert pages.create(cookie, Eft_Case=case, **OWN).status == (201 if case == "C-1 " else 404)
    for headers in ({}, {"Eft-Case": "C-1"}, {"Eft-Case": "C-2"}):
        for method in ("HEAD", "GET", "DELETE"):
            answer = pages.ask(method, f"/files/{upload}", cookie=cookie, headers={**TUS, **OWN, **headers})
            assert answer.status == 404
    assert len(pages.run(pages.services.transfers.unfinished("C-2"))) == 1


@pytest.mark.parametrize("person", [OTHER, Person("Ada", "ada@example.com", Role.STAFF), GRACE])
def test_another_persons_launch_ends_the_session_before_it(pages: PageSite, person: Person) -> None:
    pages.run(pages.services.open_case("C-2"))
    first = pages.launch("C-1")
    second = pages.launch("C-2", person, cookie=first)
    assert second != first
    assert pages.page("C-1", first).status == 401
    assert pages.page("C-1", second).status == 401
    assert pages.page("C-2", second).status == 200


def test_closing_one_case_leaves_the_other_open(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    cookie = pages.launch("C-1")
    pages.launch("C-2", cookie=cookie)
    pages.run(pages.services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF))
    refused = pages.create(cookie, Eft_Case="C-1", **OWN)
    assert (refused.status, refused.code) == (403, "case-closed")
    metadata = f"filename {encoded('b.log')}"
    assert pages.create(cookie, Eft_Case="C-2", Upload_Metadata=metadata, **OWN).status == 201
