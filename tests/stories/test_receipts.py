"""A customer's proof: receipts of a real gateway with two workers, checked by `eft verify`."""

from __future__ import annotations

from base64 import b64encode
from contextlib import closing, suppress
import http.client
import json
from pathlib import Path
import secrets
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from tests.fixtures.gateway import EFT, ApiError, Gateway
from tests.stories.conftest import MakeGateway
from tests.stories.sftp_customer import SftpCustomer
from tests.stories.waiting import until

CONTENT = bytes(range(256)) * 4096


def ask(gateway: Gateway, path: str, token: str, method: str = "GET", body: bytes | None = None, **headers: str) -> bytes:
    """The answer's body, or its Location after a POST. Raises ApiError."""
    fields = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(gateway.url + path, data=body, method=method, headers=fields)
    try:
        with urllib.request.urlopen(request, context=gateway.trust(), timeout=30) as answer:
            return str(answer.headers["Location"]).encode() if method == "POST" else bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise ApiError(error.code, json.loads(error.read())) from None


def send(gateway: Gateway, token: str, content: bytes, length: int) -> str:
    """An upload of so many bytes of which these came; its path."""
    name = b64encode(b"trace.bin").decode()
    made = ask(
        gateway, "/files", token, "POST", content, Tus_Resumable="1.0.0", Upload_Length=str(length),
        Upload_Metadata=f"filename {name}", Content_Type="application/offset+octet-stream",
    )  # fmt: skip
    return made.decode()


