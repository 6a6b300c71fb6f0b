"""What a bench takes away from a gateway is away, and nothing else is: otherwise its table would mislead."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
import ssl
import subprocess
import time
import urllib.request

import pytest

from loadtests import https_servers, sftp_servers
from loadtests.https_servers import Target
from loadtests.measure import worker_of

SYNCS = "fsync,fdatasync,sync_file_range,syncfs,msync"


def _request(target: Target, method: str, url: str, body: bytes | None = None, **headers: str) -> bytes:
    assert target.token_file is not None
    headers |= {"Authorization": f"Bearer {target.token_file.read_text()}"}
    trust = ssl.create_default_context(cafile=str(target.ca))
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, context=trust, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def _send(target: Target, content: bytes) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Length": str(len(content))}
    _request(target, "POST", target.url, content, **headers)


def _syncs_while(target: Target, contents: list[bytes], trace: Path) -> int:
    """How often the gateway waits for the disk while it takes these."""
    words = ["strace", "-f", "-qq", "-e", f"trace={SYNCS}", "-o", str(trace), "-p", str(worker_of(target.pid))]
    tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{worker_of(target.pid)}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for content in contents:
        _send(target, content)
    tracer.terminate()
    tracer.wait(60)
    return sum("sync(" in line for line in trace.read_text().splitlines())


@pytest.mark.needs("strace")
@pytest.mark.parametrize("part", ["", "digest", "seal", "fsync"])
def test_one_part_is_taken_away_and_the_others_stay(part: str, tmp_path: Path) -> None:
    contents = [os.urandom(100), os.urandom(3 * 1024 * 1024)]
    with https_servers.eft(tmp_path / "eft", without=(part,) if part else ()) as target:
        assert target.gateway is not None
        syncs = _syncs_while(target, contents, tmp_path / "trace")
        found = target.gateway.call("GET", f"cases/{sftp_servers.CASE}/attachments")["items"]
        known = {hashlib.sha256(each).hexdigest() for each in contents}
        received = {hashlib.sha256(_request(target, "GET", f"{target.url}/{each['id']}")).hexdigest() for each in found}
        assert received == known
        assert ({each["sha256"] for each in found} == known) is (part != "digest")
    stored = b"".join(file.read_bytes() for file in sorted((tmp_path / "eft" / "data").rglob("*")) if file.is_file())
    for content in contents:
        assert (content[:64] in stored) is (part == "seal")
    assert (syncs == 0) is (part == "fsync")


def test_a_part_that_is_not_there_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    with pytest.raises(https_servers.Absent, match="KeyError"), https_servers.eft(tmp_path / "eft", without=("nothing",)):
        pass
