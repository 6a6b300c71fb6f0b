"""Runs real SFTP clients against a door on loopback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import os
from pathlib import Path
import shlex

from eft.sftp_temp.host_keys import fingerprints
from tests.unit.sftp.doors import PASSWORD, USER, keys

TIMEOUT_S = 60


@dataclass
class Ended:
    """How a client ended, and what it had to say."""

    code: int
    said: str


async def run(*arguments: str | Path, stdin: str = "", environment: dict[str, str] | None = None) -> Ended:
    """Runs a program to its end."""
    process = await asyncio.create_subprocess_exec(
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(stdin.encode()), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        raise
    return Ended(process.returncode or 0, said.decode(errors="replace"))


class OpenSsh:
    """OpenSSH's clients, with the password from a script and nothing of the user's own settings."""

    def __init__(self, work: Path, port: int, *, password: str = PASSWORD, user: str = USER) -> None:
        self._work, self._port, self._user = work, port, user
        self._ask = work / "askpass"
        self._ask.write_text(f"#!/bin/sh\necho {shlex.quote(password)}\n")
        self._ask.chmod(0o700)
        self.environment = {"SSH_ASKPASS": str(self._ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}

    @property
    def options(self) -> list[str]:
        told = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "PubkeyAuthentication": "no",
            "NumberOfPasswordPrompts": "1",
        }
        return ["-F", "/dev/null", *(word for key, value in told.items() for word in ("-o", f"{key}={value}"))]

    @property
    def sftp_command(self) -> list[str]:
        return ["sftp", *self.options, "-P", str(self._port), f"{self._user}@127.0.0.1"]

    async def sftp(self, *commands: str, extra: tuple[str, ...] = ()) -> Ended:
        """One session, in which a failing command ends it, as in a batch."""
        batch = self._work / "batch"
        batch.write_text("\n".join(commands) + "\n")
        words = self.sftp_command
        words[1:1] = ["-o", "BatchMode=no", "-b", str(batch), "-o", "BatchMode=no", *extra]
        return await run(*words, environment=self.environment)

    async def scp(self, *words: str) -> Ended:
        return await run("scp", *self.options, "-P", str(self._port), *words, environment=self.environment)

    def remote(self, path: str) -> str:
        return f"{self._user}@127.0.0.1:{path}"


def psftp_words(program: str, port: int) -> list[str]:
    """PuTTY's clients, which are told the host key and never ask."""
    pinned = [word for found in fingerprints(keys()) for word in ("-hostkey", found)]
    return [program, "-batch", "-P", str(port), *pinned, "-pw", PASSWORD]
