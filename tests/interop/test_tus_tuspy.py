"""Uploads by tuspy, to a real gateway over TLS."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
import hashlib
import io
import os
import secrets
import threading
import time
from typing import Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader import Uploader

from tests.fixtures.gateway import Gateway

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory):
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us").start()
    yield made
    made.stop()


class Case:
    """One case of the gateway, and a token for it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.id = gateway.open_case(f"CS-{secrets.token_hex(4)}")
        token = gateway.upload_token(self.id)
        self.client = TusClient(f"{gateway.url}/files", headers={"Authorization": f"Bearer {token}"})

    def uploader(self, data: bytes, name: str, **options: Any) -> Uploader:
        return self.client.uploader(file_stream=io.BytesIO(data), metadata={"filename": name}, **options)

    def listed(self) -> dict[str, tuple[int, str]]:
        """Size and digest of each attachment, by name."""
        return {item["name"]: (item["size"], item["sha256"]) for item in self.gateway.attachments(self.id)}


@pytest.fixture
def case(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(gateway.ca))
    return Case(gateway)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 5 * MIB + 3])
def test_files_of_any_size_arrive_whole(case: Case, size: int) -> None:
    data = os.urandom(size)
    case.uploader(data, "ä b.log", chunk_size=MIB, upload_checksum=True).upload()
    assert case.listed() == {"ä b.log": (size, hashlib.sha256(data).hexdigest())}
    (attachment,) = case.gateway.attachments(case.id)
    assert case.gateway.call("GET", f"attachments/{attachment['id']}/content") == data


def test_several_at_once(case: Case) -> None:
    files = {f"dir/{number}.bin": os.urandom(3 * MIB + number) for number in range(6)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: case.uploader(item[1], item[0], chunk_size=MIB).upload(), files.items()))
    assert case.listed() == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}


def test_an_empty_metadata_header_is_accepted(case: Case) -> None:
    case.client.uploader(file_stream=io.BytesIO(b"abc")).upload()
    assert [name.startswith("unnamed-") for name in case.listed()] == [True]


def test_an_upload_goes_on_after_the_gateway_was_killed(case: Case) -> None:
    data = os.urandom(48 * MIB)
    first = case.uploader(data, "big.bin", chunk_size=64 * MIB)
    first.set_url(first.create_url())
    killer = threading.Timer(0.15, case.gateway.kill)
    killer.start()
    with suppress(TusCommunicationError):
        first.upload()
    killer.join()
    case.gateway.start()
    again = case.uploader(data, "big.bin", chunk_size=4 * MIB, url=first.url)
    assert 0 <= again.offset <= len(data)
    again.upload()
    assert case.listed() == {"big.bin": (len(data), hashlib.sha256(data).hexdigest())}


def test_refusals_reach_the_client_as_they_are(case: Case) -> None:
    with pytest.raises(TusCommunicationError) as refused:
        case.uploader(b"x", "../x").upload()
    assert refused.value.status_code == 400
    assert b"name-not-allowed" in refused.value.response_content
    begun = case.uploader(os.urandom(2 * MIB), "late.log", chunk_size=MIB)
    begun.upload_chunk()
    case.gateway.call("POST", f"cases/{case.id}/close", {"sub_status": "resolved", "comment": ""})
    began = time.monotonic()
    with pytest.raises(TusCommunicationError) as refused:
        begun.upload_chunk()
    assert refused.value.status_code == 403
    assert b"case-closed" in refused.value.response_content
    assert time.monotonic() - began < 5