def verify(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "PATH": "/usr/bin:/bin"}
    words = [str(EFT), "verify", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture
def received(gateway: Gateway, tmp_path: Path) -> tuple[Path, Path]:
    """A receipt as the customer gets it, and the file it is about."""
    token = gateway.upload_token(gateway.open_case(f"CS-{secrets.token_hex(4)}"))
    path = send(gateway, token, CONTENT, len(CONTENT))
    receipt, file = tmp_path / "trace.bin.receipt", tmp_path / "trace.bin"
    receipt.write_bytes(ask(gateway, f"{path}/receipt", token))
    file.write_bytes(CONTENT)
    by_staff = gateway.call("GET", f"attachments/{path.rpartition('/')[2]}/receipt")
    assert by_staff == receipt.read_bytes()
    return receipt, file


def test_a_receipt_verifies_by_keys_that_are_fetched_once(gateway: Gateway, received: tuple[Path, Path], tmp_path: Path) -> None:
    receipt, file = received
    assert verify(tmp_path, receipt, file).returncode == 12
    told = verify(tmp_path, receipt, file, "--keys", gateway.url, "--ca", gateway.ca)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("Good: ")
    offline = verify(tmp_path, receipt, file, "--json")
    assert offline.returncode == 0, offline.stderr
    said = json.loads(offline.stdout)["receipt"]
    assert (said["name"], said["size"], said["region"]) == ("trace.bin", len(CONTENT), "us")


def test_another_file_a_forged_receipt_and_an_unknown_key_are_told_apart(
    gateway: Gateway, received: tuple[Path, Path], tmp_path: Path
) -> None:
    receipt, file = received
    keys, strangers = tmp_path / "keys.json", tmp_path / "strangers.json"
    with urllib.request.urlopen(f"{gateway.url}/.well-known/eft-receipt-keys.json", context=gateway.trust()) as answer:
        keys.write_bytes(answer.read())
    strangers.write_text('{"keys": []}')
    assert verify(tmp_path, receipt, file, "--keys", keys).returncode == 0
    assert verify(tmp_path, receipt, file, "--keys", strangers).returncode == 12
    for other in (CONTENT[:-1], CONTENT[:-1] + b"x"):
        file.write_bytes(other)
        refused = verify(tmp_path, receipt, file, "--keys", keys, "--json")
        assert (refused.returncode, json.loads(refused.stdout)["code"]) == (6, "file-differs")
    head, body, signature = receipt.read_text().split(".")
    for forged in (f"{head}.{body[:-4]}AAAA.{signature}", f"{head}.{body}.{signature[:-8]}AAAAAAAA", "no receipt"):
        receipt.write_text(forged)
        assert verify(tmp_path, receipt, file, "--keys", keys).returncode == 11


def test_an_unfinished_upload_and_another_case_have_no_receipt(gateway: Gateway) -> None:
    token = gateway.upload_token(gateway.open_case(f"CS-{secrets.token_hex(4)}"))
    path = send(gateway, token, b"abc", 10)
    with pytest.raises(ApiError) as refused:
        ask(gateway, f"{path}/receipt", token)
    assert (refused.value.status, refused.value.problem["code"]) == (409, "upload-unfinished")
    stranger = gateway.upload_token(gateway.open_case(f"CS-{secrets.token_hex(4)}"))
    with pytest.raises(ApiError) as hidden:
        ask(gateway, f"{path}/receipt", stranger)
    assert hidden.value.status == 404


def fetched_keys(gateway: Gateway, directory: Path) -> Path:
    """The published keys, in a file."""
    file = directory / "keys.json"
    with urllib.request.urlopen(f"{gateway.url}/.well-known/eft-receipt-keys.json", context=gateway.trust()) as answer:
        file.write_bytes(answer.read())
    return file


def facts_of_newest(gateway: Gateway, case: str, content: bytes, directory: Path) -> dict[str, object]:
    """What the receipt of the case's newest file says, when `eft verify` has found it good."""
    receipt, file = directory / "newest.receipt", directory / "newest"
    receipt.write_bytes(gateway.call("GET", f"attachments/{gateway.attachments(case)[0]['id']}/receipt"))
    file.write_bytes(content)
    told = verify(directory, receipt, file, "--keys", fetched_keys(gateway, directory), "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    return dict(json.loads(told.stdout)["receipt"])


@pytest.mark.needs("sftp")
def test_a_file_sent_over_sftp_has_a_receipt(gateway: Gateway, case: str, tmp_path: Path) -> None:
    (tmp_path / "trace.bin").write_bytes(CONTENT)
    customer = SftpCustomer(gateway, tmp_path, gateway.call("POST", f"cases/{case}/sftp-account"))
    customer.ok(f"put {tmp_path / 'trace.bin'} /logs.bin")
    until(lambda: gateway.attachments(case), bool)
    said = facts_of_newest(gateway, case, CONTENT, tmp_path)
    assert (said["name"], said["source"], said["case"]) == ("logs.bin", "sftp", case)


@pytest.mark.needs("curl")
def test_a_file_sent_by_the_draft_has_a_receipt(gateway: Gateway, case: str, tmp_path: Path) -> None:
    """By curl: Python's own client takes the interim answer 104 for the last."""
    (tmp_path / "draft.bin").write_bytes(CONTENT)
    fields = ["Upload-Complete: ?1", "Upload-Draft-Interop-Version: 6", 'Content-Disposition: attachment; filename="draft.bin"']
    fields += [f"Authorization: Bearer {gateway.upload_token(case)}", "Expect:"]
    words = [word for field in fields for word in ("-H", field)]
    command = ["curl", "-sSf", "--cacert", str(gateway.ca), "--data-binary", f"@{tmp_path / 'draft.bin'}", *words]
    done = subprocess.run([*command, f"{gateway.url}/files"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert facts_of_newest(gateway, case, CONTENT, tmp_path)["name"] == "draft.bin"


def test_a_file_sent_by_the_plain_form_has_a_receipt(gateway: Gateway, case: str, tmp_path: Path) -> None:
    actor = {"name": "Ada", "email": "ada@example.com", "role": "customer"}
    launch = gateway.call("POST", f"cases/{case}/launch", {"actor": actor})["url"]
    connection = http.client.HTTPSConnection("localhost", gateway.https_port, context=gateway.trust(), timeout=30)
    connection.request("GET", launch[launch.index("/launch/") :])
    answer = connection.getresponse()
    answer.read()
    cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="form.bin"\r\n\r\n' + CONTENT + b"\r\n--b--\r\n"
    fields = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Content-Type": "multipart/form-data; boundary=b"}
    connection.request("POST", f"/transfer/{case}", body, fields)
    answer = connection.getresponse()
    assert (answer.status, answer.read() != b"") == (200, True)
    said = facts_of_newest(gateway, case, CONTENT, tmp_path)
    assert (said["name"], said["who"]) == ("form.bin", "customer:ada@example.com")
    connection.request("GET", f"/transfer/{case}/attachments/{said['attachment']}/receipt", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, (tmp_path / "newest.receipt").read_bytes())
    connection.close()


def test_a_key_speaks_for_no_other_gateway_than_its_own(gateway: Gateway, received: tuple[Path, Path], tmp_path: Path) -> None:
    receipt, file = received
    keys = fetched_keys(gateway, tmp_path)
    published = json.loads(keys.read_text())
    assert published["region"] == "us"
    for changed in ({"region": "emea"}, {"issuer": "https://eftgateway-emea.localhost:8442"}):
        keys.write_text(json.dumps({**published, **changed}))
        refused = verify(tmp_path, receipt, file, "--keys", keys, "--json")
        assert (refused.returncode, json.loads(refused.stdout)["code"]) == (11, "receipt-bad")


def test_a_gateway_that_is_killed_as_it_publishes_gives_the_receipt_afterwards(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway().start()
    case = gateway.open_case()
    token = gateway.upload_token(case)
    path = send(gateway, token, CONTENT[:1000], len(CONTENT))

    def kill_when_published() -> None:
        until(lambda: is_published(gateway, path), bool, every_s=0.001)
        gateway.kill()

    killed = threading.Thread(target=kill_when_published)
    killed.start()
    with suppress(OSError, http.client.HTTPException, ApiError):
        ask(
            gateway, path, token, "PATCH", CONTENT[1000:], Tus_Resumable="1.0.0", Upload_Offset="1000",
            Content_Type="application/offset+octet-stream",
        )  # fmt: skip
    killed.join(60)
    gateway.start()
    assert facts_of_newest(gateway, case, CONTENT, tmp_path)["attachment"] == path.rpartition("/")[2]


def is_published(gateway: Gateway, path: str) -> bool:
    """Whether the database has the file, whatever its sender was told."""
    with closing(sqlite3.connect(f"file:{gateway.directory / 'data' / 'us' / 'eft.db'}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM attachments WHERE id = ?"
        return bool(database.execute(query, (path.rpartition("/")[2],)).fetchone()[0])
