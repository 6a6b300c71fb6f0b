"""`make pictures`: the README's pictures, taken of a real portal and a real gateway with Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
import sys
import tempfile

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.installation import Installation, running_installation
from tests.browser.people import Person, pick, slow_line, verified
from tests.fixtures.gateway import ROOT
from tests.fixtures.portal import CUSTOMER, ORGANISATION, STAFF
from tests.programs import find_program
from tests.stories.contents import MIB, dense
from tests.stories.waiting import unfinished, until

PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 960, 900
CASE = "CS-4711"


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, running_installation(Path(place)) as made, chromium() as browser:
        take_pictures(made, browser, Path(place))
    for picture in sorted(PICTURES.glob("*.png")):
        sys.stdout.write(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB\n")


@contextmanager
def chromium() -> Iterator[Browser]:
    path = find_program("chromium")
    if path is None:
        raise SystemExit("chromium is not installed: run `make test-deps`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def take_pictures(made: Installation, browser: Browser, work: Path) -> None:
    us = made.us
    us.call("PUT", f"cases/{CASE}", {"organisation": ORGANISATION, "subject": "Media server stops at night", "status": "open"})
    sizes = {"mediaserver.core": 48 * MIB, "night trace.pcapng": 40 * MIB, "gateway.log": 6 * MIB}
    files = [dense(work / name, seed, size) for seed, (name, size) in enumerate(sizes.items())]
    customer, staff = (
        Person(made.portal, browser.new_context(ignore_https_errors=True, locale="en-GB", timezone_id="UTC"), who)
        for who in (CUSTOMER, STAFF)
    )
    customer.sign_in().open_case(CASE)
    window = customer.press_transfer_files(us, CASE)
    with slow_line(window, 8 * MIB):
        pick(window, *(file.path for file in files))
        verified(window, "gateway.log")
        until(lambda: unfinished(us, CASE).get("mediaserver.core", {}).get("offset", 0), lambda offset: offset >= 32 * MIB)
        take(window, "1-sending")
    for file in files:
        verified(window, file.path.name)
    take(window, "2-verified")

    staff.sign_in().page.goto(f"{made.portal.url}/cases/{CASE}")
    staff.page.get_by_role("button", name="Create a temporary account").click()
    page = customer.open_case(CASE)
    take(page, "3-case")
    page.get_by_role("button", name="Show the password").click()
    page.locator("#account").scroll_into_view_if_needed()
    take(page, "4-account", of="#account")

    us.call("POST", f"cases/{CASE}/close", {"sub_status": "resolved", "comment": "The fix works."})
    made.clock.run_ahead(timedelta(days=30, minutes=1))
    until(lambda: us.call("GET", f"cases/{CASE}")["purge"], lambda state: state == "purged", within_s=60)
    customer.sign_in().page.goto(f"{made.portal.url}/cases/{CASE}")
    take(customer.page, "5-purged")


def take(page: Page, name: str, *, of: str | None = None) -> None:
    """A picture of what can be seen of the page, or of one element of it."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    file = PICTURES / f"{name}.png"
    if of is not None:
        page.locator(of).screenshot(path=file)
    else:
        page.screenshot(path=file, timeout=60_000)


if __name__ == "__main__":
    main()
