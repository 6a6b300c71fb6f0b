"""The README's story, from the button to the purge: a portal, a gateway that dies, Chromium, OpenSSH's sftp and `eft send`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
import hashlib
import os
from pathlib import Path
import subprocess
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect
import pytest

from tests.browser.installation import Installation, running_installation
from tests.browser.people import Complaints, Person, pick, pick_again, pictures_of_failure, slow_line, told_verified, verified
from tests.fixtures.gateway import EFT, Gateway
from tests.fixtures.portal import CUSTOMER, ORGANISATION, STAFF
from tests.stories.contents import MIB, Source, dense, sparse
from tests.stories.sftp_customer import SftpCustomer, kill
from tests.stories.waiting import listed, published, refusal, unfinished, until

pytestmark = pytest.mark.needs("chromium", "sftp", "faketime")

CASE = "CS-4711"
PART = 16 * MIB


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path) as made:
        yield made


@pytest.mark.timeout(420)
def test_from_the_button_to_the_purge(
    installation: Installation, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    files = [
        dense(tmp_path / "core.4211.dump", 1, 72 * MIB + 11),
        dense(tmp_path / "agent trace.pcapng", 2, 40 * MIB),
        dense(tmp_path / "gateway.log", 3, 18 * MIB + 1),
    ]
    tell_the_story(installation, new_context, tmp_path, files)


@pytest.mark.soak
def test_from_the_button_to_the_purge_with_a_file_beyond_a_gigabyte(
    installation: Installation, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    files = [
        sparse(tmp_path / "core.4211.dump", 1200 * MIB + 11),
        dense(tmp_path / "agent trace.pcapng", 2, 200 * MIB),
        dense(tmp_path / "gateway.log", 3, 64 * MIB + 1),
    ]
    tell_the_story(installation, new_context, tmp_path, files)


def tell_the_story(
    installation: Installation, new_context: Callable[..., BrowserContext], work: Path, files: list[Source]
) -> None:
    us, portal = installation.us, installation.portal
    us.call("PUT", f"cases/{CASE}", {"organisation": ORGANISATION, "subject": "Calls drop", "status": "open"})
    complaints = Complaints()
    contexts = [new_context(accept_downloads=True) for _ in range(2)]
    for context in contexts:
        complaints.watch(context)
    customer, staff = Person(portal, contexts[0], CUSTOMER), Person(portal, contexts[1], STAFF)
    with pictures_of_failure(work, customer, staff):
        customer.sign_in().open_case(CASE)
        window = customer.press_transfer_files(us, CASE)
        send_by_the_button(us, window, files)
        account = get_an_account(customer, staff)
        by_sftp = dense(work / "media.core", 4, 20 * MIB + 77)
        send_by_sftp(us, work, account, by_sftp)
        by_command = dense(work / "config.tar", 5, 6 * MIB + 5)
        send_by_command(us, customer, work, by_command)
        sent = {source.path.name: source for source in (*files, by_sftp, by_command)}
        check_received(us, sent)
        fix = dense(work / "fix 4.2.1.zip", 6, 5 * MIB)
        hand_back(us, customer, staff, fix, window)
        staff_download(us, staff, sent)
        close(customer)
        everything = {**sent, fix.path.name: fix}
        thirty_days_pass(installation, window, account, everything)
        what_is_left(installation, customer, everything)
    assert complaints.of_policy == []


def send_by_the_button(us: Gateway, window: Page, files: list[Source]) -> None:
    """All at once, while the gateway is killed and started again, and the page is reloaded."""
    sources = {source.path.name: source for source in files}
    large = files[0].path.name
    patience_ms = max(60_000, sum(source.size for source in files) / MIB * 400)
    window.on("dialog", lambda dialog: dialog.accept())
    with slow_line(window, sum(source.size for source in files) / 15):
        pick(window, *(source.path for source in files))
        expect(window.get_by_test_id("visit-row")).to_have_count(len(files))
        until(lambda: set(unfinished(us, CASE)), lambda begun: begun == set(sources), within_s=90)  # all of them at the same time
        until(lambda: unfinished(us, CASE).get(large, {}).get("offset", 0), lambda offset: offset >= PART, within_s=90)
        row = window.locator(f'[data-testid=visit-row][data-name="{large}"]')
        expect(row.get_by_role("progressbar")).to_be_visible()
        expect(row.locator(".eft-speed")).to_contain_text("/s")
        expect(row.locator(".eft-left")).to_contain_text("left")

        us.kill()
        expect(window.get_by_test_id("notice")).to_contain_text("The gateway cannot be reached. Nothing is lost.", timeout=30_000)
        us.start()
        before = unfinished(us, CASE)[large]["offset"]
        assert before >= PART, "what was acknowledged is there"
        expect(window.get_by_test_id("notice")).to_have_count(0, timeout=30_000)
        until(lambda: unfinished(us, CASE)[large]["offset"], lambda offset: offset > before, within_s=90)

        shown = told_verified(window)
        window.reload()
    rows = window.get_by_test_id("unfinished-row")
    expect(rows.first).to_be_visible()
    # What was on its way when the page was left may arrive after it has been drawn again.
    until(
        lambda: ({row.get_attribute("data-name") for row in rows.all()}, receiving(us)),
        lambda names: names[0] == names[1],
        within_s=30,
    )
    begun = receiving(us)
    assert large in begun, "the page names what to pick again"
    for name in begun:
        pick_again(window, name, sources[name].path)
        row = window.locator(f'[data-testid=visit-row][data-name="{name}"]')
        expect(row).to_contain_text("where it stopped")
    for name in begun:
        shown[name] = verified(window, name, patience_ms)
    expect(rows).to_have_count(0)
    for name in set(sources) - set(shown):
        # Arrived whole in the moment of the reload: the list of the case has its digest.
        item = window.locator(f'[data-testid=attachment][data-name="{name}"]')
        shown[name] = item.get_by_test_id("sha256").inner_text()
    assert shown == {name: source.sha256 for name, source in sources.items()}
    assert {name: item["completeness"] for name, item in listed(us, CASE).items()} == dict.fromkeys(sources, "declared")


def receiving(us: Gateway) -> set[str]:
    return {name for name, item in unfinished(us, CASE).items() if item["state"] == "receiving"}


def get_an_account(customer: Person, staff: Person) -> dict[str, Any]:
    """The customer asks, staff create, the customer reveals: what the case page then shows."""
    page = customer.open_case(CASE)
    page.get_by_role("button", name="Request a temporary account").click()
    expect(page.get_by_text("You asked for an account")).to_be_visible()
    staff.sign_in()
    staff.page.get_by_role("link", name="Queue").click()
    staff.page.locator("li", has_text=CASE).get_by_role("button", name="Create the account").click()
    page = customer.open_case(CASE)
    page.get_by_role("button", name="Show the password").click()
    section = page.locator("#account")
    expect(section.get_by_text("SHA256:").first).to_be_visible()
    return {
        "username": page.locator("#sftp-user").inner_text(),
        "password": page.locator("#sftp-password").inner_text(),
        "line": section.locator("pre").first.inner_text(),
    }


def send_by_sftp(us: Gateway, work: Path, account: dict[str, Any], source: Source) -> None:
    """With a line that is cut, and `reput` after it."""
    name = source.path.name
    client = SftpCustomer(us, work, account)
    assert account["line"].split()[1:] == ["-P", str(us.sftp_port), f"{account['username']}@localhost"]
    process = client.start("-l", str(8 * 8 * 1024), batch=True)
    try:
        assert process.stdin is not None
        process.stdin.write(f'put "{source.path}"\n'.encode())
        process.stdin.flush()
        until(lambda: unfinished(us, CASE).get(name, {}).get("offset", 0), lambda offset: offset >= 2 * MIB, within_s=60)
    finally:
        kill(process)
    assert name not in listed(us, CASE)
    client.ok(f'reput "{source.path}"')
    assert published(us, CASE, name)[name]["sha256"] == source.sha256


def send_by_command(us: Gateway, customer: Person, work: Path, source: Source) -> None:
    """With a token from the case page, which is in a file and in no command line."""
    page = customer.open_case(CASE)
    page.get_by_role("button", name="Get an upload token").click()
    token_file = work / "eft-token"
    token_file.touch(mode=0o600)
    token_file.write_text(page.locator("#upload-token").inner_text() + "\n")
    line = next(text for text in page.locator("#shell pre").all_inner_texts() if text.startswith("eft send"))
    (work / "eft-ca.pem").write_bytes(customer.context.request.get(f"{customer.portal.url}/ca.pem").body())
    words = [str(EFT), *line.replace("FILE", str(source.path)).split()[1:]]
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "XDG_STATE_HOME": str(work / "state")}
    done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout + done.stderr
    assert source.sha256 in done.stdout + done.stderr


def check_received(us: Gateway, sent: dict[str, Source]) -> None:
    found = listed(us, CASE)
    assert {name: (item["size"], item["sha256"]) for name, item in found.items()} == {
        name: (source.size, source.sha256) for name, source in sent.items()
    }
    assert sorted(item["source"] for item in found.values()) == ["https"] * 4 + ["sftp"]


def hand_back(us: Gateway, customer: Person, staff: Person, fix: Source, window: Page) -> None:
    """R1: staff send a file by the same page, and the customer gets it there."""
    staff.open_case(CASE)
    theirs = staff.press_transfer_files(us, CASE)
    pick(theirs, fix.path)
    assert verified(theirs, fix.path.name) == fix.sha256
    theirs.close()
    assert listed(us, CASE)[fix.path.name]["source"] == "support"
    window.reload()
    section = window.locator("section", has=window.get_by_role("heading", name="From support, for you"))
    with window.expect_download() as saved:
        section.get_by_role("link", name=fix.path.name, exact=True).click()
    assert (saved.value.suggested_filename, digest_of(saved.value.path())) == (fix.path.name, fix.sha256)


def staff_download(us: Gateway, staff: Person, sent: dict[str, Source]) -> None:
    """From the case page, as a person does, and by the API."""
    page = staff.open_case(CASE)
    ids = {name: item["id"] for name, item in listed(us, CASE).items()}
    for name, source in sent.items():
        entry = page.locator("ul.files:not(.gone) > li", has=page.get_by_role("link", name=name, exact=True))
        expect(entry).to_contain_text(source.sha256)
        with page.expect_download(timeout=120_000) as saved:
            entry.get_by_role("link", name=name, exact=True).click()
        assert (saved.value.suggested_filename, digest_of(saved.value.path())) == (name, source.sha256)
        if source.size < 256 * MIB:
            content = us.call("GET", f"attachments/{ids[name]}/content")
            assert hashlib.sha256(content).hexdigest() == source.sha256


def close(customer: Person) -> None:
    page = customer.open_case(CASE)
    page.get_by_text("Close this case as Resolved or Cancelled").click()
    section = page.locator("#close")
    section.get_by_label("Sub status").select_option("Resolved")
    section.get_by_label("Comment").fill("The fix works. Thank you.")
    section.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("The case is closed. Its files stay")).to_be_visible()
    expect(page.get_by_text("The fix works. Thank you.")).to_be_visible()
    expect(page.get_by_text("Files deleted on")).to_be_visible()
    expect(page.get_by_role("button", name="Transfer Files", exact=True)).to_have_count(0)


def thirty_days_pass(installation: Installation, window: Page, account: dict[str, Any], files: dict[str, Source]) -> None:
    """The gateway asks the portal whether the case is still closed, and purges."""
    us = installation.us
    us.call("GET", f"cases/{CASE}")
    installation.clock.run_ahead(timedelta(days=30, seconds=5))
    until(lambda: us.call("GET", f"cases/{CASE}")["purge"], lambda state: state == "purged", within_s=60)
    items = us.attachments(CASE)
    assert {item["name"] for item in items} == set(files)
    for item in items:
        assert item["state"] == "purged"
        assert refusal(us, "GET", f"attachments/{item['id']}/content") == (410, "purged")
    stored = us.directory / "data" / "us"
    left = sum(path.stat().st_size for path in stored.rglob("*") if path.is_file() and path.suffix not in (".db", ".db-wal"))
    assert left < min(source.size for source in files.values()), "no file of the case is left on the disk"
    answer = window.goto(window.url)
    assert answer is not None
    assert answer.status in (401, 403), "the pop-up of a month ago opens nothing"
    said = SftpCustomer(us, us.directory, account).run("ls")
    assert said.code != 0
    assert "Permission denied" in said.text


def what_is_left(installation: Installation, customer: Person, files: dict[str, Source]) -> None:
    """The case page says what was there and when it was deleted (R21)."""
    page = customer.sign_in().page
    page.get_by_role("link", name="All Closed Cases").click()
    page.get_by_role("link", name=CASE, exact=True).click()
    gone = page.locator("ul.files.gone > li")
    expect(gone).to_have_count(len(files))
    purged_on = f"{installation.clock.now():%d %b %Y}"
    for name, source in files.items():
        entry = gone.filter(has_text=name)
        expect(entry).to_contain_text(source.sha256)
        expect(entry).to_contain_text(f"deleted {purged_on}")
    expect(page.get_by_text("There are no files any more.")).to_be_visible()
    assert page.locator("a[download]").count() == 0
    for item in installation.us.attachments(CASE):
        answer = customer.context.request.get(f"{installation.portal.url}/cases/{CASE}/attachments/{item['id']}")
        assert answer.status == 410


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
