"""From a portal's button to a file: the launch, the page in Chromium, and the plain form, against `eft serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import hashlib
import os
from pathlib import Path
import subprocess
from threading import Barrier

import httpx
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
import pytest

from tests.fixtures.gateway import Gateway
from tests.programs import find_program
from tests.stories.conftest import MakeGateway
from tests.stories.waiting import listed, until

MIB = 1024 * 1024
ADA = {"name": "Ada", "email": "ada@example.com", "role": "customer"}
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}

NewContext = Callable[..., BrowserContext]


def launch(gateway: Gateway, case: str, **actor: str) -> str:
    """The address that a portal sends a browser to."""
    url: str = gateway.call("POST", f"cases/{case}/launch", {"actor": {**ADA, **actor}})["url"]
    assert url.startswith(f"https://eftgateway-us.localhost:{gateway.https_port}/launch/eft_us_launch_")
    return url


def on_localhost(url: str) -> str:
    """Only browsers resolve names below localhost by themselves."""
    return url.replace("eftgateway-us.localhost", "localhost")


def cookie_of(gateway: Gateway, case: str) -> str:
    answer = httpx.get(on_localhost(launch(gateway, case)), verify=gateway.trust())
    assert answer.status_code == 303
    return answer.headers["Set-Cookie"].split(";")[0]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find_program("chromium")
    assert path is not None
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[NewContext]:
    """Browsers with cookies of their own."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        made.append(chromium.new_context(ignore_https_errors=True, **options))  # type: ignore[arg-type]
        made[-1].set_default_timeout(15_000)
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.mark.parametrize("attempt", range(3))
def test_of_simultaneous_visitors_at_two_workers_one_gets_in(gateway: Gateway, case: str, attempt: int) -> None:
    url, visitors = on_localhost(launch(gateway, case)), 12
    trust, start = gateway.trust(), Barrier(visitors)

    def visit(_: int) -> int:
        with httpx.Client(verify=trust) as client:
            client.head(url)  # the connection is there
            start.wait()
            return client.get(url).status_code

    with ThreadPoolExecutor(visitors) as pool:
        statuses = sorted(pool.map(visit, range(visitors)))
    assert statuses == [303] + [410] * (visitors - 1)


def test_a_kill_between_launch_and_page_signs_nobody_out(make_gateway: MakeGateway) -> None:
    gateway = make_gateway().start()
    case = gateway.open_case()
    cookie = cookie_of(gateway, case)
    gateway.kill()
    gateway.start()
    page = httpx.get(f"{gateway.url}/transfer/{case}", headers={"Cookie": cookie}, verify=gateway.trust())
    assert page.status_code == 200


