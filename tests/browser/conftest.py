"""A portal, two gateways and Debian's Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import shutil

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import CUSTOMER, STAFF, STRANGER, Portal, free_ports
from tests.programs import find_program

_SETTINGS = '[uploads]\nsettle_s = 0.3\n[portal]\nurl = "https://localhost:{port}"\n'

SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal before the gateways of two regions, `us` and `emea`, all ready."""
    port = free_ports(1)[0]
    root = tmp_path_factory.mktemp("portal")
    gateways = [Gateway(root / region, region=region, settings=_SETTINGS.format(port=port)) for region in ("us", "emea")]
    made = Portal(root / "portal", gateways, https_port=port)
    try:
        for gateway in gateways:
            gateway.start()
        yield made.start()
    finally:
        made.stop()
        for gateway in gateways:
            gateway.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def us(portal: Portal) -> Gateway:
    """The gateway of the region `us`, running."""
    gateway = portal.gateways[0]
    if not gateway.is_ready():
        gateway.start()
    return gateway


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for longer than a module: while Playwright runs, no test of this process can have an event loop of its own."""
    path = find_program("chromium")
    assert path is not None, "declare chromium with @pytest.mark.needs"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts: each is a browser of its own, with its own cookies."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = chromium.new_context(ignore_https_errors=True, **options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def sign_in(portal: Portal, new_context: Callable[..., BrowserContext]) -> SignIn:
    """Opens a browser in which `who` (customer, staff, stranger) has signed in; `options` are Playwright's of the context."""

    def go(who: str = "customer", **options: object) -> Page:
        address, _, password = {"customer": CUSTOMER, "staff": STAFF, "stranger": STRANGER}[who]
        page = new_context(**options).new_page()
        page.goto(f"{portal.url}/sign-in")
        page.get_by_label("E-mail address").fill(address)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{portal.url}/cases")
        return page

    return go
