"""The SFTP servers that are measured: a gateway of eft made for the run, OpenSSH's own, and Go's pkg/sftp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import getpass
import json
import os
from pathlib import Path
import ssl
import subprocess
import sys
import time
from typing import Any
import urllib.error
import urllib.request

import trustme

from loadtests.servers import ROOT, START_S, Absent, built, free_port, openssh, serving, stop

CASE = "BENCH-1"
SCOPES = ("cases:read", "cases:write", "attachments:read", "attachments:write", "tokens:write", "accounts:read", "accounts:write")


@dataclass
class Target:
    """One server, as a client of SFTP sees it. `key` where it signs in with one."""

    name: str
    pid: int
    port: int
    user: str
    password: str = ""
    key: Path | None = None
    prefix: str = ""
    directory: Path | None = None
    gateway: Gateway | None = field(default=None, repr=False)

    def clear(self) -> None:
        """Deletes what the last run left. A gateway keeps what it took, as it promises; it goes with its directory."""
        if self.directory is not None:
            subprocess.run(["find", str(self.directory), "-mindepth", "1", "-delete"], check=True)


@dataclass
class Gateway:
    """A gateway of its own, in `directory`."""

    directory: Path
    ports: tuple[int, int, int]
    ca: Path
    token: str = ""

    def call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(f"https://localhost:{self.ports[0]}/api/v1/{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(self.ca)), timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None


@contextmanager
def eft(
    directory: Path,
    name: str = "eft",
    *,
    workers: int = 1,
    pieces: list[str] | None = None,
    without: tuple[str, ...] = (),
    https: str = "",
    by_key: bool = False,
) -> Iterator[Target]:
    """`eft serve` with an account of one case. `pieces`: of the packet layer, all without it. `without`: what it does not do.
    `https`: lines for that part of its settings. `by_key`: the clients' key is registered with the account, and they use it."""
    command = str(Path(sys.executable).parent / "eft")
    secrets = directory / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    ports = (free_port(), free_port(), free_port())
    gateway = Gateway(directory, ports, directory / "ca.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(gateway.ca))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    (secrets / "tls.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (secrets / "tls.key").touch(mode=0o600)
    (secrets / "tls.key").write_bytes(issued.private_key_pem.bytes())
    for kind, more in (("ed25519", ()), ("rsa", ("-b", "3072"))):
        file = secrets / f"ssh_host_{kind}_key"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-f", str(file)], check=True)
    config = directory / "gateway.toml"
    told = "" if pieces is None else f"packet_pieces = {json.dumps(pieces)}\n"
    config.write_text(
        f'region = "us"\nregions_dir = "{ROOT}/regions"\n[storage]\nroot = "data"\n'
        f'[keys]\nmaster_key_file = "secrets/master.key"\n'
        f'[https]\nport = {ports[0]}\ncertificate = "secrets/tls.pem"\nprivate_key = "secrets/tls.key"\n{https}'
        f'[sftp]\nport = {ports[1]}\nhost_keys = ["secrets/ssh_host_ed25519_key", "secrets/ssh_host_rsa_key"]\n{told}'
        f"[operations]\nport = {ports[2]}\n[uploads]\nsettle_s = 0.0\nsettle_suspicious_s = 0.0\n"
    )

    def run(*words: str) -> str:
        return subprocess.run([command, *words, "--config", str(config)], check=True, capture_output=True, text=True).stdout

    run("keys", "create")
    asked = [word for scope in SCOPES for word in ("--scope", scope)]
    gateway.token = json.loads(run("token", "create", "--name", "bench", *asked, "--json"))["token"]
    serve = [command, "serve", "--config", str(config), "--workers", str(workers)]
    environment = dict(os.environ)
    if without:
        environment |= {"PYTHONPATH": str(Path(__file__).parent / "without"), "EFT_BENCH_WITHOUT": ",".join(without)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_ready(process, ports[2], directory / "log")
        gateway.call("PUT", f"cases/{CASE}", {"organisation": "Benchmark", "subject": "Benchmark", "status": "open"})
        account = gateway.call("POST", f"cases/{CASE}/sftp-account")
        target = Target(name, process.pid, ports[1], account["username"], account["password"], prefix="/", gateway=gateway)
        if by_key:
            target.key = client_key(directory)
            public = target.key.with_suffix(".pub").read_text()
            gateway.call("POST", f"cases/{CASE}/sftp-account/keys", {"public_key": public})
        yield target
    finally:
        stop(process)


def client_key(directory: Path) -> Path:
    """The key that clients sign in with at every server whose directory lies beside this one; its public half ends in `.pub`."""
    key = directory.parent / "client"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"it did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.05)


@contextmanager
def openssh_target(directory: Path) -> Iterator[Target]:
    directory.mkdir(parents=True)
    key = client_key(directory)
    with openssh(directory, key.with_suffix(".pub")) as peer:
        stored = peer.directory
        yield Target("OpenSSH", peer.pid, peer.port, getpass.getuser(), key=key, prefix=f"{stored}/", directory=stored)


@contextmanager
def go_target(directory: Path, name: str = "Go pkg/sftp", *, by_key: bool = True) -> Iterator[Target]:
    """pkg/sftp in the smallest server that it allows, loadtests/peers/go-sftp; it takes the clients' key and a password."""
    stored, port = directory / "stored", free_port()
    program = built("go-sftp")
    stored.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "host")], check=True)
    words = [str(program), "-listen", f"127.0.0.1:{port}", "-host-key", str(directory / "host")]
    key = client_key(directory)
    words += ["-directory", str(stored), "-password", "bench", "-client-key", str(key.with_suffix(".pub"))]
    with serving(words, port) as pid:
        used = key if by_key else None
        yield Target(name, pid, port, "bench", "bench", key=used, prefix=f"{stored}/", directory=stored)
