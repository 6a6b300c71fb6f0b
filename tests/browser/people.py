"""People in front of browsers: they sign in, open Transfer Files, pick files. And what their browsers complain of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import re

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import Portal

VERIFIED_WITHIN_MS = 60_000


class Complaints:
    """What browsers complain of, on any page of the contexts it watches."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.heard.append(f"uncaught: {error.error}"))

    @property
    def of_policy(self) -> list[str]:
        """Violations of a content security policy, and scripts that failed: nothing that a network does causes these."""
        return [said for said in self.heard if "Content Security Policy" in said or said.startswith("uncaught")]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.heard.append(f"{message.type}: {message.text} ({message.location['url']})")


class Person:
    """Somebody with a browser and an account at the portal."""

    def __init__(self, portal: Portal, context: BrowserContext, who: tuple[str, str, str]) -> None:
        self.portal, self.context, self.who = portal, context, who
        self.page = context.new_page()

    def sign_in(self) -> Person:
        address, _, password = self.who
        self.page.goto(f"{self.portal.url}/sign-in")
        self.page.get_by_label("E-mail address").fill(address)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.portal.url}/cases")
        return self

    def open_case(self, case_id: str) -> Page:
        """From the list of cases, as people do."""
        self.page.goto(f"{self.portal.url}/cases")
        self.page.get_by_role("link", name=case_id, exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        return self.page

    def press_transfer_files(self, gateway: Gateway, case_id: str) -> Page:
        """The pop-up, on the host of the case's region and with a clean address, once its script has drawn it."""
        with self.page.expect_popup() as opened:
            self.page.get_by_role("button", name="Transfer Files", exact=True).click()
        window = opened.value
        window.wait_for_url(transfer_url(gateway, case_id))
        expect(window.locator("#transfer .uppy-Dashboard")).to_be_visible()
        return window


def transfer_url(gateway: Gateway, case_id: str) -> str:
    return f"https://eftgateway-{gateway.region}.localhost:{gateway.https_port}/transfer/{case_id}"


def pick(window: Page, *files: Path) -> None:
    """Chooses files in the page's own dialogue."""
    window.locator("#transfer input[type=file]").first.set_input_files(list(files))


def pick_again(window: Page, name: str, file: Path) -> None:
    """Presses the button beside an unfinished upload, and chooses the file."""
    row = window.locator("[data-testid=unfinished-row]").and_(window.locator(f'[data-name="{name}"]'))
    with window.expect_file_chooser() as chooser:
        row.get_by_role("button", name=re.compile("^Pick ")).click()
    chooser.value.set_files(file)


def verified(window: Page, name: str, within_ms: float = VERIFIED_WITHIN_MS) -> str:
    """The digest that the page shows once the file is verified."""
    row = window.locator(f'[data-testid=visit-row][data-name="{name}"]')
    expect(row).to_have_attribute("data-stage", "verified", timeout=within_ms)
    expect(row).to_contain_text("verified")
    return row.get_by_test_id("sha256").inner_text()


def told_verified(window: Page) -> dict[str, str]:
    """The digests of the files that the page calls verified by now."""
    rows = window.locator("[data-testid=visit-row][data-stage=verified]").all()
    return {str(row.get_attribute("data-name")): row.get_by_test_id("sha256").inner_text() for row in rows}


@contextmanager
def slow_line(window: Page, bytes_per_s: float) -> Iterator[None]:
    """What the page sends goes at most so fast, whichever address it is for."""
    session = window.context.new_cdp_session(window)

    def limit(rate: float) -> None:
        session.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate},
        )

    session.send("Network.enable")
    limit(bytes_per_s)
    try:
        yield
    finally:
        limit(-1)
        session.detach()


@contextmanager
def pictures_of_failure(directory: Path, *people: Person) -> Iterator[None]:
    """Where the block fails, every page that is open is kept as a picture."""
    try:
        yield
    except BaseException:
        for person in people:
            for number, page in enumerate(person.context.pages):
                name = f"failure-{person.who[0].partition('@')[0]}-{number}.png"
                try:
                    page.screenshot(path=directory / name, full_page=True, timeout=5_000)
                except Exception as error:
                    (directory / f"{name}.txt").write_text(str(error))
        raise
