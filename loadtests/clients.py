"""The clients that do the sending: curl and OpenSSH's sftp, as users run them. Secrets go in by files and the environment."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess

from loadtests.servers import Eft, Peer


def tus_post(server: Eft, file: Path, headers: Path) -> None:
    """One file in one POST (creation-with-upload)."""
    headers.write_text(
        f"Authorization: Bearer {server.upload_token}\nTus-Resumable: 1.0.0\nContent-Type: application/offset+octet-stream\n"
        f"Upload-Length: {file.stat().st_size}\nUpload-Metadata: filename YmVuY2g=\n"
    )
    _curl("--cacert", str(server.ca), "-X", "POST", "-T", str(file), "-H", f"@{headers}", f"{server.url}/files")


def dav_put(server: Peer, ca: Path, file: Path) -> None:
    _curl("--cacert", str(ca), "-T", str(file), f"https://localhost:{server.port}/bench")


def _curl(*arguments: str) -> None:
    subprocess.run(
        ["curl", "--fail", "--silent", "--show-error", "--output", os.devnull, *arguments], check=True, stdin=subprocess.DEVNULL
    )


def sftp_put(
    port: int, user: str, target: str, file: Path, scratch: Path, *options: str, key: Path | None = None, password: str = ""
) -> None:
    """`sftp -b` with one put."""
    environment = dict(os.environ)
    arguments = [
        "sftp", "-q", "-P", str(port), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={scratch}/known",
        "-o", "GlobalKnownHostsFile=/dev/null", *options,
    ]  # fmt: skip
    if key is not None:
        arguments += ["-i", str(key), "-o", "IdentitiesOnly=yes"]
    else:
        asker = scratch / "askpass"
        asker.write_text('#!/bin/sh\nprintf "%s\\n" "$BENCH_PASSWORD"\n')
        asker.chmod(0o700)
        environment |= {"SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force", "BENCH_PASSWORD": password}
        arguments += ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
    commands = scratch / "commands"
    commands.write_text(f"put {file} {target}\n")
    arguments += ["-o", "BatchMode=no", "-b", str(commands), f"{user}@localhost"]
    subprocess.run(arguments, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
