"""The Transfer Files page and `/files` on real transfers, a real disk and a real database, asked over TLS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import http.client
import json
from pathlib import Path
import re
import secrets
from typing import Any

from eft.domain.person import Person, Role
from eft.http_resumable.callers import Callers
from eft.http_resumable.files import Files
from eft.http_resumable.gate import Gate
from eft.http_resumable.limits import Limits
from eft.http_resumable.page_assets import Build
from eft.http_resumable.page_cookies import PageCookie
from eft.http_resumable.page_html import Pages
from eft.http_resumable.page_routes import page_routes
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.wording import Wording
from tests.fixtures.services import REGIONS, STAFF, Services, running_services
from tests.fixtures.tls import Certificates, RunningServer, running_server
from tests.unit.http.tus_site import Told, encoded

ADA = Person("Ada L.", "ada@example.com", Role.CUSTOMER)
GRACE = Person("Grace", "grace@example.com", Role.STAFF)
PORTAL = "https://portal.example:8440"
OWN = {"Sec-Fetch-Site": "same-origin"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TUS = {"Tus-Resumable": "1.0.0"}


class PageSite:
    """A gateway's page, and the browsers in front of it."""

    def __init__(self, server: RunningServer, services: Services) -> None:
        self.server = server
        self.services = services
        self.run = server.run

    def ask(
        self,
        method: str,
        path: str,
        *,
        cookie: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Told:
        """One request on a connection of its own."""
        sent = {**({} if cookie is None else {"Cookie": cookie}), **(headers or {})}
        context = self.server.certificates.client_context()
        connection = http.client.HTTPSConnection("localhost", self.server.port, context=context, timeout=20)
        try:
            connection.request(method, path, body, sent)
            return Told(connection.getresponse())
        finally:
            connection.close()

    def ticket(self, case_id: str = "C-1", person: Person = ADA) -> str:
        """The path of a launch."""
        ticket, _ = self.run(self.services.launches.issue(case_id, person, STAFF))
        return f"/launch/{ticket}"

    def launch(self, case_id: str = "C-1", person: Person = ADA, *, cookie: str | None = None) -> str:
        """The cookie that the browser has after a launch, ready to be sent."""
        answer = self.ask("GET", self.ticket(case_id, person), cookie=cookie)
        assert (answer.status, answer.headers["Location"]) == (303, f"/transfer/{case_id}")
        return str(answer.headers["Set-Cookie"]).split(";")[0]

    def page(self, case_id: str = "C-1", cookie: str | None = None, **headers: str) -> Told:
        return self.ask("GET", f"/transfer/{case_id}", cookie=cookie, headers={**BROWSER, **headers})

    def state(self, cookie: str, case_id: str = "C-1") -> dict[str, Any]:
        answer = self.ask("GET", f"/transfer/{case_id}/state", cookie=cookie, headers=OWN)
        assert answer.status == 200, answer.body
        return dict(json.loads(answer.body))

    def create(self, cookie: str | None, length: int = 10, **headers: str) -> Told:
        """A new upload by the page's script."""
        sent = {**TUS, "Upload-Length": str(length), "Upload-Metadata": f"filename {encoded('a.log')}"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.ask("POST", "/files", cookie=cookie, headers=sent)

    def send_form(self, cookie: str, body: bytes, boundary: str, case_id: str = "C-1", **headers: str) -> Told:
        sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", **OWN, **headers}
        return self.ask("POST", f"/transfer/{case_id}", cookie=cookie, headers=sent, body=body)

    def attachments(self, case_id: str = "C-1") -> dict[str, bytes]:
        """The case's files by name."""
        found, _ = self.run(self.services.transfers.attachments(case_id, None, 100))
        return {each.name: self.run(self.services.content(each.id)) for each in found}


def form(*parts: tuple[str, bytes], boundary: str = "", end: bytes = b"--") -> tuple[bytes, str]:
    """A form's body and boundary. A part is the rest of its Content-Disposition, and its bytes."""
    boundary = boundary or secrets.token_hex(12)
    body = b""
    for disposition, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}".encode() + end + b"\r\n", boundary


def a_file(name: str, content: bytes) -> tuple[str, bytes]:
    return f'name="file"; filename="{name}"', content


def code_in(answer: Told) -> str:
    """Which message a page shows."""
    found = re.search(r'data-code="([a-z-]+)"', answer.body.decode())
    return found[1] if found else ""


@contextmanager
def page_site(
    directory: Path,
    certificates: Certificates,
    *,
    portal_url: str | None = PORTAL,
    build: Build | None = None,
    max_size: int | None = None,
) -> Iterator[PageSite]:
    gates: list[Gate] = []

    async def handler(request: Request) -> Response:
        return await gates[0](request)

    with running_server(handler, certificates, Limits(sweep_s=0.05, linger_s=1.0)) as server:
        scope = running_services(directory)
        services = server.run(scope.__aenter__())
        try:
            cookie = PageCookie("us", services.sessions)
            callers = Callers(services.tokens.authenticate, cookie=cookie, transfers=services.transfers)
            routes = page_routes(
                launches=services.launches,
                cases=services.cases,
                transfers=services.transfers,
                receipts=services.receipts,
                callers=callers,
                cookie=cookie,
                clock=services.clock,
                region=REGIONS["us"],
                portal_url=portal_url,
                build=build or Build(),
                max_size=max_size,
            )
            routes["/files"] = Files(services.transfers, callers=callers)
            word = Wording(Pages(portal_url=portal_url, region_title=REGIONS["us"].title))
            gates.append(Gate(routes, allowed_hosts=["localhost"], cors_origins=[PORTAL], word=word))
            made = PageSite(server, services)
            made.run(services.open_case("C-1"))
            yield made
        finally:
            server.hang_up()
            server.run(scope.__aexit__(None, None, None))
