"""Names and sizes that files really have, and some that nobody should: stored exactly, or refused with a reason."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
import subprocess
from typing import Any
from urllib.parse import quote

import paramiko
import pytest

from tests.fixtures.gateway import ApiError, Gateway
from tests.stories.contents import dense, noise, sha256
from tests.stories.sftp_customer import account_of, sftp_customer
from tests.stories.tus_customer import Refused, TusCustomer, Upload, customer_of
from tests.stories.waiting import listed, published

pytestmark = pytest.mark.timeout(180)

SIZES = (0, 1, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 1_000_003)

KEPT = (
    "CON",
    "con.txt",
    "-rf",
    "--help",
    "📦🧪.log",
    "דוח תקלה.txt",
    "سجل.log",
    "naïve café.txt",
    "a b  c.log",
    ".hidden",
    "n" * 255,
    "日" * 85,
    "%2e%2e%2fx",
    "a:b|c?d*e.txt",
    "'; DROP TABLE attachments; --",
    "logs/2026/11/a.log",
    "x.filepart.txt",
)
REFUSED = (
    "../x",
    "a/../../x",
    "..",
    ".",
    "/etc/passwd",
    "a\0b",
    "n" * 300,
    "日" * 100,
    "a//b",
    "a\\b",
    "line\nbreak",
    "invoice\u202efdp.exe",
    "/".join("d" * 40),
)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_arrives_whole_by_every_way_in(gateway: Gateway, case: str, tmp_path: Path, size: int) -> None:
    source = dense(tmp_path / "source", size, size)
    customer = customer_of(gateway, case)
    upload = Upload("in-parts", source)
    if size:
        customer.send(upload, part=40_000)
        checked = Upload("checked", source)
        customer.send(checked, part=65_536, checksum=True)
        again = customer.create("created-empty", size)
        assert customer.patch(again, 0, source.path.read_bytes(), size) == size
    customer.create("at-once", size, source.path.read_bytes())
    gateway.call("POST", f"cases/{case}/attachments?name=handed-back", source.path.read_bytes())
    found = listed(gateway, case)
    assert len(found) == (5 if size else 2)
    for item in found.values():
        assert (item["size"], item["sha256"]) == (size, source.sha256)
        assert gateway.call("GET", f"attachments/{item['id']}/content") == source.path.read_bytes()


@pytest.mark.needs("curl")
def test_curl_sends_every_size(gateway: Gateway, case: str, program: Callable[[str], str], tmp_path: Path) -> None:
    token = gateway.upload_token(case)
    for size in SIZES:
        source = dense(tmp_path / f"{size}", size, size)
        headers = {
            "Authorization": f"Bearer {token}",
            "Tus-Resumable": "1.0.0",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Length": str(size),
            "Upload-Metadata": f"filename {b64encode(source.path.name.encode()).decode()}",
        }
        told = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        curl = [program("curl"), "-sS", "-f", "--max-time", "60", "--cacert", str(gateway.ca)]
        subprocess.run([*curl, *told, "--data-binary", f"@{source.path}", f"{gateway.url}/files"], check=True, timeout=90)
    assert {item["name"]: item["sha256"] for item in listed(gateway, case).values()} == {
        f"{size}": sha256(noise(size, size)) for size in SIZES
    }


@pytest.mark.needs("sftp")
def test_sftp_sends_every_size_and_gets_it_back(gateway: Gateway, case: str, tmp_path: Path) -> None:
    customer = sftp_customer(gateway, case, tmp_path)
    sources = {f"s{size}": dense(tmp_path / f"s{size}", size, size) for size in SIZES}
    (tmp_path / "back").mkdir()
    customer.ok(
        *(f"put {source.path}" for source in sources.values()),
        *(f"get {name} {tmp_path}/back/{name}" for name in sources),
    )
    for name, source in sources.items():
        assert (tmp_path / "back" / name).read_bytes() == source.path.read_bytes()
    # Where OpenSSH's client would be cut, at a multiple of its writes, a file is looked at for longer.
    at_once = [name for name, source in sources.items() if source.size == 0 or source.size % 32_768]
    found = published(gateway, case, *at_once)
    for name in at_once:
        assert (found[name]["size"], found[name]["sha256"]) == (sources[name].size, sources[name].sha256)


def test_names_are_kept_exactly_or_refused_with_a_reason_over_https(gateway: Gateway, case: str) -> None:
    check_names(gateway, case, lambda name, data: over_tus(customer_of(gateway, case), name, data), "400 name-not-allowed")


def test_names_are_kept_exactly_or_refused_with_a_reason_by_the_control_api(gateway: Gateway, case: str) -> None:
    def hand_back(name: str, data: bytes) -> str | None:
        try:
            gateway.call("POST", f"cases/{case}/attachments?name={quote(name, safe='')}", data)
        except ApiError as error:
            return f"{error.status} {error.problem['code']}"
        return None

    check_names(gateway, case, hand_back, "400 name-not-allowed")


def over_tus(customer: TusCustomer, name: str, data: bytes) -> str | None:
    """Status and code of the refusal, if it was one."""
    try:
        customer.create(name, len(data), data)
    except Refused as refused:
        return f"{refused.status} {refused.code}" if refused.problem["detail"] and refused.problem["remedy"] else "no reason"
    return None


def check_names(gateway: Gateway, case: str, send: Callable[[str, bytes], str | None], refused: str) -> None:
    """`send` gives status and code of the refusal, or None. What was stored before stays as it was, whatever is tried."""
    other = gateway.open_case(f"{case}-other")
    customer_of(gateway, other).create("x", 5, b"other")
    for number, name in enumerate(KEPT):
        assert send(name, b"%d" % number) is None, name
    for name in REFUSED:
        # tus's relativePath aside, a name is not bent into one that is allowed.
        assert send(name, b"bad") == refused, name
    found = listed(gateway, case)
    assert {name: item["sha256"] for name, item in found.items()} == {
        name: sha256(b"%d" % number) for number, name in enumerate(KEPT)
    }
    for number, name in enumerate(KEPT):
        assert gateway.call("GET", f"attachments/{found[name]['id']}/content") == b"%d" % number
    assert [item["sha256"] for item in gateway.attachments(other)] == [sha256(b"other")]
    assert not [path for path in gateway.directory.rglob("*") if path.name in {"x", "CON", "-rf", "passwd"}]


def test_a_name_that_is_not_utf_8_is_refused(gateway: Gateway, case: str) -> None:
    with pytest.raises(Refused) as refused:
        customer_of(gateway, case).create(b"caf\xe9", 1, b"x")
    assert (refused.value.status, refused.value.code) == (400, "metadata-invalid")
    assert gateway.attachments(case) == []


@pytest.fixture
def connected(gateway: Gateway, case: str) -> Any:
    """paramiko's client, which sends any name that it is told to."""
    account = account_of(gateway, case)
    ssh = paramiko.SSHClient()
    ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    told = {"username": account["username"], "password": account["password"]}
    ssh.connect("127.0.0.1", gateway.sftp_port, look_for_keys=False, allow_agent=False, **told)
    yield ssh.open_sftp()
    ssh.close()


