"""The Transfer Files page: how it opens, what it shows, and what it says where it does not open."""

from __future__ import annotations

from datetime import timedelta
import json
from pathlib import Path
import re

import pytest

from eft.db import attachments
from eft.domain.case import CaseStatus, SubStatus
from eft.domain.upload import Source
from eft.http_resumable.page_assets import Build
from tests.fixtures.services import STAFF
from tests.fixtures.tls import Certificates
from tests.unit.http.page_site import BROWSER, GRACE, OWN, PORTAL, TUS, PageSite, code_in, page_site
from tests.unit.http.tus_site import PART, Told, encoded

JSON = {"Accept": "application/json"}


def carried(answer: Told) -> dict[str, object]:
    """The document in the page's data block."""
    found = re.search(r'<script type="application/json" id="eft-page">(.*?)</script>', answer.body.decode(), re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_a_launch_leads_to_a_clean_address_with_a_cookie_that_scripts_cannot_see(pages: PageSite) -> None:
    answer = pages.ask("GET", pages.ticket(), headers=BROWSER)
    assert (answer.status, answer.headers["Location"], answer.body) == (303, "/transfer/C-1", b"")
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith("__Host-eft-us=eft_us_page_")
    assert set(attributes) == {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert pages.page(cookie=name).status == 200


def test_the_page_is_served_under_a_policy_that_allows_nothing_inline_or_foreign(pages: PageSite) -> None:
    answer = pages.page(cookie=pages.launch())
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    text = answer.body.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! type=\"application/json\")[^>]*>[^<]", text)


def test_the_page_carries_what_state_tells(pages: PageSite) -> None:
    stored = pages.run(pages.services.store("C-1", "dir/ä.log", b"hello"))
    unfinished = pages.run(pages.services.begin("C-1", "core.dump", b"abc", 10))
    cookie = pages.launch()
    told = pages.state(cookie)
    assert carried(pages.page(cookie=cookie)) == told
    assert told == {
        "case": {
            "id": "C-1",
            "subject": "Crash",
            "status": "open",
            "sub_status": None,
            "closed_at": None,
            "purge_at": None,
            "purge": "none",
        },
        "region": "us",
        "actor": {"name": "Ada L.", "role": "customer"},
        "portal_url": PORTAL,
        "chunk_bytes": 16 * 1024 * 1024,
        "uploads": [
            {
                "id": unfinished,
                "name": "core.dump",
                "offset": 3,
                "length": 10,
                "state": "receiving",
                "source": "https",
                "created_at": "2026-11-23T12:00:00Z",
                "expires_at": "2026-12-07T12:00:00Z",
                "fingerprint": None,
            }
        ],
        "attachments": [
            {
                "id": stored.id,
                "name": "dir/ä.log",
                "size": 5,
                "sha256": stored.sha256,
                "source": "https",
                "completeness": "declared",
                "state": "available",
                "received_at": "2026-11-23T12:00:00Z",
                "purge_at": None,
                "gone_at": None,
                "disputed_sha256": None,
                "href": f"/transfer/C-1/attachments/{stored.id}",
                "receipt_href": f"/transfer/C-1/attachments/{stored.id}/receipt",
            }
        ],
        "more": False,
    }


@pytest.mark.parametrize(("value", "told"), [("ab12" * 16, "ab12" * 16), ("x" * 200, "x" * 128), ("ä", None)])
def test_the_fingerprint_that_a_page_sent_comes_back(pages: PageSite, value: str, told: str | None) -> None:
    cookie = pages.launch()
    metadata = f"filename {encoded('a.log')},fingerprint {encoded(value)}"
    assert pages.create(cookie, Upload_Metadata=metadata, **OWN).status == 201
    assert [upload["fingerprint"] for upload in pages.state(cookie)["uploads"]] == [told]


def test_names_cannot_break_out_of_the_page(pages: PageSite) -> None:
    hostile = "</script><script>alert(1)</script>&amp;'\"<!--<img src=x>.log"
    pages.run(pages.services.store("C-1", hostile.replace("/", "∕"), b"x"))
    pages.run(
        pages.services.cases.put(
            "C-1", organisation="E", subject="</script><b onclick=x>\u2028", status=CaseStatus.OPEN, closed_at=None, actor=STAFF
        )
    )
    answer = pages.page(cookie=pages.launch())
    assert carried(answer)["case"]["subject"] == "</script><b onclick=x>\u2028"  # type: ignore[index]
    text = answer.body.decode()
    assert text.count("<script") == 1
    assert "<b onclick" not in text
    assert "<img src=x" not in text
    assert "<!--" not in text


def test_a_file_that_its_digest_file_contradicts_is_shown_as_disputed(pages: PageSite) -> None:
    stored = pages.run(pages.services.store("C-1", "a.log", b"hello"))
    pages.run(pages.services.database.write(lambda conn: attachments.dispute(conn, stored.id, "ab" * 32)))
    cookie = pages.launch()
    assert pages.state(cookie)["attachments"][0]["disputed_sha256"] == "ab" * 32
    assert "its digest file says <code>" + "ab" * 32 in pages.page(cookie=cookie).body.decode()


def test_what_staff_send_from_the_page_comes_from_support(pages: PageSite) -> None:
    cookie = pages.launch(person=GRACE)
    path = pages.create(cookie, 3, **OWN).headers["Location"]
    part = {**TUS, **OWN, "Content-Type": PART, "Upload-Offset": "0"}
    assert pages.ask("PATCH", path, cookie=cookie, headers=part, body=b"fix").status == 204
    (told,) = pages.state(cookie)["attachments"]
    assert told["source"] == Source.SUPPORT
    attachment = pages.run(pages.services.transfers.attachment(told["id"]))
    assert attachment.actor == "staff:grace@example.com"


# Links that open nothing.


def test_a_ticket_is_used_up_by_the_first_get(pages: PageSite) -> None:
    path = pages.ticket()
    assert pages.ask("GET", path).status == 303
    again = pages.ask("GET", path, headers=BROWSER)
    assert (again.status, code_in(again)) == (410, "launch-used")
    assert "Set-Cookie" not in again.headers
    assert f'href="{PORTAL}"' in again.body.decode()


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 204),
        ("GET", {"Sec-Purpose": "prefetch"}, 503),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}, 503),
        ("GET", {"Purpose": "prefetch"}, 503),
        ("GET", {"X-Moz": "prefetch"}, 503),
        ("POST", {}, 405),
        ("OPTIONS", {}, 405),
    ],
)
def test_looking_ahead_does_not_use_a_ticket_up(pages: PageSite, method: str, headers: dict[str, str], status: int) -> None:
    path = pages.ticket()
    looked = pages.ask(method, path, headers=headers)
    assert (looked.status, "Set-Cookie" in looked.headers) == (status, False)
    assert pages.ask("GET", path).status == 303


