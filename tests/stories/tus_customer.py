"""A customer who sends over HTTPS, and remembers every offset that was acknowledged."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
import hashlib
import http.client
import json
import select
import ssl
import time
from typing import Any

from tests.fixtures.gateway import Gateway
from tests.stories.contents import Source

GONE = (OSError, http.client.HTTPException)
"""What a connection to a killed gateway ends with."""


IDLE_S = 60.0
"""Seconds. A gateway ends a connection that asks nothing for 75."""


class Refused(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, body: bytes) -> None:
        try:
            self.problem: dict[str, Any] = json.loads(body or b"{}")
        except ValueError:
            self.problem = {}
        super().__init__(f"{status} {self.problem or body[:200]!r}")
        self.status, self.code = status, self.problem.get("code")


@dataclass
class Upload:
    """One upload, as its sender knows it. `path` is its address, once it has one; `acknowledged` the last offset that an answer
    told."""

    name: str
    source: Source
    path: str | None = None
    acknowledged: int = 0
    finished: bool = False


@dataclass
class TusCustomer:
    """Sends with one upload token, on a connection that is kept as long as it lives and is used: one that was idle for a minute
    is about to be ended by its gateway, and is not used again."""

    gateway: Gateway
    token: str
    host: str | None = None
    timeout_s: float = 60.0
    _connection: http.client.HTTPSConnection | None = field(default=None, repr=False)
    _used_at: float = field(default=0.0, repr=False)

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | Iterable[bytes] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request, as it is; raises what GONE names where the gateway does."""
        if time.monotonic() - self._used_at > IDLE_S:
            self.hang_up()
        if self._connection is None:
            self._connection = self._connect()
        try:
            try:
                self._connection.request(method, path, body=body, headers={**self._headers, **(headers or {})})
            except (BrokenPipeError, ConnectionResetError):
                if self._connection.sock is None:
                    raise  # The refusal of a large body may have been sent before all of it was taken.
            answer = self._connection.getresponse()
            content = answer.read()
        except BaseException:
            self.hang_up()
            raise
        self._used_at = time.monotonic()
        if answer.will_close:
            self.hang_up()
        return answer.status, answer.headers, content

    def is_answered(self, wait_s: float) -> bool:
        """Whether an answer comes within so many seconds, while a body is still being sent."""
        assert self._connection is not None
        return bool(select.select([self._connection.sock], [], [], wait_s)[0])

    @contextmanager
    def download(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """A download that has just begun, on a connection of its own."""
        with closing(self._connect()) as connection:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            assert answer.status == 200
            yield answer

    @property
    def _headers(self) -> dict[str, str]:
        told = {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}
        return told if self.host is None else {**told, "Host": self.host}

    def _connect(self) -> http.client.HTTPSConnection:
        port, trust = self.gateway.https_port, self.gateway.trust()
        # Of 1.3's session tickets, which may come late, `is_answered` would take the first for an answer.
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=self.timeout_s)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def create(self, name: str | bytes, size: int, body: bytes | None = None, **metadata: str) -> str:
        """A new upload's address; with `body` its first bytes go with it. Raises Refused."""
        raw = name if isinstance(name, bytes) else name.encode()
        pairs = [("filename", raw), *((key, value.encode()) for key, value in metadata.items())]
        told = {"Upload-Length": str(size), "Upload-Metadata": ",".join(f"{k} {b64encode(v).decode()}" for k, v in pairs)}
        if body is not None:
            told["Content-Type"] = "application/offset+octet-stream"
        status, headers, answer = self.request("POST", "/files", told, body or b"")
        if status != 201:
            raise Refused(status, answer)
        return str(headers["Location"])

    def offset(self, path: str) -> int:
        """What the gateway says is stored. Raises Refused."""
        status, headers, answer = self.request("HEAD", path)
        if status != 200:
            raise Refused(status, answer)
        return int(headers["Upload-Offset"])

    def patch(self, path: str, offset: int, body: bytes | Iterable[bytes], size: int, *, checksum: bool = False) -> int:
        """Sends one part of `size` bytes; the offset that is acknowledged. Raises Refused."""
        told = {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Content-Length": str(size),
        }
        if checksum:
            assert isinstance(body, bytes)
            told["Upload-Checksum"] = "sha256 " + b64encode(hashlib.sha256(body).digest()).decode()
        status, headers, answer = self.request("PATCH", path, told, body)
        if status != 204:
            raise Refused(status, answer)
        return int(headers["Upload-Offset"])

    def send_part(self, upload: Upload, size: int, *, checksum: bool = False) -> None:
        """Sends the next `size` bytes of it, and notes what is acknowledged."""
        if upload.path is None:
            upload.path = self.create(upload.name, upload.source.size)
        stop = min(upload.acknowledged + size, upload.source.size)
        body: bytes | Iterable[bytes] = (
            upload.source.read(upload.acknowledged, stop) if checksum else upload.source.pieces(upload.acknowledged, stop)
        )
        upload.acknowledged = self.patch(upload.path, upload.acknowledged, body, stop - upload.acknowledged, checksum=checksum)
        assert upload.acknowledged == stop
        upload.finished = stop == upload.source.size

    def resume(self, upload: Upload) -> None:
        """Asks where to go on, and sees that nothing which was acknowledged is lost."""
        if upload.path is None:
            return
        offset = self.offset(upload.path)
        assert upload.acknowledged <= offset <= upload.source.size, f"{upload.name}: {upload.acknowledged} -> {offset}"
        upload.acknowledged = offset
        upload.finished = offset == upload.source.size

    def send(self, upload: Upload, *, part: int, checksum: bool = False) -> None:
        """Sends the rest of it, part by part. Raises Refused, and what GONE names."""
        while not upload.finished:
            self.send_part(upload, part, checksum=checksum)

    def send_through_anything(self, upload: Upload, *, part: int, checksum: bool = False, patience_s: float = 120.0) -> int:
        """Sends it to its end, however often the gateway goes away meanwhile. How often it did."""
        deadline = time.monotonic() + patience_s
        lost = 0
        while True:
            try:
                self.resume(upload)
                self.send(upload, part=part, checksum=checksum)
                return lost
            except Refused as refused:
                # Whoever held the upload before may still be letting go of it.
                if refused.status not in (409, 503):
                    raise
                last: Exception = refused
            except GONE as gone:
                lost += 1
                last = gone
            assert time.monotonic() < deadline, f"{upload.name} never got through: {last!r}"
            time.sleep(0.1)


def customer_of(gateway: Gateway, case_id: str, **options: Any) -> TusCustomer:
    return TusCustomer(gateway, gateway.upload_token(case_id), **options)
