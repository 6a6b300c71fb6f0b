"""`/files` on real transfers, a real disk and a real database, asked over TLS."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import hashlib
import http.client
import json
from pathlib import Path
from typing import Any

from eft.domain.upload import Source
from eft.http_resumable.callers import Callers
from eft.http_resumable.files import Files
from eft.http_resumable.gate import Gate
from eft.http_resumable.limits import Limits
from eft.http_resumable.page_html import Pages
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.wording import Wording
from tests.fixtures.services import STAFF, Services, running_services
from tests.fixtures.tls import Certificates, Peer, RunningServer, running_server

PART = "application/offset+octet-stream"


def encoded(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


def checksum(algorithm: str, data: bytes) -> str:
    return f"{algorithm} {encoded(hashlib.new(algorithm, data).digest())}"


class Told:
    """One answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["Content-Type"] == "application/problem+json"
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.problem["code"])

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])


class TusSite:
    """A gateway's `/files`, with a case and an upload token for it."""

    def __init__(self, server: RunningServer, services: Services, files: Files) -> None:
        self.server = server
        self.services = services
        self.files = files
        self.run = server.run
        self.run(services.open_case("C-1"))
        self.token = self.new_token("C-1")

    def new_token(self, case_id: str, ttl_s: int = 3600, source: Source = Source.HTTPS) -> str:
        token, _ = self.run(self.services.tokens.issue_upload(case_id, ttl_s, source, STAFF))
        return token

    def ask(
        self,
        method: str,
        path: str = "/files",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        token: str | None = None,
        version: str | None = "1.0.0",
    ) -> Told:
        """One request on a connection of its own."""
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, context=self.server.certificates.client_context(), timeout=20
        )
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        if version is not None:
            sent["Tus-Resumable"] = version
        try:
            connection.request(method, path, body, sent)
            return Told(connection.getresponse())
        finally:
            connection.close()

    def create(self, length: int | None, name: str = "a.log", **headers: str) -> str:
        """The path of a new upload."""
        sized = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        answer = self.ask("POST", headers={**sized, "Upload-Metadata": f"filename {encoded(name)}", **headers})
        assert answer.status == 201, answer.body
        return str(answer.headers["Location"])

    def patch(self, path: str, offset: int, data: bytes, **headers: str) -> Told:
        sent = {"Content-Type": PART, "Upload-Offset": str(offset)}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.ask("PATCH", path, sent, data)

    def begin_patch(self, path: str, offset: int, size: int, *more: str) -> Peer:
        """A PATCH of `size` bytes whose head alone was sent."""
        peer = self.server.peer()
        fields = [
            f"PATCH {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.token}",
            "Tus-Resumable: 1.0.0",
            f"Content-Type: {PART}",
            f"Upload-Offset: {offset}",
            f"Content-Length: {size}",
            *more,
        ]
        peer.send("\r\n".join(fields) + "\r\n\r\n")
        return peer

    def stored(self, path: str) -> bytes:
        return self.run(self.services.content(path.rsplit("/", 1)[-1]))


@contextmanager
def tus_site(directory: Path, certificates: Certificates, **options: Any) -> Iterator[TusSite]:
    files: list[Gate] = []

    async def handler(request: Request) -> Response:
        return await files[0](request)

    with running_server(handler, certificates, Limits(sweep_s=0.05, linger_s=1.0)) as server:
        scope = running_services(directory)
        services = server.run(scope.__aenter__())
        try:
            tus = Files(services.transfers, callers=Callers(services.tokens.authenticate), **options)
            word = Wording(Pages(portal_url=None, region_title="Americas"))
            origins = ["https://portal.example:8440"]
            files.append(Gate({"/files": tus}, allowed_hosts=["localhost"], cors_origins=origins, word=word))
            yield TusSite(server, services, tus)
        finally:
            server.hang_up()
            server.run(scope.__aexit__(None, None, None))
