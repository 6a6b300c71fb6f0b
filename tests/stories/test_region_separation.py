"""What belongs to one region is refused by another, told where to go, and never written anywhere but below its own root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import http.client
import json
from pathlib import Path
import re
import tomllib
from typing import Any

import pytest

from tests.fixtures.gateway import ROOT, Gateway
from tests.stories.conftest import MakeGateway
from tests.stories.contents import MIB, dense, noise
from tests.stories.sftp_customer import SftpCustomer, account_of, sftp_customer
from tests.stories.tus_customer import Refused, TusCustomer, Upload, customer_of
from tests.stories.waiting import published

pytestmark = [pytest.mark.needs("sftp"), pytest.mark.timeout(180)]

CASE = "CS-1"


@dataclass
class Regions:
    """The same case at two gateways: with `us` it is, `emea` knows nothing of it."""

    us: Gateway
    emea: Gateway
    token: str
    account: dict[str, Any]


@pytest.fixture(scope="module")
def regions(make_gateway: MakeGateway) -> Regions:
    us, emea = make_gateway(region="us").start(), make_gateway(region="emea").start()
    us.open_case(CASE)
    emea.open_case(CASE)
    return Regions(us, emea, us.upload_token(CASE), account_of(us, CASE))


def us_facts() -> dict[str, Any]:
    return tomllib.loads((ROOT / "regions" / "us.toml").read_text())


def tree(gateway: Gateway) -> dict[str, tuple[int, int]]:
    """Every file of a gateway outside of what changes by itself, with its size and the time it was last changed."""
    idle = {"run", "eft.db-wal", "eft.db-shm", "eft.db-turn", "eft.db"}
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in (gateway.directory / "data").rglob("*")
        if path.is_file() and not idle & set(path.parts)
    }


def test_an_upload_token_of_another_region_is_sent_there(regions: Regions) -> None:
    before = tree(regions.emea)
    https = us_facts()["https"]
    stranger = TusCustomer(regions.emea, regions.token)
    for attempt in (
        lambda: stranger.create("x", 5, b"bytes"),
        lambda: stranger.create("x", 5),
        lambda: stranger.offset("/files/" + "0" * 32),
        lambda: stranger.patch("/files/" + "0" * 32, 0, noise(1, MIB), MIB),
    ):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.status == 421
        if refused.value.problem:
            assert refused.value.problem["code"] == "wrong-region"
            assert refused.value.problem["region"] == "us"
            assert refused.value.problem["url"] == f"https://{https['hosts'][0]}:{https['port']}"
    assert tree(regions.emea) == before
    assert regions.emea.attachments(CASE) == []


def test_an_api_token_of_another_region_is_sent_there(regions: Regions) -> None:
    for method, path, body in (("GET", "cases", None), ("POST", f"cases/{CASE}/attachments?name=x", b"bytes")):
        status, problem = ask(regions.emea, method, f"/api/v1/{path}", regions.us.api_token, body=body)
        assert (status, problem["code"], problem["region"]) == (421, "wrong-region", "us")
        assert problem["url"].startswith("https://")


def test_a_temporary_account_of_another_region_is_told_the_host(regions: Regions, tmp_path: Path) -> None:
    sftp = us_facts()["sftp"]
    lost = SftpCustomer(regions.emea, tmp_path, regions.account)
    said = lost.run("pwd", extra=("-o", "LogLevel=INFO"))
    assert said.code != 0
    assert "Permission denied" in said.text
    assert "region us" in said.text
    assert f"sftp://{sftp['host']}:{sftp['port']}" in said.text
    SftpCustomer(regions.us, tmp_path, regions.account).ok("pwd")


@pytest.mark.parametrize("host", ["example.com", "eftgateway-us.localhost", "localhost.evil.example", "127.0.0.2", "[::2]", ""])
def test_a_host_that_is_not_the_gateways_is_refused(regions: Regions, host: str) -> None:
    """Before anything else is looked at: the token would be good."""
    token = regions.emea.upload_token(CASE)
    for method, path in (("POST", "/files"), ("GET", "/api/v1/cases")):
        status, problem = ask(regions.emea, method, path, token, host=host)
        assert (status, problem["code"]) == ((421, "wrong-host") if host else (400, "malformed-request"))
    status, _ = ask(regions.emea, "GET", "/api/v1/cases", regions.emea.api_token, host="eftgateway-emea.localhost:8442")
    assert status == 200


def ask(
    gateway: Gateway, method: str, path: str, token: str, *, host: str = "localhost", body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.https_port, context=gateway.trust(), timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}", "Host": host, "Tus-Resumable": "1.0.0", "Upload-Length": "0"}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


WRITES = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,truncate,bind"
CALL = re.compile(r"^\d+\s+(?P<call>\w+)\((?P<arguments>.*)\)\s+=\s+(?P<result>-?\d+)(?:<(?P<opened>[^>]*)>)?")
PATHS = re.compile(r'(?:(?P<fd>AT_FDCWD|\d+)(?:<(?P<directory>[^>]*)>)?, )?"(?P<path>(?:[^"\\]|\\.)*)"')
SYSTEM = ("/dev/null", "/dev/tty", "/dev/urandom", "/proc/", "/sys/")


@pytest.fixture
def traced(make_gateway: MakeGateway, program: Any, tmp_path: Path) -> Iterator[tuple[Gateway, Path]]:
    """A gateway of which every system call is written down that makes or opens a file."""
    trace = tmp_path / "trace"
    strace = [program("strace"), "-D", "-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e", f"trace={WRITES}"]
    gateway = make_gateway(region="us", workers=2, before=(*strace, "-o", str(trace), "--"))
    yield gateway.start(), trace
    gateway.stop()


@pytest.mark.needs("strace")
def test_a_gateway_writes_below_its_regions_root_alone(traced: tuple[Gateway, Path], tmp_path: Path) -> None:
    gateway, trace = traced
    case = gateway.open_case()
    core = dense(tmp_path / "core", 1, 5 * MIB)
    customer = customer_of(gateway, case)
    upload = Upload("core", core)
    customer.send_part(upload, 2 * MIB, checksum=True)
    customer.send(upload, part=2 * MIB)
    customer.create("small", 5, b"small")
    sftp = sftp_customer(gateway, case, tmp_path)
    sftp.ok("mkdir d", f"put {core.path} d/core", "rename d/core d/core2", f"get d/core2 {tmp_path}/back")
    found = published(gateway, case, "d/core2")
    gateway.call("POST", f"cases/{case}/attachments?name=fix", core.path.read_bytes())
    assert gateway.call("GET", f"attachments/{found['core']['id']}/content") == core.path.read_bytes()
    gateway.call("DELETE", f"attachments/{found['small']['id']}")
    gateway.call("POST", f"cases/{case}/close", {"sub_status": "resolved", "comment": ""})
    gateway.stop()

    root = gateway.directory / "data" / "us"
    written = list(written_to(trace))
    assert any(path.startswith(str(root / "segments")) for path in written), "the trace has seen the uploads"
    assert any(path.startswith(str(root / "eft.db")) for path in written)
    outside = sorted({path for path in written if not path.startswith((f"{root}/", *SYSTEM)) and path != str(root)})
    assert outside == []


def written_to(trace: Path) -> Iterator[str]:
    """Every path that was made, named anew, or opened for writing."""
    for line in joined(trace.read_text().splitlines()):
        call = CALL.match(line)
        if call is None or int(call["result"]) < 0:
            continue
        arguments = call["arguments"]
        if call["call"] in ("open", "openat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", arguments) and call["opened"]:
                yield call["opened"]
            continue
        if call["call"] == "bind":
            yield from (found for found in re.findall(r'sun_path="([^"]*)"', arguments))
            continue
        for found in PATHS.finditer(arguments):
            path = found["path"]
            yield path if path.startswith("/") else f"{found['directory']}/{path}"


def joined(lines: list[str]) -> Iterator[str]:
    """Calls that another thread's interrupted, in one line each."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            yield f"{pid} {begun.pop(pid, '')}{resumed[1]}"
        else:
            yield f"{pid} {rest}"
