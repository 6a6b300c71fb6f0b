"""A customer's proof: receipts of a real gateway with two workers, checked by `eft verify`."""

from __future__ import annotations

from base64 import b64encode
import json
from pathlib import Path
import secrets
import subprocess
import urllib.error
import urllib.request

import pytest

from tests.fixtures.gateway import EFT, ApiError, Gateway

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