def test_an_expired_ticket_says_so_for_a_day(pages: PageSite) -> None:
    path = pages.ticket()
    pages.services.clock.advance(timedelta(seconds=60))
    answer = pages.ask("GET", path, headers=BROWSER)
    assert (answer.status, code_in(answer)) == (410, "launch-expired")
    assert "60 seconds" in answer.body.decode()
    pages.services.clock.advance(timedelta(days=2))
    pages.run(pages.services.launches.forget_expired())
    answer = pages.ask("GET", path, headers=BROWSER)
    assert (answer.status, code_in(answer)) == (410, "launch-unknown")


@pytest.mark.parametrize(
    "ticket", ["", "x", "eft_us_api_" + "a" * 43, "eft_us_launch_" + "a" * 42, "eft_us_launch_" + "a" * 43 + "/x"]
)
def test_what_is_no_ticket_is_not_found(pages: PageSite, ticket: str) -> None:
    answer = pages.ask("GET", f"/launch/{ticket}", headers=BROWSER)
    assert (answer.status, code_in(answer)) == (404, "not-found")


def test_another_regions_ticket_is_sent_there(pages: PageSite) -> None:
    path = "/launch/eft_emea_launch_" + "a" * 43
    told = pages.ask("GET", path)
    assert (told.status, told.code) == (421, "wrong-region")
    assert (told.problem["region"], told.problem["url"]) == ("emea", "https://eftgateway-emea.example:8442")
    shown = pages.ask("GET", path, headers=BROWSER)
    assert (shown.status, code_in(shown)) == (421, "wrong-region")
    assert "https://eftgateway-emea.example:8442" in shown.body.decode()


