"""The Transfer Files page in Chromium: what it says when something is in the way, and that it works for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import re
import secrets
import zipfile

from playwright.sync_api import BrowserContext, FileChooser, Page, expect
import pytest

from tests.browser.people import Complaints, Person, pick, transfer_url, verified
from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import CUSTOMER, ORGANISATION, STAFF, Portal
from tests.stories.contents import MIB, Source, dense
from tests.stories.sftp_customer import sftp_customer
from tests.stories.waiting import listed, published, until

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

NewContext = Callable[..., BrowserContext]


@pytest.fixture
def case(us: Gateway) -> str:
    return new_case(us)


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Nothing may be complained of, except an answer that the test asked for."""
    made = Complaints()
    yield made
    assert [said for said in made.heard if "Failed to load resource: the server responded with" not in said] == []


@pytest.fixture
def customer(portal: Portal, new_context: NewContext, complaints: Complaints) -> Person:
    context = new_context()
    complaints.watch(context)
    return Person(portal, context, CUSTOMER).sign_in()


def new_case(gateway: Gateway) -> str:
    case_id = f"CS-{secrets.token_hex(4)}"
    gateway.call("PUT", f"cases/{case_id}", {"organisation": ORGANISATION, "subject": "Calls drop", "status": "open"})
    return case_id


def open_window(person: Person, gateway: Gateway, case_id: str) -> Page:
    # The list of cases may be a few seconds old; the page of a case never is.
    person.page.goto(f"{person.portal.url}/cases/{case_id}")
    return person.press_transfer_files(gateway, case_id)


def launch(gateway: Gateway, case_id: str, role: str = "customer") -> str:
    name, email = (CUSTOMER if role == "customer" else STAFF)[1::-1]
    url: str = gateway.call("POST", f"cases/{case_id}/launch", {"actor": {"name": name, "email": email, "role": role}})["url"]
    return url


def check_message(page: Page, portal: Portal, code: str, *said: str) -> None:
    """A page that says what happened, what to do, and leads back."""
    message = page.locator(f"[data-code={code}]")
    for text in said:
        expect(message.get_by_text(text)).to_be_visible()
    expect(page.get_by_role("link", name="Go to the portal")).to_have_attribute("href", re.compile(re.escape(portal.url)))


def test_a_ticket_opens_the_page_once(us: Gateway, portal: Portal, case: str, new_context: NewContext) -> None:
    url = launch(us, case)
    first, second = new_context().new_page(), new_context().new_page()
    first.goto(url)
    expect(first.locator("#transfer .uppy-Dashboard")).to_be_visible()
    answer = second.goto(url)
    assert answer is not None
    assert answer.status == 410
    check_message(second, portal, "launch-used", "This link was used already", "press Transfer Files again")
    expect(first.locator("#transfer .uppy-Dashboard")).to_be_visible()


def test_without_cookies_the_page_says_so(us: Gateway, portal: Portal, case: str, new_context: NewContext) -> None:
    context = new_context()
    # What a browser does that accepts no cookies: it sends none, and scripts see that they are off.
    context.add_init_script("Object.defineProperty(Navigator.prototype, 'cookieEnabled', {get: () => false});")
    context.route(re.compile("/transfer/"), lambda route: route.continue_(headers={**route.request.headers, "cookie": ""}))
    page = context.new_page()
    page.goto(launch(us, case))
    context.clear_cookies()
    page.goto(transfer_url(us, case))
    check_message(page, portal, "no-session", "Are cookies switched off?", "Allow cookies for this site")
    expect(page.locator("#not-signed-in")).to_be_hidden()


def test_a_case_closed_meanwhile_is_said_and_nothing_asks_for_files(us: Gateway, customer: Person, case: str) -> None:
    window = open_window(customer, us, case)
    us.call("POST", f"cases/{case}/close", {"sub_status": "cancelled", "comment": "By telephone."})
    window.evaluate("() => window.dispatchEvent(new Event('focus'))")
    notice = window.get_by_test_id("notice")
    expect(notice).to_contain_text("This case has been closed.")
    expect(notice).to_contain_text("Request to re-open the case in the portal")
    expect(window.locator(".uppy-Dashboard")).to_be_hidden()
    us.call("POST", f"cases/{case}/reopen", {"reason": "It came back.", "actor": "customer"})
    window.reload()
    expect(window.locator(".uppy-Dashboard")).to_be_visible()
    expect(window.get_by_test_id("notice")).to_have_count(0)