@pytest.mark.needs("curl")
def test_curl_sends_a_large_file_by_the_form_in_little_memory(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway().start()
    case = gateway.open_case()
    cookie = cookie_of(gateway, case)
    size = 700 * MIB
    with (tmp_path / "large.bin").open("wb") as large:
        large.truncate(size)
    (tmp_path / "small.log").write_bytes(b"hello")
    (pid,) = gateway.worker_pids()
    _forget_peak(pid)
    before = _peak_bytes(pid)
    command = ["curl", "-sS", "--cacert", str(gateway.ca), "-w", "%{http_code}", "-o", str(tmp_path / "answer.html")]
    command += ["-H", f"Cookie: {cookie}", "-H", "Sec-Fetch-Site: same-origin", "-F", f"file=@{tmp_path}/large.bin"]
    command += ["-F", f"file=@{tmp_path}/small.log", f"{gateway.url}/transfer/{case}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout) == (0, "200"), done.stderr
    digest = hashlib.sha256()
    for _ in range(700):
        digest.update(bytes(MIB))
    text = (tmp_path / "answer.html").read_text()
    assert digest.hexdigest() in text
    assert hashlib.sha256(b"hello").hexdigest() in text
    assert {name: item["size"] for name, item in listed(gateway, case).items()} == {"large.bin": size, "small.log": 5}
    assert _peak_bytes(pid) - before < 40 * MIB


@pytest.mark.needs("chromium")
def test_the_form_works_in_a_browser_without_scripts(
    gateway: Gateway, case: str, new_context: NewContext, tmp_path: Path
) -> None:
    contents = {"ä 日本.log": os.urandom(3 * MIB), 'quote".txt': b"hello"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    page = new_context(java_script_enabled=False).new_page()
    page.goto(launch(gateway, case))
    assert page.url == f"https://eftgateway-us.localhost:{gateway.https_port}/transfer/{case}"
    page.get_by_label("Files").set_input_files([tmp_path / name for name in contents])
    page.get_by_role("button", name="Send").click()
    for name, content in contents.items():
        expect(page.get_by_text(name)).to_be_visible()
        expect(page.get_by_text(hashlib.sha256(content).hexdigest())).to_be_visible()
    page.get_by_role("link", name="Back to the files of the case").click()
    with page.expect_download() as waited:
        page.get_by_role("link", name="ä 日本.log").click()
    assert Path(waited.value.path()).read_bytes() == contents["ä 日本.log"]
    assert waited.value.suggested_filename == "ä 日本.log"
    assert set(listed(gateway, case)) == set(contents)


@pytest.mark.needs("chromium")
def test_two_windows_of_two_cases_work_at_once(gateway: Gateway, new_context: NewContext, tmp_path: Path) -> None:
    cases = [gateway.open_case(f"CS-window-{number}-{os.urandom(3).hex()}") for number in (1, 2)]
    context = new_context(java_script_enabled=False)
    windows = {}
    for case in cases:
        windows[case] = context.new_page()
        windows[case].goto(launch(gateway, case))
    for case, window in windows.items():
        (tmp_path / f"{case}.log").write_text(case)
        window.get_by_label("Files").set_input_files(tmp_path / f"{case}.log")
        window.get_by_role("button", name="Send").click()
        expect(window.get_by_text("Received", exact=True)).to_be_visible()
    for case in cases:
        assert set(listed(gateway, case)) == {f"{case}.log"}


@pytest.mark.needs("chromium")
def test_a_browser_without_cookies_is_told_so(gateway: Gateway, case: str, chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text('{"profile": {"default_content_setting_values": {"cookies": 2}}}')
    context = chromium.browser_type.launch_persistent_context(
        tmp_path, executable_path=find_program("chromium"), ignore_https_errors=True, args=["--no-sandbox", "--disable-gpu"]
    )
    try:
        page = context.pages[0]
        answer = page.goto(launch(gateway, case))
        assert answer is not None
        assert answer.status == 401
        expect(page.locator("#cookies-off")).to_be_visible()
        expect(page.locator("#not-signed-in")).to_be_hidden()
    finally:
        context.close()


@pytest.mark.needs("chromium")
def test_a_bookmark_a_used_link_and_a_closed_case_say_what_to_do(gateway: Gateway, case: str, new_context: NewContext) -> None:
    context = new_context()
    page = context.new_page()
    page.goto(f"https://eftgateway-us.localhost:{gateway.https_port}/transfer/{case}")
    expect(page.locator("#not-signed-in")).to_be_visible()
    expect(page.locator("#cookies-off")).to_be_hidden()
    url = launch(gateway, case)
    page.goto(url)
    expect(page.get_by_role("heading", name=f"Case {case}")).to_be_visible()
    again = new_context().new_page()
    again.goto(url)
    expect(again.get_by_role("heading", name="This link was used already")).to_be_visible()
    gateway.call("POST", f"cases/{case}/close", {"sub_status": "resolved", "comment": ""})
    page.reload()
    expect(page.locator("#case-message")).to_contain_text("press Request to Re-open on the case page")


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_its_window(gateway: Gateway, case: str, new_context: NewContext, width: int) -> None:
    client = httpx.Client(base_url=gateway.url, verify=gateway.trust(), headers={"Cookie": cookie_of(gateway, case)})
    name = "x" * 200 + ".log"
    sent = client.post(f"/transfer/{case}", files=[("file", (name, b"x")), ("file", ("..", b"x"))], headers=SAME_ORIGIN)
    assert sent.status_code == 200
    for scripts in (False, True):
        page = new_context(java_script_enabled=scripts, viewport={"width": width, "height": 900}).new_page()
        page.goto(launch(gateway, case))
        expect(page.get_by_text(name).first).to_be_visible()
        assert page.locator("html").bounding_box()["width"] <= width  # type: ignore[index]
        widest = page.locator("html").evaluate("element => element.scrollWidth") if scripts else width
        assert widest <= width


@pytest.mark.needs("chromium")
def test_the_page_breaks_no_rule_of_its_own_policy(gateway: Gateway, case: str, new_context: NewContext) -> None:
    page = new_context().new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(launch(gateway, case))
    page.wait_for_load_state("networkidle")
    until(lambda: page.evaluate("document.readyState"), lambda state: state == "complete")
    assert [line for line in said if "Content Security Policy" in line or "Refused" in line] == []


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
