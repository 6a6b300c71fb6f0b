"""`make demo`, as somebody sees it who has just cloned the repository; under a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import Any
import urllib.request

import httpx
import pytest

from tests.fixtures.gateway import ROOT
from tests.programs import cannot
from tests.stories.waiting import until

pytestmark = pytest.mark.timeout(240)

PORTS = (8440, 8450, 8441, 8442, 8443, 2221, 2222, 2223, 8451, 8452, 8453)
REGIONS = {"us": (8441, 2221, 8451), "emea": (8442, 2222, 8452), "apac": (8443, 2223, 8453)}


def is_taken(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


class Demo:
    """The demo, with everything of its own below one directory."""

    def __init__(self, var: Path) -> None:
        self.var = var

    def run(self, *arguments: str) -> float:
        """How many seconds it took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "demo", *arguments, "--var", str(self.var)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - began

    @property
    def facts(self) -> Any:
        return json.loads((self.var / "demo.json").read_text())

    def processes(self) -> set[int]:
        """Every process that has the demo's directory in its command line."""
        found = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.var).encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
        return found - {os.getpid()}

    def call(self, region: str, method: str, path: str, body: object = None) -> Any:
        facts = self.facts
        request = urllib.request.Request(f"{facts['regions'][region]['https']}/api/v1/{path}", method=method)
        request.add_header("Authorization", f"Bearer {facts['regions'][region]['api_token']}")
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
            request.add_header("Content-Type", kind)
        context = ssl.create_default_context(cafile=facts["ca"])
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" else content

    def is_ready(self, region: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.facts['regions'][region]['ops']}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    taken = [port for port in PORTS if is_taken(port)]
    if taken:
        why = f"the demo's ports are taken: {taken}; stop what listens there (make stop)"
        cannot(why)
    made = Demo(tmp_path / "var")
    try:
        yield made
    finally:
        made.run("--stop")
        for pid in made.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_from_the_first_start_to_the_last_stop(demo: Demo) -> None:
    demo.run("--detach")
    facts = demo.facts
    assert Path(facts["ca"]).is_absolute()
    assert os.access(facts["eft"], os.X_OK)
    for region, (https, sftp, operations) in REGIONS.items():
        told = facts["regions"][region]
        assert told["https"] == f"https://localhost:{https}"
        assert (told["sftp_host"], told["sftp_port"]) == ("localhost", sftp)
        assert told["ops"] == f"http://localhost:{operations}"
        assert all(fingerprint.startswith("SHA256:") for fingerprint in told["host_key_fingerprints"])
        assert Path(told["config"]).is_absolute()
        assert demo.is_ready(region)
        assert demo.call(region, "GET", "cases")["items"]
    assert {case["region"] for case in facts["cases"]} == set(REGIONS)
    assert facts["portal"] == {"url": "https://localhost:8440", "ops": "http://localhost:8450"}
    for who in ("customer", "staff"):
        assert signs_in(facts, who)
    assert (demo.var / "demo.json").stat().st_mode & 0o077 == 0
    case = next(case["id"] for case in facts["cases"] if case["region"] == "us")
    given = demo.call("us", "POST", f"cases/{case}/attachments?name=fix", b"the fix")
    account = json.loads(eft(facts, "account", "create", case, "--json"))

    # Again: nothing is done, nothing is lost, and it takes seconds.
    assert demo.run("--detach") < 15
    assert demo.facts == facts

    # A gateway whose supervisor was killed takes its workers along, and is started again by the next start.
    victim = facts["pids"][0]
    before = demo.processes()
    os.kill(victim, signal.SIGKILL)
    region = until(lambda: next((name for name in REGIONS if not demo.is_ready(name)), None))
    assert region is not None
    until(lambda: len(demo.processes()) <= len(before) - 2)
    others = {pid for pid in facts["pids"] if pid != victim}
    demo.run("--detach")
    healed = demo.facts
    assert all(demo.is_ready(name) for name in REGIONS)
    assert others < set(healed["pids"])
    assert victim not in healed["pids"]
    assert len(healed["pids"]) == len(facts["pids"])
    assert {**healed, "pids": None} == {**facts, "pids": None}
    assert demo.call("us", "GET", f"attachments/{given['id']}/content") == b"the fix"
    assert demo.call("us", "GET", f"cases/{case}/sftp-account")["password"] == account["password"]

    demo.run("--stop")
    assert demo.processes() == set()
    assert not any(is_taken(port) for port in PORTS)
    demo.run("--stop")

    # What was there is there after a stop too.
    demo.run("--detach")
    assert demo.call("us", "GET", f"attachments/{given['id']}/content") == b"the fix"
    assert {**demo.facts, "pids": None} == {**facts, "pids": None}

    # Killing the processes that it names, with what they started, leaves nothing.
    for pid in demo.facts["pids"]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: demo.processes(), lambda seen: not seen)


def signs_in(facts: Any, who: str) -> bool:
    """Whether the portal lets in whom demo.json names, and shows them the sample cases."""
    trust = ssl.create_default_context(cafile=facts["ca"])
    with httpx.Client(base_url=facts["portal"]["url"], verify=trust, follow_redirects=True) as browser:
        token = re.search(r'name="csrf" value="([^"]+)"', browser.get("/sign-in").text)
        assert token is not None
        page = browser.post("/sign-in", data={"csrf": token.group(1), **facts[who]})
    return page.status_code == 200 and all(case["id"] in page.text for case in facts["cases"] if case["status"] != "closed")


def eft(facts: Any, *arguments: str) -> str:
    command = [facts["eft"], *arguments, "--config", facts["regions"]["us"]["config"]]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
