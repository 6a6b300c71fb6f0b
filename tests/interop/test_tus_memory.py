"""A part with a checksum of any size takes no more of the gateway's memory than a small one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
import hashlib
from pathlib import Path
import re
import secrets

import pytest

from tests.fixtures.gateway import Gateway
from tests.stories.tus_customer import TusCustomer, customer_of

pytestmark = pytest.mark.timeout(300)

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 1024
ROOM = 24 * MIB
"""Buffers of one connection and one upload, and what the allocator keeps."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us", workers=1).start()
    yield made
    made.stop()


def peak_of(pid: int) -> int:
    """Bytes that were resident at most since `forget_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def send(customer: TusCustomer, size: int, *, how: str) -> None:
    """One PATCH of `size` bytes, as one part with a checksum before or after it, or without."""
    pieces = size // len(PIECE)
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(PIECE)
    said = "sha256 " + b64encode(digest.digest()).decode()
    path = customer.create(f"{size} {how}", size)
    told = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Content-Length": str(size)}
    told |= {"Upload-Checksum": said} if how == "checksum" else {}
    status, headers, answer = customer.request("PATCH", path, told, (PIECE for _ in range(pieces)))
    assert status == 204, answer
    assert headers["Repr-Digest"] == f"sha-256=:{said.split(' ')[1]}:"


def check_that_size_is_no_matter(gateway: Gateway, size: int) -> None:
    customer = customer_of(gateway, gateway.open_case(f"CS-{secrets.token_hex(4)}"))
    (pid,) = gateway.worker_pids()
    send(customer, 4 * MIB, how="checksum")
    forget_peak(pid)
    send(customer, 4 * MIB, how="checksum")
    small = peak_of(pid)
    for how in ("checksum", "plain"):
        forget_peak(pid)
        send(customer, size, how=how)
        assert peak_of(pid) - small < ROOM, f"{how}: {small // MIB} -> {peak_of(pid) // MIB} MiB"


def test_a_part_of_96_mib(gateway: Gateway) -> None:
    check_that_size_is_no_matter(gateway, 96 * MIB)


@pytest.mark.soak
def test_a_part_of_2_gib(gateway: Gateway) -> None:
    check_that_size_is_no_matter(gateway, 2048 * MIB)
