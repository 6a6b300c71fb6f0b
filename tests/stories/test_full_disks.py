"""A disk that is full, for real: a small file system below a real gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
import errno
import os
from pathlib import Path
import subprocess
import time

import pytest

from tests.fixtures.gateway import Gateway
from tests.programs import cannot
from tests.stories.contents import MIB, dense
from tests.stories.tus_customer import Refused, TusCustomer, Upload, customer_of

SIZE = 96 * MIB
PART = 4 * MIB

MakeSmall = Callable[..., tuple[Gateway, Path]]


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSmall]:
    """Makes a gateway whose storage lies on a file system of 96 MiB: `small(reserve_mib=None)`; and where that is mounted."""
    data = tmp_path / "eft" / "data"
    data.mkdir(parents=True)
    try:
        if request.param == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "eft-test", str(data))
        else:
            image = tmp_path / "image"
            image.touch()
            os.truncate(image, SIZE)
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            _run("mount", "-o", "loop", str(image), str(data))
    except (OSError, subprocess.CalledProcessError) as error:
        why = f"no small file system can be mounted here (root, and a kernel that lets it, are needed): {error}"
        cannot(why)
    made: list[Gateway] = []

    def make(reserve_mib: int | None = None) -> tuple[Gateway, Path]:
        gateway = Gateway(tmp_path / "eft", workers=2)
        if reserve_mib is not None:
            text = gateway.config.read_text()
            gateway.config.write_text(text.replace("[storage]\n", f"[storage]\nreserve_mib = {reserve_mib}\n"))
        made.append(gateway.start())
        return gateway, data

    try:
        yield make
    finally:
        for gateway in made:
            gateway.stop()
        _run("umount", "-l", str(data))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def leave(disk: Path, size: int) -> Path:
    """Something else takes the disk, but for about `size` bytes; the file to remove again."""
    ballast = disk / f"ballast-{time.monotonic_ns()}"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while (left := free(disk) - size) > 0:
            file.write(bytes(min(left, MIB)))
        os.fsync(file.fileno())
    return ballast


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def answer_to(act: Callable[[], object]) -> tuple[int, str | None] | None:
    """What was refused, None where nothing was."""
    try:
        act()
    except Refused as refused:
        return refused.status, refused.code
    return None


def send_until_full(customer: TusCustomer, upload: Upload) -> Refused:
    """Sends part after part until the gateway has no space; the refusal. What was acknowledged is noted."""

    def send() -> None:
        while not upload.finished:
            customer.send_part(upload, PART)

    return refusal(send)


def test_uploads_stop_short_of_a_full_disk_and_go_on_when_there_is_space(small: MakeSmall, tmp_path: Path) -> None:
    gateway, disk = small()
    case = gateway.open_case()
    customer = customer_of(gateway, case)
    early = Upload("early.log", dense(tmp_path / "early", 1, 3 * MIB))
    customer.send(early, part=PART)
    ballast = leave(disk, 26 * MIB)
    upload = Upload("large.log", dense(tmp_path / "large", 2, 40 * MIB))
    told = send_until_full(customer, upload)
    assert (told.status, told.code) == (507, "storage-full")
    assert told.problem["remedy"]
    assert upload.acknowledged >= 8 * MIB
    assert free(disk) >= 5 * MIB, "the reserve is there for the database"

    # Everything that takes no new bytes goes on: the control API, downloads, and what is known of the upload.
    another = gateway.open_case("CS-2")
    gateway.call("POST", f"cases/{another}/close", {"sub_status": "resolved", "comment": ""})
    gateway.call("POST", f"cases/{another}/reopen", {"reason": "More came up.", "actor": "staff"})
    status, _, content = customer.request("GET", str(early.path))
    assert (status, content) == (200, (tmp_path / "early").read_bytes())
    customer.resume(upload)
    told = send_until_full(customer, upload)
    assert (told.status, told.code) == (507, "storage-full")

    # So does a gateway that is killed and started on it.
    gateway.kill()
    gateway.start()
    customer = customer_of(gateway, case)
    customer.resume(upload)
    assert upload.acknowledged >= 8 * MIB

    ballast.unlink()
    customer.send(upload, part=PART)
    (attachment,) = [item for item in gateway.attachments(case) if item["name"] == "large.log"]
    assert attachment["sha256"] == upload.source.sha256


def test_nothing_acknowledged_is_lost_where_the_disk_is_full_to_the_last_byte(small: MakeSmall, tmp_path: Path) -> None:
    gateway, disk = small(reserve_mib=0)
    case, fresh = gateway.open_case(), gateway.open_case("CS-2")
    customer, newcomer = customer_of(gateway, case), customer_of(gateway, fresh)
    ballast = [leave(disk, 14 * MIB)]
    upload = Upload("large.log", dense(tmp_path / "large", 3, 30 * MIB))
    told = send_until_full(customer, upload)
    assert (told.status, told.code) == (507, "storage-full")
    ballast.append(leave(disk, 0))

    # Key store and database have no space either. Whatever is asked is answered in time, and says why.
    assert answer_to(lambda: newcomer.create("first.log", 10, b"0123456789")) in (None, (507, "storage-full"))
    assert answer_to(lambda: newcomer.create("second.log", 3 * MIB, bytes(3 * MIB))) == (507, "storage-full")
    assert answer_to(lambda: customer.offset(str(upload.path))) in (None, (507, None))  # HEAD: no body

    for each in ballast:
        each.unlink()
    customer.resume(upload)
    customer.send(upload, part=PART)
    assert upload.finished
    small_file = Upload("small.log", dense(tmp_path / "small", 4, 10_000))
    newcomer.send(small_file, part=PART)
    found = {item["name"]: item["sha256"] for item in gateway.attachments(case) + gateway.attachments(fresh)}
    assert found["large.log"] == upload.source.sha256
    assert found["small.log"] == small_file.source.sha256


def test_ballast_fills_the_disk(small: MakeSmall) -> None:
    """The tests above would prove nothing on a disk that has space."""
    gateway, disk = small(reserve_mib=0)
    gateway.stop()
    leave(disk, 0)
    with pytest.raises(OSError) as caught, (disk / "more").open("wb", buffering=0) as file:
        for _ in range(64):
            file.write(bytes(65536))
            os.fsync(file.fileno())
    assert caught.value.errno == errno.ENOSPC
