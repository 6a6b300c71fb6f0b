"""Proxies in front of a gateway, with the settings that docs/proxies.md prints, and what customers do behind them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
import hashlib
import io
import os
from pathlib import Path
import re
import secrets
import socket
import sqlite3
import ssl
import subprocess
import time

import trustme
from tusclient.client import TusClient

from tests.fixtures.gateway import ROOT, Gateway, free_ports

MIB = 1024 * 1024
CUSTOMER = "127.0.0.9"
"""The address that customers of these tests connect to the proxy from."""

Program = Callable[[str], str]


def documented(heading: str) -> str:
    """The settings below a heading of docs/proxies.md, as they are printed."""
    page = (ROOT / "docs" / "proxies.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"```(?:nginx|haproxy)\n(.*?)```", section, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def put_in(settings: str, **places: str) -> str:
    """The settings with this machine's places instead of the documented ones. Each must be in there."""
    for documented_place, here in places.items():
        assert documented_place in settings, documented_place
        settings = settings.replace(documented_place, here)
    return settings


def gateway_behind(directory: Path, *https_settings: str) -> Gateway:
    """A gateway with more settings in its section [https], not started yet."""
    made = Gateway(directory, workers=2)
    text = made.config.read_text()
    made.config.write_text(text.replace("[https]\n", "[https]\n" + "\n".join(https_settings) + "\n"))
    return made


@dataclass
class Proxy:
    """A running proxy: where it listens, and the authority that its certificate is to be checked with."""

    gateway: Gateway
    port: int
    ca: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@dataclass(frozen=True)
class Places:
    """Files and a port for a proxy."""

    directory: Path
    port: int
    ca: Path
    certificate: Path
    key: Path
    both: Path


def places(directory: Path) -> Places:
    directory.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    made = Places(directory, free_ports(1)[0], *(directory / name for name in ("ca.pem", "proxy.pem", "proxy.key", "both.pem")))
    authority.cert_pem.write_to_path(made.ca)
    made.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(made.key)
    issued.private_key_and_cert_chain_pem.write_to_path(made.both)
    return made


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """The proxy runs, and listens on that port, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 15
        while True:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def in_front_of(gateway: Gateway, command: list[str], here: Places, *, ca: Path | None = None) -> Iterator[Proxy]:
    """The gateway and the proxy before it run until the block ends. `ca`: what customers trust, if not the proxy's own."""
    gateway.start()
    try:
        with running(command, here.port, here.directory / "log"):
            yield Proxy(gateway, here.port, ca or here.ca)
    finally:
        gateway.stop()


