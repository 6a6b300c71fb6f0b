"""SFTP clients as people run them, and asyncssh's for connects. Passwords go in by files and the environment, but for PSFTP and
lftp, which take them as words; they are made for the run."""

from __future__ import annotations

from functools import cache
import os
from pathlib import Path
import subprocess
import time

from loadtests.compare import Failed
from loadtests.sftp_servers import Target

TIMEOUT_S = 600


def openssh(target: Target, scratch: Path, commands: list[str], *options: str) -> None:
    """`sftp -b` with these commands."""
    environment = dict(os.environ)
    words = [
        "sftp", "-F", "/dev/null", "-q", "-P", str(target.port), "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", *options,
    ]  # fmt: skip
    if target.key is not None:
        words += ["-i", str(target.key), "-o", "IdentitiesOnly=yes"]
    else:
        asker = scratch / "askpass"
        asker.write_text('#!/bin/sh\nprintf "%s\\n" "$BENCH_PASSWORD"\n')
        asker.chmod(0o700)
        environment |= {"SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force", "BENCH_PASSWORD": target.password}
        words += ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
    batch = scratch / f"batch-{time.monotonic_ns()}"
    batch.write_text("\n".join(commands) + "\n")
    words += ["-o", "BatchMode=no", "-b", str(batch), f"{target.user}@127.0.0.1"]
    _run(words, environment)


def psftp(target: Target, scratch: Path, commands: list[str]) -> None:
    """PuTTY's."""
    batch = scratch / f"psftp-{time.monotonic_ns()}"
    batch.write_text("\n".join(commands) + "\n")
    words = ["psftp", "-batch", "-P", str(target.port), "-b", str(batch), *_known_to_putty(target.port, target.key, scratch)]
    words += [] if target.key is not None else ["-pw", target.password]
    _run([*words, f"{target.user}@127.0.0.1"], {**os.environ, "HOME": str(scratch)})


@cache
def _known_to_putty(port: int, key: Path | None, scratch: Path) -> tuple[str, ...]:
    """What PuTTY must be told of host keys, and of a key of OpenSSH's: found out once, and not while the clock runs twice."""
    known = subprocess.run(["ssh-keyscan", "-p", str(port), "127.0.0.1"], capture_output=True, text=True, check=True).stdout
    words: list[str] = []
    for number, line in enumerate(line for line in known.splitlines() if not line.startswith("#")):
        file = scratch / f"host-{port}-{number}.pub"
        file.write_text(line.split(" ", 1)[1] + "\n")
        print_ = subprocess.run(["ssh-keygen", "-l", "-f", str(file)], capture_output=True, text=True, check=True).stdout
        words += ["-hostkey", print_.split()[1]]
    if key is not None:
        own = scratch / "client.ppk"
        subprocess.run(["puttygen", str(key), "-O", "private", "-o", str(own)], check=True)
        words += ["-i", str(own)]
    return tuple(words)


def lftp(target: Target, scratch: Path, commands: list[str]) -> None:
    connect = "ssh -a -x -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    if target.key is not None:
        connect += f" -i {target.key} -o IdentitiesOnly=yes"
    said = [f'set sftp:connect-program "{connect}"', "set cmd:fail-exit yes", "set net:max-retries 1"]
    said += [f"open -p {target.port} -u {target.user},{target.password or 'none'} sftp://127.0.0.1", *commands]
    _run(["lftp", "--norc", "-c", "; ".join(said)], {**os.environ, "HOME": str(scratch)})


def rclone(target: Target, scratch: Path, source: Path, name: str) -> None:
    words = [
        "rclone", "--config", str(scratch / "rclone.conf"), "copyto", str(source), f":sftp:{target.prefix}{name}",
        "--sftp-host=127.0.0.1", f"--sftp-port={target.port}", f"--sftp-user={target.user}",
        "--sftp-disable-hashcheck", "--ignore-checksum", "--retries=1",
    ]  # fmt: skip
    if target.key is not None:
        words.append(f"--sftp-key-file={target.key}")
    else:
        hidden = subprocess.run(["rclone", "obscure", target.password], capture_output=True, text=True, check=True).stdout
        words.append(f"--sftp-pass={hidden.strip()}")
    _run(words, dict(os.environ))


def _run(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S
    )
    if done.returncode:
        raise Failed(f"{words[0]} ended with {done.returncode}: {done.stdout.decode(errors='replace')[-2000:]}")
