"""Sending from the Transfer Files page in Chromium: damage, namesakes, pauses, closings, lost networks, many files."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
import hashlib
from pathlib import Path
import re
import secrets

from playwright.sync_api import BrowserContext, Locator, Page, expect
import pytest

from tests.browser.people import Complaints, pick, pick_again, slow_line, verified
from tests.fixtures.gateway import Gateway
from tests.stories.contents import MIB, Source, dense, noise, sha256
from tests.stories.tus_customer import TusCustomer
from tests.stories.waiting import listed, published, unfinished, until

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

PART = 16 * MIB
DAMAGE_ONE_PART = """
(() => {
  const send = XMLHttpRequest.prototype.send;
  let left = %d;
  window.damaged = 0;
  XMLHttpRequest.prototype.send = function (body) {
    if (body instanceof Blob && left > 0) {
      left -= 1;
      window.damaged += 1;
      body = new Blob([new Uint8Array([%d]), body.slice(1)]);
    }
    return send.call(this, body);
  };
})();
"""

COMPILE_NOTHING = "() => WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => true, () => false)"


@pytest.fixture
def case(us: Gateway) -> str:
    return us.open_case(f"CS-{secrets.token_hex(4)}")


@pytest.fixture
def window(us: Gateway, case: str, new_context: Callable[..., BrowserContext]) -> Page:
    """The page of the case, opened by a ticket; a policy of the page that is broken fails the test."""
    return opened(us, case, new_context())


def opened(us: Gateway, case: str, context: BrowserContext, script: str = "") -> Page:
    page = context.new_page()
    if script:
        page.add_init_script(script)
    actor = {"name": "Ann", "email": "ann@example.com", "role": "customer"}
    page.goto(us.call("POST", f"cases/{case}/launch", {"actor": actor})["url"])
    expect(page.locator("#transfer .uppy-Dashboard")).to_be_visible()
    return page


def row_of(page: Page, name: str) -> Locator:
    return page.locator(f'[data-testid=visit-row][data-name="{name}"]')


def fingerprint_of(content: bytes) -> str:
    return sha256(f"{len(content)}\n".encode() + content[:MIB] + content[-MIB:])


def begin_elsewhere(us: Gateway, case: str, name: str, content: bytes, sent: int) -> str:
    """An upload that another program began, of which so many bytes have arrived; its address."""
    pairs = {"filename": name, "fingerprint": fingerprint_of(content)}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs.items())
    customer = TusCustomer(us, us.upload_token(case))
    headers = {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    status, told, _ = customer.request("POST", "/files", headers)
    assert status == 201
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    status, _, _ = customer.request("PATCH", told["Location"], part, content[:sent])
    assert status == 204
    return str(told["Location"])


def test_a_part_that_is_damaged_on_its_way_is_sent_again(
    us: Gateway, case: str, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    content = b"\x01" + noise(1, PART + 5 * MIB)
    file = tmp_path / "core.dump"
    file.write_bytes(content)
    page = opened(us, case, new_context(), DAMAGE_ONE_PART % (2, 2))
    pick(page, file)
    assert verified(page, "core.dump") == sha256(content)
    assert page.evaluate("() => window.damaged") == 2
    assert listed(us, case)["core.dump"]["sha256"] == sha256(content)


def test_a_line_that_damages_every_part_is_told_and_nothing_is_stored(
    us: Gateway, case: str, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    file = tmp_path / "core.dump"
    file.write_bytes(b"\x01" + noise(1, MIB))
    page = opened(us, case, new_context(), DAMAGE_ONE_PART % (1_000, 2))
    pick(page, file)
    expect(row_of(page, "core.dump")).to_have_attribute("data-stage", "failed", timeout=30_000)
    expect(row_of(page, "core.dump")).to_contain_text("A part of this file arrived damaged, again and again.")
    assert listed(us, case) == {}
    assert unfinished(us, case)["core.dump"]["offset"] == 0


def test_what_another_program_began_goes_on_in_the_page(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    content = noise(1, 9 * MIB)
    begin_elsewhere(us, case, "trace.pcap", content, 4 * MIB)
    (tmp_path / "trace.pcap").write_bytes(content)
    pick(window, tmp_path / "trace.pcap")
    expect(row_of(window, "trace.pcap")).to_contain_text("Goes on at 4.0 MiB, where it stopped.")
    assert verified(window, "trace.pcap") == sha256(content)
    assert unfinished(us, case) == {}
    assert len(us.attachments(case)) == 1


@pytest.mark.parametrize("by", ["the list of what is unfinished", "the Dashboard"])
def test_another_file_of_the_same_name_is_not_spliced(us: Gateway, case: str, window: Page, tmp_path: Path, by: str) -> None:
    begun, other = noise(1, 9 * MIB), noise(2, 9 * MIB)
    begin_elsewhere(us, case, "trace.pcap", begun, 4 * MIB)
    window.reload()
    file = tmp_path / "trace.pcap"
    file.write_bytes(other)
    if by == "the Dashboard":
        pick(window, file)
    else:
        pick_again(window, "trace.pcap", file)
        expect(window.get_by_test_id("pick-message")).to_contain_text("has other content than the one that was begun")
    expect(row_of(window, "trace.pcap")).to_contain_text("It is sent as a new file.")
    assert verified(window, "trace.pcap") == sha256(other)
    assert unfinished(us, case)["trace.pcap"]["offset"] == 4 * MIB, "what was begun is still there for its own file"


def test_a_file_of_another_name_and_content_is_not_sent_in_place_of_the_one_asked_for(
    us: Gateway, case: str, window: Page, tmp_path: Path
) -> None:
    begin_elsewhere(us, case, "trace.pcap", noise(1, 5 * MIB), MIB)
    window.reload()
    pick_again(window, "trace.pcap", dense(tmp_path / "holiday.jpg", 3, MIB).path)
    expect(window.get_by_test_id("pick-message")).to_contain_text("Nothing was sent.")
    expect(window.get_by_test_id("visit-row")).to_have_count(0)


def test_a_file_that_was_changed_between_two_visits_shows_both_digests(
    us: Gateway, case: str, window: Page, tmp_path: Path
) -> None:
    """Same size, same beginning, same end: only the whole digest can tell."""
    before = noise(1, 9 * MIB)
    now = before[: 2 * MIB] + b"changed" + before[2 * MIB + 7 :]
    begin_elsewhere(us, case, "mail.db", before, 4 * MIB)
    (tmp_path / "mail.db").write_bytes(now)
    pick(window, tmp_path / "mail.db")
    row = row_of(window, "mail.db")
    expect(row).to_have_attribute("data-stage", "mismatch", timeout=30_000)
    spliced = before[: 4 * MIB] + now[4 * MIB :]
    expect(row.get_by_test_id("sha256")).to_have_text([sha256(now), sha256(spliced)])
    expect(row).to_contain_text("pick it again")
    window.get_by_role("button", name="Add more").click()
    pick(window, tmp_path / "mail.db")
    assert verified(window, "mail.db") == sha256(now)
    assert listed(us, case)["mail.db"]["sha256"] == sha256(now)


def test_discarding_what_is_unfinished_removes_it(us: Gateway, case: str, window: Page) -> None:
    begin_elsewhere(us, case, "trace.pcap", noise(1, 5 * MIB), MIB)
    window.reload()
    window.on("dialog", lambda dialog: dialog.accept())
    window.get_by_role("button", name="Discard").click()
    expect(window.get_by_test_id("unfinished-row")).to_have_count(0)
    until(lambda: unfinished(us, case), lambda found: found == {})


def test_pausing_stops_the_bytes_and_cancelling_deletes_them(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    file = dense(tmp_path / "core.dump", 1, 60 * MIB)
    with slow_line(window, 16 * MIB):
        pick(window, file.path)
        until(lambda: unfinished(us, case).get("core.dump", {}).get("offset", 0), lambda offset: offset >= PART, within_s=30)
        window.get_by_role("button", name="Pause", exact=True).last.click()
        expect(row_of(window, "core.dump")).to_have_attribute("data-stage", "paused")
        window.wait_for_timeout(1_000)
        stopped = unfinished(us, case)["core.dump"]["offset"]
        window.wait_for_timeout(2_000)
        assert unfinished(us, case)["core.dump"]["offset"] == stopped
        assert stopped < file.size
        window.get_by_role("button", name="Resume", exact=True).last.click()
        expect(row_of(window, "core.dump")).to_have_attribute("data-stage", "sending")
        window.get_by_role("button", name="Cancel", exact=True).last.click()
        expect(window.get_by_test_id("visit-row")).to_have_count(0)
        until(lambda: unfinished(us, case), lambda found: found == {})
    assert listed(us, case) == {}


def test_a_network_that_was_away_is_waited_for(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    file = dense(tmp_path / "core.dump", 1, 40 * MIB)
    with slow_line(window, 16 * MIB):
        pick(window, file.path)
        until(lambda: unfinished(us, case).get("core.dump", {}).get("offset", 0), lambda offset: offset >= PART, within_s=30)
        window.context.set_offline(True)
        expect(window.get_by_test_id("notice")).to_contain_text("This computer is offline. Nothing is lost.")
        expect(row_of(window, "core.dump").locator(".eft-stage")).to_have_text("waiting for the gateway")
        window.wait_for_timeout(2_000)
        window.context.set_offline(False)
        expect(window.get_by_test_id("notice")).to_have_count(0)
    assert verified(window, "core.dump") == file.sha256


def test_a_case_closed_while_files_are_sent_keeps_them_and_they_go_on_when_it_is_reopened(
    us: Gateway, case: str, window: Page, tmp_path: Path
) -> None:
    file = dense(tmp_path / "core.dump", 1, 60 * MIB)
    with slow_line(window, 16 * MIB):
        pick(window, file.path)
        until(lambda: unfinished(us, case).get("core.dump", {}).get("offset", 0), lambda offset: offset >= PART, within_s=30)
        us.call("POST", f"cases/{case}/close", {"sub_status": "resolved", "comment": "Done."})
        expect(window.get_by_test_id("notice")).to_contain_text("This case has been closed.", timeout=30_000)
        expect(window.get_by_test_id("notice").get_by_role("link", name="Open the portal")).to_be_visible()
        assert listed(us, case) == {}
        us.call("POST", f"cases/{case}/reopen", {"reason": "Again.", "actor": "customer"})
        window.evaluate("() => window.dispatchEvent(new Event('focus'))")
        expect(window.get_by_test_id("notice")).to_have_count(0, timeout=20_000)
    assert verified(window, "core.dump") == file.sha256
    assert len(us.attachments(case)) == 1


def test_a_session_that_ended_is_told_and_sending_goes_on_once_there_is_another(
    us: Gateway, case: str, window: Page, tmp_path: Path
) -> None:
    file = dense(tmp_path / "core.dump", 1, 40 * MIB)
    with slow_line(window, 16 * MIB):
        pick(window, file.path)
        until(lambda: unfinished(us, case).get("core.dump", {}).get("offset", 0), lambda offset: offset >= PART, within_s=30)
        window.context.clear_cookies()
        expect(window.get_by_test_id("notice")).to_contain_text("Your session has ended. Nothing is lost.", timeout=30_000)
        opened(us, case, window.context).close()
        window.bring_to_front()
        window.evaluate("() => window.dispatchEvent(new Event('focus'))")
        expect(window.get_by_test_id("notice")).to_have_count(0, timeout=20_000)
    assert verified(window, "core.dump") == file.sha256


def test_a_folder_keeps_its_paths_and_empty_files_are_files(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    contents = {"logs/a.log": b"a", "logs/deep/er/b.log": b"b" * 100, "logs/deep/empty": b"", "logs/größe 1.txt": b"c"}
    for name, content in contents.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    with window.expect_file_chooser() as chooser:
        window.get_by_role("button", name="choose a folder").click()
    chooser.value.set_files(folder)
    for name, content in contents.items():
        assert verified(window, name) == sha256(content)
    assert {name: item["sha256"] for name, item in listed(us, case).items()} == {
        name: sha256(content) for name, content in contents.items()
    }


def test_hundreds_of_files_arrive_while_the_page_stays_alive(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    files: list[Source] = []
    for number in range(300):
        path = tmp_path / f"{number:03}.log"
        path.write_bytes(noise(number, number * 7))
        files.append(Source(path))
    window.evaluate(
        """() => {
          let last = performance.now();
          window.longest = 0;
          setInterval(() => {
            const now = performance.now();
            window.longest = Math.max(window.longest, now - last);
            last = now;
          }, 10);
        }"""
    )
    pick(window, *(file.path for file in files))
    expect(window.locator(".eft-totals")).to_have_text("300 of 300 files verified.", timeout=90_000)
    assert {name: item["sha256"] for name, item in listed(us, case).items()} == {file.path.name: file.sha256 for file in files}
    assert window.evaluate("() => window.longest") < 3_000, "milliseconds in which nothing could be clicked"


def test_closing_the_window_is_warned_of_while_files_are_sent_and_only_then(
    us: Gateway, case: str, window: Page, tmp_path: Path
) -> None:
    asked: list[str] = []
    window.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept())[0])
    small = dense(tmp_path / "small.log", 2, 10)
    pick(window, small.path)
    verified(window, "small.log")
    expect(window).to_have_title(f"Transfer Files · {case}")
    window.reload()
    assert asked == []
    with slow_line(window, 4 * MIB):
        pick(window, dense(tmp_path / "core.dump", 1, 40 * MIB).path)
        expect(window).to_have_title(re.compile(rf"^\d+ % · Transfer Files · {case}$"))
        window.reload()
    assert asked == ["beforeunload"]


def test_the_page_breaks_no_policy_of_its_own(
    us: Gateway, case: str, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    complaints = Complaints()
    context = new_context()
    complaints.watch(context)
    page = opened(us, case, context)
    pick(page, dense(tmp_path / "core.dump", 1, PART + MIB).path)
    verified(page, "core.dump")
    assert complaints.heard == []
    assert page.workers[0].evaluate(COMPILE_NOTHING), "digests are counted in WebAssembly"
    assert not page.evaluate(COMPILE_NOTHING), "which the page itself may not run"


def test_nothing_is_kept_in_the_browser(us: Gateway, case: str, window: Page, tmp_path: Path) -> None:
    pick(window, dense(tmp_path / "core.dump", 1, MIB).path)
    verified(window, "core.dump")
    assert window.evaluate("() => [localStorage.length, sessionStorage.length]") == [0, 0]
    item = published(us, case, "core.dump")["core.dump"]
    link = window.locator('[data-testid=attachment][data-name="core.dump"] a.eft-name')
    expect(link).to_have_attribute("href", f"/transfer/{case}/attachments/{item['id']}")
    with window.expect_download() as saved:
        link.click()
    assert hashlib.sha256(saved.value.path().read_bytes()).hexdigest() == item["sha256"]
