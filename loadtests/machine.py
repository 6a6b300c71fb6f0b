"""What a table of figures must say beside them: the machine, and the versions of everything that was measured."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
import platform
import re
import shutil
import ssl
import subprocess
import time

from loadtests.servers import BUILT, PEERS, ROOT

_PROGRAMS = {
    "nginx": ["nginx", "-v"],
    "OpenSSH": ["ssh", "-V"],
    "curl": ["curl", "--version"],
    "PSFTP": ["psftp", "-V"],
    "lftp": ["lftp", "--version"],
    "rclone": ["rclone", "version"],
    "Node.js": ["node", "--version"],
    "Go": ["go", "version"],
    "rustus": [str(BUILT / "rustus"), "--version"],
}
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*\w*")


def described(disk: Path) -> list[str]:
    """Lines of Markdown. `disk` is a directory on the disk that was measured; it is written to for a second or two."""
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 1024**2  # type: ignore[index]
    cores = os.cpu_count() or 1
    lines = [
        f"- Machine: {_cpu_model()}, {cores} {'core' if cores == 1 else 'cores'}{_virtual()}, {memory:.0f} GiB of memory; "
        "client and server share it.",
        f"- Disk: {_disk(disk)}.",
        f"- System: {platform.system()} {platform.release()}, {_distribution()}; Python {platform.python_version()}, "
        f"{' '.join(ssl.OPENSSL_VERSION.split()[:2])} for TLS, cryptography {importlib.metadata.version('cryptography')}.",
        f"- eft: {_commit()}. Peers and clients: {', '.join(f'{name} {version}' for name, version in versions().items())}.",
    ]
    return lines


def versions() -> dict[str, str]:
    """Of what is installed here; what is not is left out."""
    found = {}
    for name, command in _PROGRAMS.items():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
            match = _VERSION.search(done.stdout + done.stderr)
            if match:
                found[name] = match[0]
    package = BUILT / "tus-node" / "node_modules" / "@tus" / "server" / "package.json"
    if package.exists():
        found["@tus/server"] = json.loads(package.read_text())["version"]
    for name, module, required in (
        ("tusd", "tusd", "tus/tusd/v2"),
        ("pkg/sftp", "go-sftp", "pkg/sftp"),
        ("x/crypto", "go-sftp", "x/crypto"),
    ):
        match = re.search(rf"{re.escape(required)} v(\S+)", (PEERS / module / "go.mod").read_text())
        if match:
            found[name] = match[1]
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _virtual() -> str:
    return ", virtual" if " hypervisor" in Path("/proc/cpuinfo").read_text() else ""


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown distribution")
    except OSError:
        return "unknown distribution"


def _disk(directory: Path) -> str:
    """File system, and how fast it takes 256 MiB with a sync at the end, and 4 KiB with a sync each."""
    found = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(directory)], capture_output=True, text=True
    )
    probe = directory / f"probe-{os.getpid()}"
    block = os.urandom(1024 * 1024)
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        began = time.perf_counter()
        for _ in range(256):
            os.write(descriptor, block)
        os.fdatasync(descriptor)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        for number in range(50):
            os.pwrite(descriptor, block[:4096], number * 4096)
            os.fdatasync(descriptor)
        each = (time.perf_counter() - began) / 50
    finally:
        os.close(descriptor)
        probe.unlink()
    kind = found.stdout.strip() or "unknown"
    return f"{kind}, {256 / whole:.0f} MiB/s written and synced, {each * 1000:.1f} ms for a write of 4 KiB with a sync"


def _commit() -> str:
    words = ["git", "-C", str(ROOT), "log", "-1", "--format=%h of %cs"]
    done = subprocess.run(words, capture_output=True, text=True)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else f"version {importlib.metadata.version('eft')}"
