"""What the starts of all servers share, and OpenSSH's own SFTP server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).parent / "peers"
BUILT = ROOT / "var" / "peers"
"""Where `make bench-peers` puts what it builds."""

PORTS = (12_000, 32_000)
START_S = 120
STOP_S = 30
LAST_WORDS = 400
"""Bytes of what a server said that are told when it ended too early."""

_running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}


class Absent(Exception):
    """The server cannot be had on this machine; the reason."""


@dataclass(frozen=True)
class Peer:
    """Another server: its first process, its port, and where it stores."""

    pid: int
    port: int
    directory: Path


def built(name: str) -> Path:
    """A program of `make bench-peers`. Raises Absent."""
    program = BUILT / name
    if not program.exists():
        raise Absent("it is not built; run `make bench-peers`")
    return program


@contextmanager
def openssh(directory: Path, client: Path) -> Iterator[Peer]:
    """Sshd with its internal SFTP server, for the present user, by the public key `client`."""
    if not Path("/usr/sbin/sshd").exists():
        raise Absent("sshd is not installed; run `make test-deps`")
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "stored").mkdir(exist_ok=True)
    (directory / "host").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "host")], check=True)
    shutil.copy(client, directory / "authorized")
    (directory / "authorized").chmod(0o600)
    Path("/run/sshd").mkdir(exist_ok=True)
    (directory / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile {directory}/pid\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/authorized\nPasswordAuthentication no\nPermitRootLogin yes\nUsePAM no\n"
        "MaxStartups 1000\nSubsystem sftp internal-sftp\n"
    )
    with serving(["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd.conf")], port) as pid:
        yield Peer(pid, port, directory / "stored")


@contextmanager
def serving(command: list[str], port: int) -> Iterator[int]:
    """Runs a server; its process id once it listens. Raises Absent where it does not come to that."""
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        stack.callback(_running.pop, process.pid, None)
        stack.callback(stop, process)
        _running[process.pid] = process, said
        deadline = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"{command[0]} did not start{fate(process.pid)}")
            time.sleep(0.05)
        yield process.pid


def fate(pid: int) -> str:
    """What became of a server that `serving` runs: nothing while it lives, otherwise how it ended and what it said last."""
    process, said = _running.get(pid, (None, None))
    if process is None or said is None or process.poll() is None:
        return ""
    said.seek(0)
    words = said.read()[-LAST_WORDS:].decode(errors="replace").split()
    return f"; it ended with {process.returncode}" + (f", and said: {' '.join(words)}" if words else ", and said nothing")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends it in order; what does not end in time is killed."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def free_port() -> int:
    """One that nobody listens on now, from where the kernel takes none for clients."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(*PORTS)))
            except OSError:
                continue
            return int(probe.getsockname()[1])