# Pages that do not open.


def test_without_a_cookie_the_page_names_both_reasons(pages: PageSite) -> None:
    answer = pages.page()
    text = answer.body.decode()
    assert (answer.status, code_in(answer)) == (401, "no-session")
    assert 'id="cookies-off"' in text
    assert 'id="not-signed-in"' in text
    assert '<script src="/static/cookies.js" defer></script>' in text
    assert f'href="{PORTAL}"' in text
    assert pages.ask("GET", "/static/cookies.js").status == 200


def test_a_session_that_is_over_says_so(pages: PageSite) -> None:
    cookie = pages.launch()
    pages.services.clock.advance(timedelta(hours=24))
    for sent in (cookie, "__Host-eft-us=eft_us_page_" + "a" * 43, "__Host-eft-us=x"):
        answer = pages.page(cookie=sent)
        assert (answer.status, code_in(answer)) == (401, "session-ended")
        told = pages.ask("GET", "/transfer/C-1/state", cookie=sent, headers=OWN)
        assert (told.status, told.code) == (401, "unauthenticated")


def test_a_case_that_was_not_opened_here_says_no_more_than_that(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    cookie = pages.launch()
    answers = [pages.page(case, cookie) for case in ("C-2", "C-404")]
    assert [(answer.status, code_in(answer)) for answer in answers] == [(401, "other-case")] * 2
    assert answers[0].body == answers[1].body
    assert pages.ask("GET", "/transfer/C-2/state", cookie=cookie, headers=OWN).status == 401


def test_a_program_is_told_the_same_as_a_problem(pages: PageSite) -> None:
    told = pages.ask("GET", "/transfer/C-1", headers=JSON)
    assert (told.status, told.code) == (401, "no-session")
    path = pages.ticket()
    pages.ask("GET", path)
    assert pages.ask("GET", path, headers=JSON).code == "launch-used"


@pytest.mark.parametrize(
    "path", ["/transfer", "/transfer/", "/transfer/C-1/", "/transfer/C-1/x", "/transfer/C%201", "/transfer/" + "x" * 65]
)
def test_an_address_that_is_none_is_not_found(pages: PageSite, path: str) -> None:
    answer = pages.ask("GET", path, cookie=pages.launch(), headers=BROWSER)
    assert (answer.status, code_in(answer)) == (404, "not-found")


def test_without_a_portal_people_are_sent_back_in_words(certificates: Certificates, tmp_path: Path) -> None:
    with page_site(tmp_path, certificates, portal_url=None) as pages:
        text = pages.page().body.decode()
        assert "Go back to the case page you came from." in text
        assert pages.state(pages.launch())["portal_url"] is None


def test_the_page_loads_the_built_script_and_works_without_it(certificates: Certificates, tmp_path: Path) -> None:
    build = Build(("/assets/transfer-abc12345.js",), ("/assets/transfer-abc12345.css",))
    with page_site(tmp_path, certificates, build=build) as pages:
        text = pages.page(cookie=pages.launch()).body.decode()
        assert '<script type="module" src="/assets/transfer-abc12345.js"></script>' in text
        assert '<link rel="stylesheet" href="/assets/transfer-abc12345.css">' in text
        assert '<section id="plain-form">' in text


# What becomes of the case.


@pytest.mark.parametrize(
    ("sub_status", "to_do"),
    [(SubStatus.RESOLVED, "press Request to Re-open"), (SubStatus.NO_RESPONSE, "Telephone Customer Care")],
)
def test_a_case_closed_meanwhile_takes_nothing_and_says_what_to_do(pages: PageSite, sub_status: SubStatus, to_do: str) -> None:
    stored = pages.run(pages.services.store("C-1", "a.log", b"hello"))
    cookie = pages.launch()
    pages.run(pages.services.cases.close("C-1", sub_status=sub_status, comment="", actor=STAFF))
    answer = pages.page(cookie=cookie)
    assert (answer.status, code_in(answer)) == (200, "case-closed")
    assert to_do in answer.body.decode()
    assert "<form" not in answer.body.decode()
    refused = pages.create(cookie, **OWN)
    assert (refused.status, refused.code) == (403, "case-closed")
    state = pages.state(cookie)
    assert (state["case"]["status"], state["case"]["purge_at"]) == ("closed", "2026-12-23T12:00:00Z")
    assert pages.ask("GET", f"/transfer/C-1/attachments/{stored.id}", cookie=cookie).body == b"hello"


def test_a_ticket_of_a_case_closed_within_its_minute_still_shows_why(pages: PageSite) -> None:
    path = pages.ticket()
    pages.run(pages.services.cases.close("C-1", sub_status=SubStatus.CANCELLED, comment="", actor=STAFF))
    answer = pages.ask("GET", path)
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    assert code_in(pages.page(cookie=cookie)) == "case-closed"


# Downloads.


def test_a_file_is_downloaded_whole_and_in_ranges_and_audited_by_person(pages: PageSite) -> None:
    stored = pages.run(pages.services.store("C-1", "fix é.bin", b"0123456789", Source.SUPPORT))
    cookie = pages.launch()
    path = pages.state(cookie)["attachments"][0]["href"]
    whole = pages.ask("GET", path, cookie=cookie)
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert whole.headers["Content-Disposition"].startswith("attachment;")
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert whole.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    part = pages.ask("GET", path, cookie=cookie, headers={"Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert pages.ask("HEAD", path, cookie=cookie).headers["Content-Length"] == "10"
    downloads = [entry for entry in pages.run(pages.services.audited("C-1")) if entry.action == "attachment.download"]
    assert [(entry.actor, entry.subject, entry.detail) for entry in downloads] == [
        ("customer:ada@example.com", stored.id, {}),
        ("customer:ada@example.com", stored.id, {"range": "bytes 2-4/10"}),
    ]


def test_another_cases_file_is_not_found_and_a_deleted_one_is_gone(pages: PageSite) -> None:
    pages.run(pages.services.open_case("C-2"))
    other = pages.run(pages.services.store("C-2", "secret.log", b"secret"))
    gone = pages.run(pages.services.store("C-1", "old.log", b"old"))
    pages.run(pages.services.transfers.delete(gone.id, actor=STAFF))
    cookie = pages.launch()
    assert pages.ask("GET", f"/transfer/C-1/attachments/{other.id}", cookie=cookie).status == 404
    assert pages.ask("GET", f"/transfer/C-2/attachments/{other.id}", cookie=cookie).status == 401
    assert pages.ask("GET", f"/transfer/C-1/attachments/{gone.id}", cookie=cookie).status == 410
    assert pages.ask("GET", f"/transfer/C-1/attachments/{gone.id}").status == 401
    (listed,) = pages.state(cookie)["attachments"]
    assert (listed["href"], listed["gone_at"]) == (None, "2026-11-23T12:00:00Z")
    assert "deleted 2026-11-23 12:00 UTC" in pages.page(cookie=cookie).body.decode()


def test_who_reads_pages_is_told_in_one_that_the_name_is_wrong(pages: PageSite) -> None:
    shown = pages.ask("GET", "/transfer/C-1", headers={**BROWSER, "Host": "elsewhere.example"})
    assert (shown.status, code_in(shown), shown.headers["Content-Type"]) == (421, "wrong-host", "text/html; charset=utf-8")
    told = pages.ask("GET", "/transfer/C-1", headers={"Host": "elsewhere.example", "Accept": "application/json"})
    assert (told.status, told.code) == (421, "wrong-host")


def test_who_reads_pages_is_told_in_one_that_nothing_is_there(pages: PageSite) -> None:
    shown = pages.ask("GET", "/nowhere", headers=BROWSER)
    assert (shown.status, code_in(shown)) == (404, "not-found")
