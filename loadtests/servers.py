"""The servers that are measured: a demo gateway of eft, nginx with WebDAV, and OpenSSH's own SFTP server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import Any
import urllib.request

ROOT = Path(__file__).resolve().parent.parent
CASE = "BENCH-1"


@dataclass(frozen=True)
class Eft:
    """The demo's us gateway, and what a client of it needs."""

    pid: int
    url: str
    ca: Path
    sftp_port: int
    username: str
    password: str
    upload_token: str
    api_token: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        return _call(self.ca, self.url, self.api_token, method, path, body)

    def clear(self) -> None:
        """Deletes what the last run left."""
        for attachment in self.call("GET", f"cases/{CASE}/attachments?limit=100")["items"]:
            if attachment["state"] == "available":
                self.call("DELETE", f"attachments/{attachment['id']}")


@contextmanager
def eft(workers: int = 1) -> Iterator[Eft]:
    """The demo, started unless it runs already; then it is left as it was."""
    demo_file = ROOT / "var" / "demo.json"
    was_running = _is_running(demo_file)
    if not was_running:
        command = [sys.executable, "-m", "demo", "--detach", "--workers", str(workers)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    told = json.loads(demo_file.read_text())
    us, ca = told["regions"]["us"], Path(told["ca"])

    def call(method: str, path: str, body: object = None) -> Any:
        return _call(ca, us["https"], us["api_token"], method, path, body)

    call("PUT", f"cases/{CASE}", {"organisation": "Benchmark", "subject": "Benchmark", "status": "open"})
    account = call("POST", f"cases/{CASE}/sftp-account")
    token = call("POST", f"cases/{CASE}/upload-tokens", {"ttl_s": 86400})["token"]
    try:
        yield Eft(
            told["pids"][0], us["https"], ca, us["sftp_port"], account["username"], account["password"], token, us["api_token"]
        )
    finally:
        if not was_running:
            subprocess.run([sys.executable, "-m", "demo", "--stop"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Peer:
    """Another server: its first process, its port, and where it stores."""

    pid: int
    port: int
    directory: Path


@contextmanager
def nginx(directory: Path) -> Iterator[Peer]:
    """Nginx with `dav` PUT over TLS, one worker, with the certificate of the demo."""
    secrets = ROOT / "var" / "us" / "secrets"
    port = _free_port()
    for name in ("stored", "body", "logs"):
        (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / name).chmod(0o777)
    module = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
    load = f"load_module {module};" if module.exists() else ""
    (directory / "nginx.conf").write_text(
        f"{load} user root; worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/logs/error.log;"
        "events { worker_connections 1024; } http { access_log off; client_max_body_size 0; "
        f"client_body_temp_path {directory}/body; server {{ listen 127.0.0.1:{port} ssl; "
        f"ssl_certificate {secrets}/tls.pem; ssl_certificate_key {secrets}/tls.key; ssl_protocols TLSv1.2 TLSv1.3; "
        f"location / {{ root {directory}/stored; dav_methods PUT DELETE; create_full_put_path on; }} }} }}"
    )
    with _serving(["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory)], port) as pid:
        yield Peer(pid, port, directory / "stored")


@contextmanager
def openssh(directory: Path) -> Iterator[Peer]:
    """Sshd with its internal SFTP server, for the present user, by public key."""
    port = _free_port()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "stored").mkdir(exist_ok=True)
    for key in ("host", "client"):
        (directory / key).unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)], check=True)
    shutil.copy(directory / "client.pub", directory / "authorized")
    (directory / "authorized").chmod(0o600)
    Path("/run/sshd").mkdir(exist_ok=True)
    (directory / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile {directory}/pid\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized\nPasswordAuthentication no\nPermitRootLogin yes\nUsePAM no\n"
        "Subsystem sftp internal-sftp\n"
    )
    with _serving(["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd.conf")], port) as pid:
        yield Peer(pid, port, directory / "stored")


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _call(ca: Path, url: str, token: str, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(f"{url}/api/v1/{path}", method=method)
    request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(ca)), timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def _is_running(demo_file: Path) -> bool:
    try:
        pids = json.loads(demo_file.read_text())["pids"]
        for pid in pids:
            os.kill(pid, 0)
    except (OSError, ValueError, KeyError):
        return False
    return bool(pids)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