class Customer:
    """Somebody with a token of a case of their own, who reaches the gateway through the proxy, with curl or tuspy."""

    def __init__(self, proxy: Proxy, curl: str) -> None:
        self.proxy = proxy
        self.case = proxy.gateway.open_case(f"CS-{secrets.token_hex(4)}")
        self.token = proxy.gateway.upload_token(self.case)
        self._base = [curl, "-sS", "--max-time", "60", "--cacert", str(proxy.ca), "--interface", CUSTOMER, "-4"]
        self._base += ["-H", f"Authorization: Bearer {self.token}", "-H", "Tus-Resumable: 1.0.0"]

    def command(self, path: str, *arguments: str) -> list[str]:
        return [*self._base, *arguments, self.proxy.url + path]

    def curl(self, path: str, *arguments: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request."""
        done = subprocess.run(self.command(path, "-i", *arguments), capture_output=True, check=True, timeout=90)
        rest = done.stdout
        while True:
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                return status, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}, rest

    def create(self, size: int, *arguments: str) -> tuple[str, dict[str, str]]:
        told = ("-X", "POST", "-H", f"Upload-Length: {size}", "-H", "Upload-Metadata: filename YS5sb2c=")
        status, headers, body = self.curl("/files", *told, *arguments)
        assert status == 201, body
        return headers["location"], headers

    def patch(self, path: str, offset: int, file: Path) -> list[str]:
        """The command that sends a file as the part at `offset`."""
        told = ["-X", "PATCH", "-H", f"Upload-Offset: {offset}", "-H", "Content-Type: application/offset+octet-stream"]
        return self.command(path, *told, "-T", str(file))

    def stored(self) -> int:
        """Bytes that the gateway has of the case's one unfinished upload, asked without the proxy."""
        (upload,) = self.proxy.gateway.call("GET", f"cases/{self.case}/uploads")["items"]
        return int(upload["offset"])

    def addresses(self) -> set[str]:
        """Where the customer came from, as the audit log has it."""
        with closing(sqlite3.connect(next(self.proxy.gateway.directory.rglob("eft.db")))) as database:
            found = database.execute(
                "SELECT address FROM audit WHERE case_id = ? AND action LIKE 'upload.%'", (self.case,)
            ).fetchall()
        return {address for (address,) in found if address}


def customer_cuts_and_resumes(customer: Customer, directory: Path) -> None:
    """An upload killed in the middle: what was sent is with the gateway while it runs, and only the rest is sent again."""
    data = os.urandom(8 * MIB)
    whole, rest = directory / "whole", directory / "rest"
    whole.write_bytes(data)
    path, _ = customer.create(len(data))
    sender = subprocess.Popen([*customer.patch(path, 0, whole), "--limit-rate", "2M"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while customer.stored() < MIB:
            assert sender.poll() is None
            assert time.monotonic() < deadline, "the proxy holds the request back"
            time.sleep(0.05)
    finally:
        sender.kill()
        sender.wait()
    status, headers, _ = customer.curl(path, "--head")
    offset = int(headers["upload-offset"])
    assert status == 200
    assert MIB <= offset < len(data)
    rest.write_bytes(data[offset:])
    done = subprocess.run(
        [*customer.patch(path, offset, rest), "-w", "%{http_code}"], capture_output=True, check=True, timeout=90
    )
    assert done.stdout == b"204"
    (attachment,) = customer.proxy.gateway.attachments(customer.case)
    assert (attachment["size"], attachment["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    status, headers, body = customer.curl(path, "-r", "1000000-1000099")
    assert (status, headers["content-range"], body) == (206, f"bytes 1000000-1000099/{len(data)}", data[1000000:1000100])
    status, _, body = customer.curl(path)
    assert (status, hashlib.sha256(body).hexdigest()) == (200, attachment["sha256"])


def customer_uploads_with_tuspy(customer: Customer) -> None:
    data = os.urandom(5 * MIB + 7)
    client = TusClient(f"{customer.proxy.url}/files", headers={"Authorization": f"Bearer {customer.token}"})
    os.environ["REQUESTS_CA_BUNDLE"] = str(customer.proxy.ca)
    try:
        client.uploader(
            file_stream=io.BytesIO(data), metadata={"filename": "b.log"}, chunk_size=2 * MIB, upload_checksum=True
        ).upload()
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
    assert [item["sha256"] for item in customer.proxy.gateway.attachments(customer.case)] == [hashlib.sha256(data).hexdigest()]


def customer_is_known_and_cannot_pretend(customer: Customer) -> None:
    pretended = ["X-Forwarded-For: 6.6.6.6", "Forwarded: for=7.7.7.7;host=evil.example", "X-Real-IP: 8.8.8.8"]
    _, headers = customer.create(10, *(part for line in pretended for part in ("-H", line)))
    assert customer.addresses() == {CUSTOMER}
    assert re.fullmatch("/files/[0-9a-f]{32}", headers["location"])


def customer_reaches_no_other_host(customer: Customer) -> None:
    status, _, body = customer.curl("/files", "-X", "OPTIONS", "-H", "Host: evil.example")
    assert (status, b"wrong-host" in body) == (421, True)


def customer_sends_a_checksum_in_a_trailer(customer: Customer, *, arrives: bool) -> None:
    """A checksum that the proxy drops is missed: a part is never taken for checked that was not."""
    path, _ = customer.create(5)
    for digest, ends in ((hashlib.sha256(b"hello").digest(), b"204"), (bytes(32), b"460")):
        told = b64encode(digest).decode()
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {customer.token}\r\nTus-Resumable: 1.0.0\r\n"
            "Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nTransfer-Encoding: chunked\r\n"
            "Trailer: Upload-Checksum\r\nConnection: close\r\n\r\n"
        )
        body = f"5\r\nhello\r\n0\r\nUpload-Checksum: sha256 {told}\r\n\r\n"
        trust = ssl.create_default_context(cafile=str(customer.proxy.ca))
        with (
            socket.create_connection(("127.0.0.1", customer.proxy.port), timeout=20) as raw,
            trust.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            sock.sendall((head + body).encode())
            status = sock.recv(65536).split(b" ")[1]
        assert status == (ends if arrives else b"400")
        if status == b"204":
            path, _ = customer.create(5)
    assert customer.stored() == 0


def interim_answers(customer: Customer) -> list[int]:
    """The statuses of the answers, interim ones first, to a creation as the IETF draft has it, whose body takes its time."""
    head = (
        f"POST /files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {customer.token}\r\n"
        "Upload-Draft-Interop-Version: 6\r\nUpload-Complete: ?1\r\nContent-Length: 10\r\nConnection: close\r\n"
        'Content-Disposition: attachment; filename="c.log"\r\n\r\n'
    )
    trust = ssl.create_default_context(cafile=str(customer.proxy.ca))
    with (
        socket.create_connection(("127.0.0.1", customer.proxy.port), timeout=20) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        sock.sendall(head.encode() + b"01234")
        time.sleep(1)
        sock.sendall(b"56789")
        told = b""
        while piece := sock.recv(65536):
            told += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", told)]