def test_two_cases_in_two_pop_ups_each_get_their_own_files(us: Gateway, customer: Person, case: str, tmp_path: Path) -> None:
    cases = [case, new_case(us)]
    windows = [open_window(customer, us, each) for each in cases]
    files = [dense(tmp_path / f"log-{number}", number, 2 * MIB + number) for number in (1, 2)]
    for window, file in zip(windows, files, strict=True):
        pick(window, file.path)
    for window, file, each in zip(windows, files, cases, strict=True):
        assert verified(window, file.path.name) == file.sha256
        assert {name: item["sha256"] for name, item in listed(us, each).items()} == {file.path.name: file.sha256}


def test_the_keyboard_alone_uploads_and_downloads(us: Gateway, customer: Person, case: str, tmp_path: Path) -> None:
    us.call("POST", f"cases/{case}/attachments?name=fix.zip", b"the fix")
    window = open_window(customer, us, case)
    file = dense(tmp_path / "core.dump", 8, 3 * MIB)
    # Listened for well before the key is pressed: whoever begins to listen with it may be too late.
    choosers: list[FileChooser] = []
    window.on("filechooser", lambda chooser: choosers.append(chooser))
    window.keyboard.press("Tab")
    tab_to(window, "choose files")
    window.keyboard.press("Enter")
    for _ in range(100):
        if choosers:
            break
        window.wait_for_timeout(100)
    choosers[0].set_files(file.path)
    assert verified(window, "core.dump") == file.sha256
    expect(window.locator("[aria-live=polite].eft-area")).to_contain_text("core.dump arrived and verified.")
    tab_to(window, "fix.zip")
    with window.expect_download() as saved:
        window.keyboard.press("Enter")
    assert saved.value.path().read_bytes() == b"the fix"


def test_the_list_offers_receipts_and_one_archive_and_says_what_is_disputed(
    us: Gateway, customer: Person, case: str, tmp_path: Path
) -> None:
    sftp = sftp_customer(us, case, tmp_path)
    file = dense(tmp_path / "core.dump", 11, MIB + 1)
    sftp.ok(f"put {file.path} core.dump")
    published(us, case, "core.dump")
    said_later = tmp_path / "core.dump.sha256"
    said_later.write_text(f"{'0' * 64}  core.dump\n")
    sftp.ok(f"put {said_later} core.dump.sha256")
    until(lambda: listed(us, case)["core.dump"]["disputed_sha256"])
    window = open_window(customer, us, case)
    row = window.locator('[data-testid=attachment][data-name="core.dump"]')
    expect(row).to_contain_text("Disputed.")
    expect(row).to_contain_text("0" * 64)
    with window.expect_download() as saved:
        row.get_by_role("link", name="receipt of core.dump").click()
    assert saved.value.path().read_text().count(".") == 2
    with window.expect_download() as saved:
        window.get_by_role("link", name="Download all").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.read("core.dump") == file.path.read_bytes()


def test_the_plain_form_sends_files_without_scripts(
    us: Gateway, portal: Portal, case: str, new_context: NewContext, tmp_path: Path
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(launch(us, case))
    files: list[Source] = [dense(tmp_path / "a trace.log", 1, 3 * MIB + 5), dense(tmp_path / "größe.bin", 2, 70_000)]
    page.get_by_label("Files", exact=True).set_input_files([file.path for file in files])
    page.get_by_role("button", name="Send").click()
    received = page.locator("#received li")
    expect(received).to_have_count(2)
    for file in files:
        expect(received.filter(has_text=file.path.name)).to_contain_text(file.sha256)
    assert {name: item["sha256"] for name, item in listed(us, case).items()} == {file.path.name: file.sha256 for file in files}
    page.get_by_role("link", name="Back to the files of the case").click()
    expect(page.get_by_role("link", name="a trace.log")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_window(
    us: Gateway,
    portal: Portal,
    case: str,
    new_context: NewContext,
    complaints: Complaints,
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    name = "a-name-without-any-place-to-break-it-as-programs-like-to-write-them-" + "x" * 90 + ".pcapng"
    us.call("POST", f"cases/{case}/attachments?name=fix-{name}", b"the fix")
    context = new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    complaints.watch(context)
    page = context.new_page()
    ticket = launch(us, case)
    page.goto(ticket)
    pick(page, dense(tmp_path / name, 9, MIB).path)
    verified(page, name)
    check_width(page, tmp_path / "transfer.png")
    for path in (ticket, transfer_url(us, "NOT-MINE"), transfer_url(us, case).replace("/transfer/", "/nothing/")):
        page.goto(path)
        check_width(page, tmp_path / "message.png")


def check_width(page: Page, picture: Path) -> None:
    page.screenshot(path=picture, full_page=True)
    wide, window = page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, f"{page.url}: {picture}"


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until what has that name has the focus, and can be seen to have it."""
    for _ in range(60):
        text = page.evaluate("() => document.activeElement.innerText ?? ''")
        if text.strip() == name:
            assert page.evaluate("() => document.activeElement.matches(':focus-visible')")
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{name} cannot be reached by Tab")
