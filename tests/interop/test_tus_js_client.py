"""Uploads by tus-js-client in Node, unmodified, in each protocol that it speaks."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
import secrets
import subprocess
import time
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.programs import cannot

pytestmark = pytest.mark.needs("node")

MIB = 1024 * 1024
JS = Path(__file__).parent / "js"
LIBRARIES = ["tus-js-client-4", "tus-js-client-5"]
PROTOCOLS = ["tus-v1", "ietf-draft-03", "ietf-draft-05"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory):
    if not (JS / "node_modules").is_dir():
        cannot("tests/interop/js is not installed: npm ci")
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us").start()
    yield made
    made.stop()


class Sender:
    """A customer with tus-js-client, a case and a token for it."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self.gateway = gateway
        self.case = gateway.open_case(f"CS-{secrets.token_hex(4)}")
        self.file = directory / "file"
        self._asked = {"endpoint": f"{gateway.url}/files", "token": gateway.upload_token(self.case), "file": str(self.file)}

    def start(self, library: str, protocol: str, data: bytes, **options: Any) -> subprocess.Popen[str]:
        self.file.write_bytes(data)
        asked = {"library": library, "protocol": protocol, "name": "ä b.log", **self._asked, **options}
        return subprocess.Popen(
            ["node", "upload.mjs", json.dumps(asked)],
            cwd=JS,
            env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(self.gateway.ca)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, library: str, protocol: str, data: bytes, **options: Any) -> dict[str, Any]:
        node = self.start(library, protocol, data, **options)
        out, err = node.communicate(timeout=60)
        told = json.loads(out.splitlines()[-1]) if out else {"error": err}
        assert "error" not in told, told
        return told

    def arrived(self) -> list[tuple[str, int, str]]:
        return [(item["name"], item["size"], item["sha256"]) for item in self.gateway.attachments(self.case)]


@pytest.fixture
def sender(gateway: Gateway, tmp_path: Path) -> Sender:
    return Sender(gateway, tmp_path)


def whole(data: bytes) -> list[tuple[str, int, str]]:
    return [("ä b.log", len(data), hashlib.sha256(data).hexdigest())]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("options", [{}, {"chunkSize": MIB}, {"uploadDataDuringCreation": True, "chunkSize": MIB}])
def test_a_file_arrives_whole(sender: Sender, library: str, protocol: str, options: dict[str, Any]) -> None:
    data = os.urandom(3 * MIB + 17)
    sender.send(library, protocol, data, **options)
    assert sender.arrived() == whole(data)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_file_arrives(sender: Sender, library: str, protocol: str) -> None:
    sender.send(library, protocol, b"")
    assert sender.arrived() == whole(b"")


@pytest.mark.parametrize("library", LIBRARIES)
def test_four_parts_at_once_become_one_file(sender: Sender, library: str) -> None:
    data = os.urandom(9 * MIB + 5)
    sender.send(library, "tus-v1", data, parallelUploads=4, chunkSize=MIB)
    assert sender.arrived() == whole(data)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_upload_whose_client_was_killed_is_resumed(sender: Sender, library: str, protocol: str) -> None:
    data = os.urandom(64 * MIB)
    node = sender.start(library, protocol, data, chunkSize=MIB)
    assert node.stderr is not None
    url = node.stderr.readline().strip()
    time.sleep(0.1)
    node.kill()
    node.communicate()
    sender.send(library, protocol, data, uploadUrl=url, chunkSize=8 * MIB)
    assert sender.arrived() == whole(data)


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_was_begun_in_tus_is_finished_in_the_draft(sender: Sender, library: str) -> None:
    data = os.urandom(64 * MIB)
    node = sender.start(library, "tus-v1", data, chunkSize=MIB)
    assert node.stderr is not None
    url = node.stderr.readline().strip()
    node.kill()
    node.communicate()
    sender.send(library, "ietf-draft-05", data, uploadUrl=url, chunkSize=8 * MIB)
    assert sender.arrived() == whole(data)
