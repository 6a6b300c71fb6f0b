"""The HTTPS servers that are measured: a gateway of eft made for the run, nginx, tusd, @tus/server and rustus.

The peers are built by `make bench-peers`, below `var/peers`; one that is not there is named as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import shutil
import subprocess
from typing import Any

import trustme

from loadtests import build_peers, sftp_servers
from loadtests.compare import Failed
from loadtests.servers import BUILT, PEERS, Absent, built, free_port, serving

TIMEOUT_S = 900


@dataclass
class Target:
    """One server. `url` is where files are sent, `mode` how: by tus or by PUT."""

    name: str
    pid: int
    url: str
    ca: Path
    mode: str = "tus"
    token_file: Path | None = None
    directory: Path | None = None
    gateway: sftp_servers.Gateway | None = field(default=None, repr=False)

    def clear(self) -> None:
        """Deletes what the last run left. A gateway keeps what it took, as it promises; it goes with its directory."""
        if self.directory is not None:
            subprocess.run(["find", str(self.directory), "-mindepth", "1", "-type", "f", "-delete"], check=True)


@contextmanager
def eft(directory: Path, name: str = "eft", **more: Any) -> Iterator[Target]:
    """`eft serve`: it verifies, seals and makes durable what it takes. `more` as for the SFTP door."""
    with sftp_servers.eft(directory, name, **more) as started:
        gateway = started.gateway
        assert gateway is not None
        token_file = directory / "upload-token"
        token_file.touch(mode=0o600)
        asked = gateway.call("POST", f"cases/{sftp_servers.CASE}/upload-tokens", {"ttl_s": 86400})
        token_file.write_text(asked["token"])
        url = f"https://localhost:{gateway.ports[0]}/files"
        yield Target(started.name, started.pid, url, gateway.ca, token_file=token_file, gateway=gateway)


@contextmanager
def nginx(directory: Path) -> Iterator[Target]:
    """Nginx with `dav` PUT, one worker."""
    if shutil.which("nginx") is None:
        raise Absent("nginx is not installed")
    port, ca = free_port(), _certificate(directory)
    stored = directory / "stored"
    for name in (stored, directory / "body", directory / "logs"):
        name.mkdir(parents=True)
        name.chmod(0o777)
    (directory / "nginx.conf").write_text(
        f"user root; worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/logs/error.log;"
        "events { worker_connections 4096; } http { access_log off; client_max_body_size 0; keepalive_requests 100000; "
        f"client_body_temp_path {directory}/body; server {{ listen 127.0.0.1:{port} ssl backlog=4096; "
        f"ssl_certificate {directory}/tls.pem; ssl_certificate_key {directory}/tls.key; ssl_protocols TLSv1.2 TLSv1.3; "
        f"location / {{ root {stored}; dav_methods PUT DELETE; create_full_put_path on; }} }} }}"
    )
    with serving(["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory)], port) as pid:
        yield Target("nginx dav", pid, f"https://localhost:{port}/bench", ca, mode="put", directory=stored)


@contextmanager
def tusd(directory: Path) -> Iterator[Target]:
    """Tusd with its file store."""
    program = built("tusd")
    port, ca = free_port(), _certificate(directory)
    stored = directory / "stored"
    stored.mkdir()
    words = [str(program), "-host", "127.0.0.1", "-port", str(port), "-upload-dir", str(stored), "-base-path", "/files/"]
    words += ["-tls-certificate", f"{directory}/tls.pem", "-tls-key", f"{directory}/tls.key", "-tls-mode", "tls13"]
    with serving([*words, "-show-startup-logs=false", "-verbose=false"], port) as pid:
        yield Target("tusd", pid, f"https://localhost:{port}/files/", ca, directory=stored)


@contextmanager
def tus_node(directory: Path) -> Iterator[Target]:
    """@tus/server with its file store."""
    home = built("tus-node")
    shutil.copy(PEERS / "tus-node" / "server.mjs", home)
    port, ca = free_port(), _certificate(directory)
    stored = directory / "stored"
    stored.mkdir()
    words = ["node", str(home / "server.mjs"), str(port), str(stored), f"{directory}/tls.pem", f"{directory}/tls.key"]
    with serving(words, port) as pid:
        yield Target("@tus/server", pid, f"https://localhost:{port}/files", ca, directory=stored)


@contextmanager
def rustus(directory: Path) -> Iterator[Target]:
    """rustus, which speaks no TLS, behind nginx: their CPU is counted together."""
    program = built("rustus")
    if shutil.which("nginx") is None:
        raise Absent("nginx, which speaks TLS for it, is not installed")
    port, behind, ca = free_port(), free_port(), _certificate(directory)
    stored, info = directory / "stored", directory / "info"
    for name in (stored, info, directory / "body", directory / "logs"):
        name.mkdir(parents=True)
        name.chmod(0o777)
    (directory / "nginx.conf").write_text(
        f"user root; worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/logs/error.log;"
        "events { worker_connections 4096; } http { access_log off; client_max_body_size 0; keepalive_requests 100000; "
        f"upstream rustus {{ server 127.0.0.1:{behind}; keepalive 64; }} client_body_temp_path {directory}/body; "
        f"server {{ listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {directory}/tls.pem; "
        f"ssl_certificate_key {directory}/tls.key; location / {{ proxy_pass http://rustus; proxy_http_version 1.1; "
        'proxy_set_header Connection ""; proxy_request_buffering off; proxy_buffering off; } } }'
    )
    own = f"{program} --host 127.0.0.1 --port {behind} --url /files --data-dir {stored} --info-dir {info} --log-level ERROR"
    own += f" --max-body-size {1 << 40} --workers {os.cpu_count()}"
    both = f"trap 'kill $one $two' TERM; {own} & one=$!; nginx -c {directory}/nginx.conf -p {directory} & two=$!; wait; wait"
    with serving(["sh", "-c", both], port) as pid:
        yield Target("rustus behind nginx", pid, f"https://localhost:{port}/files", ca, directory=stored)


def load(target: Target, url: str | None = None, **words: object) -> dict[str, Any]:
    """What loadtests/peers/tus-load tells of a run: it sends, or fetches `url`. `words`: its flags, `_` for `-`. Raises Failed.

    The client is built when it is first needed: no bench goes without it.
    """
    build_peers.go("tus-load")
    command = [str(BUILT / "tus-load"), "-mode", "get" if url else target.mode, "-url", url or target.url, "-ca", str(target.ca)]
    command += ["-token-file", str(target.token_file)] if target.token_file else []
    command += [str(word) for flag, value in words.items() for word in (f"-{flag.replace('_', '-')}", value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise Failed(done.stderr[-500:])
    told: dict[str, Any] = json.loads(done.stdout)
    if told["failed"]:
        raise Failed(f"{told['failed']} files, the first with {told['first_failure']}")
    return told


def _certificate(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    (directory / "tls.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (directory / "tls.key").write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    return directory / "ca.pem"
