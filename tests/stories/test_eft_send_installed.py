"""`eft send` as customers get it: the wheel, installed without anything of a server's, in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import json
from pathlib import Path
import re
import subprocess
import sys
import tomllib
import venv
import zipfile

import pytest

from tests.fixtures.gateway import ROOT, Gateway
from tests.programs import cannot
from tests.stories.contents import MIB, dense

pytestmark = pytest.mark.timeout(240)

SERVER_ONLY = ("asyncssh", "sqlalchemy", "fastapi", "uvicorn", "uvloop", "alembic", "argon2-cffi", "psycopg")
"""aiohttp is not among them: tuspy needs it."""
WITHIN = {
    "portal": ("eft/portal/templates/case.html", "eft/portal/static/portal.css", "eft/portal/static/case.js"),
    "gateway": ("eft/http_resumable/templates/transfer.html", "eft/http_resumable/static/page.css"),
    "migrations": ("eft/db/migrations/env.py", "eft/portal/migrations/env.py"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this work tree with the locked build tools; nothing is fetched for it."""
    out = tmp_path_factory.mktemp("wheel")
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        str(ROOT),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("eft-*.whl")
    return built


@pytest.fixture(scope="module")
def customer_install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of a fresh environment that has the wheel and the client's dependencies, as locked."""
    home = tmp_path_factory.mktemp("customer") / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    constraints = home / "constraints.txt"
    # Versions as locked, without their hashes: pip would ask for one of the wheel just built, too.
    locked = (ROOT / "locks" / "runtime.txt").read_text()
    constraints.write_text("\n".join(re.findall(r"^[A-Za-z0-9._-]+==[^\s;\\]+", locked, re.MULTILINE)) + "\n")
    words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints, wheel]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        cannot(f"no package index can be reached: {done.stderr[-2000:]}")
    return home / "bin"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway") / "us").start()
    yield made
    made.stop()


def eft(programs: Path, *words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs / "eft", *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "XDG_STATE_HOME": str(cwd / "state"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_the_wheel_has_the_pages_and_the_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for wanted in WITHIN.values():
            assert set(wanted) <= names
        assets = ROOT / "eft" / "http_resumable" / "assets"
        manifest = assets / ".vite" / "manifest.json"
        if not manifest.exists():
            cannot("the Transfer Files page is not built: run `make web`")
        assert "eft/http_resumable/assets/.vite/manifest.json" in names
        for entry in json.loads(manifest.read_text()).values():
            for file in (entry["file"], *entry.get("css", ())):
                content = archive.read(f"eft/http_resumable/assets/{file}")
                assert content == (assets / file).read_bytes()
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        commands = archive.read(f"eft-{version}.dist-info/entry_points.txt").decode()
        assert "eft = eft.cli.main:main" in commands
        assert not [name for name in names if name.startswith(("tests/", "demo/", "web/"))]


def test_a_customers_install_has_nothing_of_a_servers_and_sends(customer_install: Path, gateway: Gateway, tmp_path: Path) -> None:
    listed = subprocess.run([customer_install / "python", "-m", "pip", "list", "--format=json"], capture_output=True, timeout=60)
    installed = {each["name"].lower() for each in json.loads(listed.stdout)}
    assert "eft" in installed
    assert installed.isdisjoint(SERVER_ONLY)

    for command in ("send", "fetch", "verify"):
        helped = eft(customer_install, command, "--help", cwd=tmp_path)
        assert helped.returncode == 0, helped.stderr
        assert helped.stdout.startswith("Usage: eft")
    refused = eft(customer_install, "serve", cwd=tmp_path)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "eft[server]" in refused.stderr, "who wants a gateway is told what to install"

    case = gateway.open_case("CS-INSTALLED")
    core = dense(tmp_path / "core.dump", 7, 20 * MIB + 3)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(gateway.upload_token(case))
    sent = eft(
        customer_install, "send", core.path, "--to", gateway.url, "--token-file", "token", cwd=tmp_path, EFT_CA=str(gateway.ca)
    )
    assert sent.returncode == 0, sent.stderr
    (attachment,) = gateway.attachments(case)
    assert (attachment["name"], attachment["sha256"]) == ("core.dump", core.sha256)

    got = eft(
        customer_install, "fetch", "--from", gateway.url, "--all", "--to", "got", "--token-file", "token",
        cwd=tmp_path, EFT_CA=str(gateway.ca),
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert hashlib.sha256((tmp_path / "got" / "core.dump").read_bytes()).hexdigest() == core.sha256
