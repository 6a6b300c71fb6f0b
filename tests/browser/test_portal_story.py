"""The portal as people use it: a real browser, real gateways."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import subprocess

from playwright.sync_api import BrowserContext, Page, expect
import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.portal import CUSTOMER, ORGANISATION, TELEPHONE, Portal

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

SignIn = Callable[..., Page]


def open_case(gateway: Gateway, case_id: str, subject: str = "Calls drop after the upgrade") -> str:
    gateway.call("PUT", f"cases/{case_id}", {"organisation": ORGANISATION, "subject": subject, "status": "open"})
    return case_id


def test_a_pop_up_opens_the_case_at_its_region_with_a_cookie_of_that_host(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    page = sign_in()
    page.goto(f"{portal.url}/cases/{open_case(us, 'POP-1')}")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Transfer Files", exact=True).click()
    opened.value.wait_for_url(f"https://eftgateway-us.localhost:{us.https_port}/transfer/POP-1")
    expect(opened.value.get_by_text("POP-1").first).to_be_visible()
    cookies = {(cookie["name"], cookie["domain"]) for cookie in page.context.cookies()}
    assert ("__Host-eft-us", "eftgateway-us.localhost") in cookies
    expect(page.locator("#blocked")).to_be_hidden()


def test_a_blocked_pop_up_is_said_and_the_way_without_it_works(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    page = sign_in()
    page.add_init_script("window.open = () => null;")
    page.goto(f"{portal.url}/cases/{open_case(us, 'POP-2')}")
    page.get_by_role("button", name="Transfer Files", exact=True).click()
    message = page.locator("#blocked")
    expect(message).to_be_visible()
    message.get_by_role("button").click()
    page.wait_for_url(f"https://eftgateway-us.localhost:{us.https_port}/transfer/POP-2")


def test_transfer_files_works_without_scripts(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    page = sign_in(java_script_enabled=False)
    page.goto(f"{portal.url}/cases/{open_case(us, 'POP-3')}")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Transfer Files", exact=True).click()
    opened.value.wait_for_url(f"https://eftgateway-us.localhost:{us.https_port}/transfer/POP-3")


def test_an_account_from_the_request_to_the_password(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    case = f"{portal.url}/cases/{open_case(us, 'ACC-1')}"
    customer, staff = sign_in(), sign_in("staff")
    customer.goto(case)
    customer.get_by_label("Why you need it").fill("No browser on that machine.")
    customer.get_by_role("button", name="Request a temporary account").click()
    expect(customer.get_by_text("You asked for an account")).to_be_visible()
    staff.goto(f"{portal.url}/queue")
    waiting = staff.locator("li", has_text="ACC-1")
    expect(waiting).to_contain_text("No browser on that machine.")
    waiting.get_by_role("button", name="Create the account").click()
    customer.goto(case)
    expect(customer.locator("#sftp-password")).to_have_count(0)
    customer.get_by_role("button", name="Show the password").click()
    shown = us.call("GET", "cases/ACC-1/sftp-account")
    expect(customer.locator("#sftp-password")).to_have_text(shown["password"])
    expect(customer.locator("#sftp-user")).to_have_text(shown["username"])
    expect(customer.get_by_text(f"sftp -P {us.sftp_port} {shown['username']}@localhost", exact=True)).to_be_visible()


@pytest.mark.needs("curl")
def test_the_curl_lines_send_a_file_with_no_token_in_a_command_line(
    us: Gateway, portal: Portal, sign_in: SignIn, tmp_path: Path
) -> None:
    page = sign_in()
    page.goto(f"{portal.url}/cases/{open_case(us, 'CURL-1')}")
    page.get_by_role("button", name="Get an upload token").click()
    token = page.locator("#upload-token").inner_text()
    (tmp_path / "eft-token").write_text(token)
    (tmp_path / "eft-ca.pem").write_bytes(us.ca.read_bytes())
    content = b"a trace\n" * 300_000
    (tmp_path / "core.dump").write_bytes(content)
    lines = page.locator("#shell pre").all_inner_texts()
    script = "\n".join(text for text in lines if "curl" in text)
    assert token not in script
    done = subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "204" in done.stdout
    (attachment,) = us.attachments("CURL-1")
    assert (attachment["name"], attachment["size"]) == ("core.dump", len(content))
    page.reload()
    with page.expect_download() as saved:
        page.get_by_role("link", name="core.dump").click()
    assert Path(saved.value.path()).read_bytes() == content
    assert sorted(each.name for each in tmp_path.iterdir()) == ["core.dump", "eft-ca.pem"]


def test_closing_and_asking_to_reopen_by_keyboard_alone(
    us: Gateway, portal: Portal, new_context: Callable[..., BrowserContext]
) -> None:
    open_case(us, "KEY-1", "By keyboard")
    page = new_context().new_page()
    page.goto(f"{portal.url}/cases/KEY-1")
    page.keyboard.type(CUSTOMER[0])
    page.keyboard.press("Tab")
    page.keyboard.type(CUSTOMER[2])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{portal.url}/cases/KEY-1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()

    def tab_to(name: str) -> None:
        for _ in range(60):
            focused = page.evaluate(
                "() => [document.activeElement].filter((at) => at.matches('a, button, summary, input, select, textarea'))"
                ".map((at) => `${at.labels?.[0]?.innerText ?? ''} ${at.innerText}`).join('')"
            )
            if name in focused:
                ring = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert ring != "none", f"nothing shows that {name} has the focus"
                return
            page.keyboard.press("Tab")
        pytest.fail(f"{name} cannot be reached by Tab")

    tab_to("Close this case as Resolved or Cancelled")
    page.keyboard.press("Enter")
    tab_to("Comment")
    page.keyboard.type("Solved by a restart.")
    tab_to("Close the case")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The case is closed. Its files stay")).to_be_visible()
    tab_to("New supporting information")
    page.keyboard.type("It happened again.")
    tab_to("Request to Re-open")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Transfer Files", exact=True)).to_be_visible()
    assert us.call("GET", "cases/KEY-1")["status"] == "open"


def test_no_reopening_by_button_after_30_days_or_without_an_answer(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    described = {"organisation": ORGANISATION, "subject": "Old", "status": "closed", "closed_at": "2020-01-01T00:00:00Z"}
    us.call("PUT", "cases/LATE-1", described)
    open_case(us, "TEL-1")
    us.call("POST", "cases/TEL-1/close", {"sub_status": "no_response", "comment": "Three follow-ups."})
    page = sign_in()
    page.goto(f"{portal.url}/cases/LATE-1")
    expect(page.locator("[data-code=reopen-too-late], [data-code=case-purging]")).to_contain_text(TELEPHONE)
    expect(page.get_by_role("button", name="Request to Re-open")).to_have_count(0)
    page.goto(f"{portal.url}/cases/TEL-1")
    expect(page.locator("[data-code=reopen-by-telephone]")).to_contain_text(TELEPHONE)
    expect(page.get_by_role("button", name="Request to Re-open")).to_have_count(0)


def test_a_forgotten_password_is_set_anew_by_the_mailed_link(portal: Portal, new_context: Callable[..., BrowserContext]) -> None:
    portal.eft(
        "user", "create", "new@example.com", "--name", "New", "--role", "staff", "--password-file", "-", typed="once upon a time"
    )
    page = new_context().new_page()
    page.goto(f"{portal.url}/sign-in")
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("E-mail address").fill("new@example.com")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status")).to_contain_text("If there is an account")
    page.goto(portal.reset_link())
    page.get_by_label("New password").fill("quite another story")
    page.get_by_label("The same again").fill("quite another story")
    page.get_by_role("button", name="Set the password").click()
    page.get_by_label("E-mail address").fill("new@example.com")
    page.get_by_label("Password").fill("quite another story")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{portal.url}/cases")


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_window(us: Gateway, portal: Portal, sign_in: SignIn, width: int) -> None:
    case_id = open_case(us, "WIDE-1", "A-subject-without-any-place-to-break-" * 5)
    us.call("POST", f"cases/{case_id}/attachments?name={'n' * 200}", b"x")
    us.call("POST", f"cases/{case_id}/sftp-account")
    page = sign_in(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    for path in ("/cases", f"/cases/{case_id}", "/cases?view=all-closed"):
        page.goto(f"{portal.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page.get_by_role("link", name="View/Manage Cases").click()
    assert complaints == []


def test_the_gateway_asks_the_portal_and_the_portal_answers_as_it_closed(us: Gateway, portal: Portal, sign_in: SignIn) -> None:
    page = sign_in("staff")
    page.goto(f"{portal.url}/cases/{open_case(us, 'ASK-1')}")
    page.get_by_text("Close this case as Resolved or Cancelled").click()
    page.get_by_label("Comment").fill("Done.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("The case is closed. Its files stay")).to_be_visible()
    status, told = portal.case_system("us", "ASK-1")
    assert (status, told["status"]) == (200, "closed")
    assert told["closed_at"] == us.call("GET", "cases/ASK-1")["closed_at"]
    assert portal.case_system("us", "ASK-1", "wrong")[0] == 401


def test_the_operations_listener_says_how_the_portal_is(portal: Portal) -> None:
    assert json.loads(portal.operations("/healthz")[1]) == {"status": "alive"}
    assert portal.operations("/readyz")[0] == 200
    assert "eft_portal_answers_total" in portal.operations("/metrics")[1]
