"""tus by tuspy, with what it lacks: SHA-256 for every part, our connections and trust, refusals as sentences, a part that reports
how far it is and can be stopped, a length that is only known at the end."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
import hashlib
import io
import threading
from typing import Any

from tusclient.client import TusClient
from tusclient.uploader import Uploader

from eft.client.errors import ClientError, Interrupted, Transient
from eft.client.gateway import Gateway

PIECE = 256 * 1024
PART_TYPE = "application/offset+octet-stream"


class Body:
    """The bytes of one part, given out in pieces without a copy. `sent` is told how many of them have left."""

    def __init__(self, data: memoryview, stop: threading.Event, sent: Callable[[int], None]) -> None:
        self._data = data
        self._stop = stop
        self._sent = sent

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self._data), PIECE):
            if self._stop.is_set():
                raise Interrupted("Stopped.")
            yield self._data[start : start + PIECE]
            self._sent(min(start + PIECE, len(self._data)))


class PartUploader(Uploader):  # type: ignore[misc]  # tuspy has no types
    """tuspy's uploader for one file. `size` in bytes, None where it is not known yet.

    Its methods raise Transient and ClientError, never an exception of tuspy or requests.
    """

    def __init__(self, gateway: Gateway, metadata: dict[str, str], size: int | None) -> None:
        self._gateway = gateway
        self.size = size
        self.ends: dict[str, str] = {}
        self.url: str | None
        self.offset: int
        super().__init__(client=TusClient(gateway.files), file_stream=io.BytesIO(), metadata=metadata)

    def get_file_size(self) -> int:
        return self.size or 0

    def get_url_creation_headers(self) -> dict[str, str]:
        headers: dict[str, str] = super().get_url_creation_headers()
        if self.size is None:
            del headers["upload-length"]
            headers["upload-defer-length"] = "1"
        return headers

    def create_url(self, body: Body | None = None, checksum: str = "") -> str:
        """The address of a new upload; with `body`, of the whole file, in the same request (tus 1.0.0 §creation-with-upload)."""
        headers = self.get_url_creation_headers()
        if body is not None and len(body):
            headers |= {"Content-Type": PART_TYPE, "Upload-Checksum": checksum}
        answer = self._gateway.ask("POST", self._gateway.files, headers, body if body is not None and len(body) else b"")
        location = answer.headers.get("Location")
        if not location:
            raise ClientError("The gateway did not say where the upload is.", "Is that the address of an eft gateway?")
        self.ends = dict(answer.headers)
        self.offset = _offset(answer.headers) if "Upload-Offset" in answer.headers else 0
        return self._gateway.absolute(location)

    def get_offset(self) -> int:
        """What the gateway has, in bytes; its metadata and digest are in `ends` afterwards."""
        answer = self._gateway.ask("HEAD", self._address())
        self.ends = dict(answer.headers)
        return _offset(answer.headers)

    def send(self, body: Body, checksum: str) -> None:
        """One PATCH at `offset`, which moves on."""
        headers = self.get_headers() | {
            "Content-Type": PART_TYPE,
            "Upload-Offset": str(self.offset),
            "Upload-Checksum": checksum,
        }
        if self.size is not None and self.deferred:
            headers["Upload-Length"] = str(self.size)
        answer = self._gateway.ask("PATCH", self._address(), headers, body if len(body) else b"")
        self.ends = dict(answer.headers)
        offset = _offset(answer.headers)
        if offset != self.offset + len(body):
            raise Transient("the gateway took a part of the part")
        self.offset = offset

    def _address(self) -> str:
        assert self.url is not None
        return self.url

    deferred = False
    """Whether the upload was created without a length."""


def sha256_checksum(data: memoryview) -> str:
    return f"sha256 {b64encode(hashlib.sha256(data).digest()).decode()}"


def repr_digest(headers: dict[str, str]) -> str | None:
    """The SHA-256, in hex, that the gateway tells of a whole file (RFC 9530), None where it does not."""
    said = next((value for key, value in headers.items() if key.lower() == "repr-digest"), "")
    for member in said.split(","):
        algorithm, _, value = member.strip().partition("=")
        if algorithm == "sha-256":
            try:
                return b64decode(value.strip(":"), validate=True).hex()
            except ValueError:
                return None
    return None


def metadata_value(headers: dict[str, str], wanted: str) -> str | None:
    """One value of Upload-Metadata."""
    said = next((value for key, value in headers.items() if key.lower() == "upload-metadata"), "")
    for pair in said.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if key == wanted:
            try:
                return b64decode(encoded, validate=True).decode("utf-8")
            except ValueError:
                return None
    return None


def _offset(headers: Any) -> int:
    said = headers.get("Upload-Offset", "")
    if not said.isdecimal():
        raise ClientError("The gateway does not say what it has.", "Is that the address of an eft gateway?")
    return int(said)