def test_names_are_kept_exactly_or_refused_with_a_reason_over_sftp(
    gateway: Gateway, case: str, connected: paramiko.SFTPClient
) -> None:
    for directory in ("logs", "logs/2026", "logs/2026/11"):
        connected.mkdir(directory)
    for number, name in enumerate(KEPT):
        with connected.open(name, "wb") as file:
            file.write(b"%d" % number)
    for name in ("a\0b", "n" * 300, "日" * 100, "a\\b", "line\nbreak", "invoice\u202efdp.exe"):
        with pytest.raises(OSError, match="The file name is not allowed: it"):
            connected.open(name, "wb").close()
        with pytest.raises(OSError, match="The file name is not allowed: it"):
            connected.mkdir(name)
        with pytest.raises(OSError, match="The file name is not allowed: it"):
            connected.rename("CON", name)
    found = published(gateway, case, *KEPT)
    assert {name: item["sha256"] for name, item in found.items()} == {
        name: sha256(b"%d" % number) for number, name in enumerate(KEPT)
    }
    assert set(connected.listdir(".")) == {name.partition("/")[0] for name in KEPT} | {"from-support", "receipts"}
    assert connected.listdir("logs/2026/11") == ["a.log"]


def test_no_path_over_sftp_leaves_the_case(gateway: Gateway, case: str, connected: paramiko.SFTPClient) -> None:
    """In SFTP `..` is not a name but a way up; above the root there is only the root."""
    other = gateway.open_case(f"{case}-other")
    customer_of(gateway, other).create("secret", 5, b"other")
    for path in ("../x", "/../../x2", "a/../../../x3"):
        with connected.open(path, "wb") as file:
            file.write(path.encode())
    found = published(gateway, case, "x", "x2", "x3")
    assert set(found) == {"x", "x2", "x3"}
    for path in ("../secret", f"../{other}/secret", "/etc/passwd", "../../../../etc/passwd"):
        with pytest.raises(OSError):
            connected.stat(path)
    assert [item["sha256"] for item in gateway.attachments(other)] == [sha256(b"other")]


def test_a_directory_and_a_file_of_one_name_do_not_harm_each_other(
    gateway: Gateway, case: str, connected: paramiko.SFTPClient
) -> None:
    """Over HTTPS names are only names; SFTP shows them as a tree."""
    customer = customer_of(gateway, case)
    for name, data in (("a", b"file"), ("a/b", b"below")):
        assert over_tus(customer, name, data) is None
    for name, item in listed(gateway, case).items():
        data = gateway.call("GET", f"attachments/{item['id']}/content")
        assert data == {"a": b"file", "a/b": b"below"}[name]
    assert sorted(connected.listdir(".")) == ["a", "from-support", "receipts"]
    with connected.open("a", "rb") as file:
        assert file.read() == b"file"
    connected.remove("a")
    with connected.open("a/b", "rb") as file:
        assert file.read() == b"below"
    assert {item["sha256"] for item in gateway.attachments(case)} == {sha256(b"file"), sha256(b"below")}


def test_a_customer_cannot_pretend_to_be_support(gateway: Gateway, case: str, connected: paramiko.SFTPClient) -> None:
    customer = customer_of(gateway, case)
    for name in ("from-support", "from-support/fix"):
        with pytest.raises(Refused) as refused:
            customer.create(name, 1, b"x")
        assert refused.value.code
    with pytest.raises(OSError):
        connected.open("from-support/fix", "wb").close()
    assert gateway.attachments(case) == []
    assert connected.listdir("from-support") == []


def test_the_same_name_again_is_a_new_version(gateway: Gateway, case: str) -> None:
    customer = customer_of(gateway, case)
    for content in (b"one", b"two"):
        customer.create("log", 3, content)
    items = gateway.attachments(case)
    assert [item["sha256"] for item in items] == [sha256(b"two"), sha256(b"one")]
    assert all(item["state"] == "available" for item in items)
