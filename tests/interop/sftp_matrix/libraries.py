"""Libraries that programs send files with: paramiko, ssh2 for Node, asyncssh's client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import asyncssh
import paramiko

from tests.interop.sftp_matrix.client import Client, ClientFailed
from tests.programs import cannot

JS = Path(__file__).parents[1] / "js"


class Paramiko(Client):
    name = "paramiko"

    @contextlib.contextmanager
    def opened(self, *, keyboard_interactive: bool = False) -> Iterator[paramiko.SFTPClient]:
        transport = paramiko.Transport(("127.0.0.1", self.account.port))
        try:
            transport.start_client(timeout=30)
            if keyboard_interactive:
                transport.auth_interactive(self.account.user, lambda _title, _text, asked: [self.account.password for _ in asked])
            else:
                transport.auth_password(self.account.user, self.account.password, fallback=False)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            yield sftp
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ClientFailed(repr(error)) from error
        finally:
            transport.close()

    def put(self, local: Path, remote: str) -> None:
        """`put`, which asks for the size after it"""
        with self.opened() as sftp:
            assert sftp.put(str(local), remote).st_size == local.stat().st_size

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        with self.opened() as sftp:
            sftp.get(remote, str(local))

    def put_tree(self, local: Path, remote: str) -> None:
        """`mkdir` and `put`, written by hand"""
        with self.opened() as sftp:
            for directory, _, files in os.walk(local):
                there = remote + directory.removeprefix(str(local))
                sftp.mkdir(there)
                for name in files:
                    sftp.put(str(Path(directory, name)), f"{there}/{name}")

    def get_tree(self, remote: str, local: Path) -> None:
        """`listdir_iter` and `get`, written by hand"""
        with self.opened() as sftp:
            waiting = [(remote, local)]
            while waiting:
                there, here = waiting.pop()
                here.mkdir()
                for entry in sftp.listdir_attr(there):
                    pair = (f"{there}/{entry.filename}", here / entry.filename)
                    if (entry.st_mode or 0) & 0o40000:
                        waiting.append(pair)
                    else:
                        sftp.get(pair[0], str(pair[1]))

    def rename_over(self, old: str, new: str) -> None:
        """`posix_rename`"""
        with self.opened() as sftp:
            sftp.posix_rename(old, new)

    def resume_put(self, local: Path, remote: str) -> None:
        """`open(…, "ab")`"""
        with self.opened() as sftp, local.open("rb") as source, sftp.open(remote, "ab") as sink:
            source.seek(sftp.stat(remote).st_size or 0)
            sink.set_pipelined(True)
            while data := source.read(32_768):
                sink.write(data)

    def resume_get(self, remote: str, local: Path) -> None:
        """`seek`, `read`"""
        with self.opened() as sftp, sftp.open(remote, "rb") as source, local.open("ab") as sink:
            source.seek(sink.tell())
            while data := source.read(262_144):
                sink.write(data)

    def put_with_time(self, local: Path, remote: str) -> None:
        """`put`, `utime`"""
        with self.opened() as sftp:
            sftp.put(str(local), remote)
            at = local.stat().st_mtime
            sftp.utime(remote, (at, at))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`get`, `stat`"""
        with self.opened() as sftp:
            sftp.get(remote, str(local))
            at = sftp.stat(remote).st_mtime or 0
            os.utime(local, (at, at))

    def password(self) -> None:
        """yes"""
        with self.opened() as sftp:
            sftp.listdir()

    def keyboard_interactive(self) -> None:
        """yes"""
        with self.opened(keyboard_interactive=True) as sftp:
            sftp.listdir()


class Ssh2(Client):
    name = "ssh2 (Node)"
    programs = ("node",)

    def tell(self, *steps: Sequence[Any], methods: Sequence[str] = ("password",)) -> str:
        if not (JS / "node_modules" / "ssh2").is_dir():
            cannot("tests/interop/js is not installed: npm ci")
        asked = {
            "port": self.account.port,
            "user": self.account.user,
            "password": self.account.password,
            "methods": methods,
            "steps": steps,
        }
        return self.run("node", JS / "sftp.mjs", json.dumps(asked, default=str))

    def put(self, local: Path, remote: str) -> None:
        """`fastPut`, which writes out of order"""
        self.tell(("put", local, remote))

    def get(self, remote: str, local: Path) -> None:
        """`fastGet`"""
        self.tell(("get", remote, local))

    def put_tree(self, local: Path, remote: str) -> None:
        """`mkdir` and `fastPut`, written by hand"""
        self.tell(("putTree", local, remote))

    def get_tree(self, remote: str, local: Path) -> None:
        """`readdir` and `fastGet`, written by hand"""
        self.tell(("getTree", remote, local))

    def rename_over(self, old: str, new: str) -> None:
        """`ext_openssh_rename`"""
        self.tell(("renameOver", old, new))

    def resume_put(self, local: Path, remote: str) -> None:
        """`createWriteStream(…, {flags: 'r+', start})`"""
        self.tell(("resumePut", local, remote))

    def resume_get(self, remote: str, local: Path) -> None:
        """`createReadStream(…, {start})`"""
        self.tell(("resumeGet", remote, local))

    def put_with_time(self, local: Path, remote: str) -> None:
        """`fastPut`, `utimes`"""
        self.tell(("put", local, remote), ("utimes", remote, int(local.stat().st_mtime)))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`fastGet`, `stat`"""
        at = int(self.tell(("get", remote, local), ("mtime", remote)))
        os.utime(local, (at, at))

    def put_at_once(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """several at once, on one connection too"""
        self.tell(("atOnce", pairs))
        super().put_at_once([(local, f"{remote}-alone") for local, remote in pairs])

    def password(self) -> None:
        """yes"""
        self.tell(("mtime", "/"))

    def keyboard_interactive(self) -> None:
        """yes (`tryKeyboard`)"""
        self.tell(("mtime", "/"), methods=("keyboard-interactive",))


class _Answering(asyncssh.SSHClient):
    """Answers what keyboard-interactive asks."""

    def __init__(self, password: str) -> None:
        self._password = password

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        return [self._password for _ in prompts]


class AsyncSsh(Client):
    name = "asyncssh"

    def do(self, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, Any]], *, methods: str = "password") -> None:
        async def whole() -> None:
            told: dict[str, Any] = {"password": self.account.password} if methods == "password" else {}
            async with (
                asyncssh.connect(
                    "127.0.0.1",
                    self.account.port,
                    username=self.account.user,
                    known_hosts=None,
                    client_keys=None,
                    config=None,
                    preferred_auth=methods,
                    client_factory=lambda: _Answering(self.account.password),
                    **told,
                ) as connection,
                connection.start_sftp_client() as sftp,
            ):
                await work(sftp)

        try:
            asyncio.run(whole())
        except (OSError, asyncssh.Error) as error:
            raise ClientFailed(repr(error)) from error

    def put(self, local: Path, remote: str) -> None:
        """`put`"""
        self.do(lambda sftp: sftp.put(str(local), remote))

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        self.do(lambda sftp: sftp.get(remote, str(local)))

    def put_tree(self, local: Path, remote: str) -> None:
        """`put(recurse=True)`"""
        self.do(lambda sftp: sftp.put(str(local), remote, recurse=True))

    def get_tree(self, remote: str, local: Path) -> None:
        """`get(recurse=True)`"""
        self.do(lambda sftp: sftp.get(remote, str(local), recurse=True))

    def rename_over(self, old: str, new: str) -> None:
        """`posix_rename`"""
        self.do(lambda sftp: sftp.posix_rename(old, new))

    def resume_put(self, local: Path, remote: str) -> None:
        """`open(…, "ab")`"""

        async def work(sftp: asyncssh.SFTPClient) -> None:
            size = (await sftp.stat(remote)).size or 0
            async with sftp.open(remote, "ab") as sink:
                await sink.write(local.read_bytes()[size:])

        self.do(work)

    def resume_get(self, remote: str, local: Path) -> None:
        """`read(offset=…)`"""

        async def work(sftp: asyncssh.SFTPClient) -> None:
            async with sftp.open(remote, "rb") as source:
                with local.open("ab") as sink:
                    rest = await source.read(offset=sink.tell())
                    sink.write(rest if isinstance(rest, bytes) else rest.encode())

        self.do(work)

    def put_with_time(self, local: Path, remote: str) -> None:
        """`put(preserve=True)`"""
        self.do(lambda sftp: sftp.put(str(local), remote, preserve=True))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`get(preserve=True)`"""
        self.do(lambda sftp: sftp.get(remote, str(local), preserve=True))

    def password(self) -> None:
        """yes"""
        self.do(lambda sftp: sftp.listdir("/"))

    def keyboard_interactive(self) -> None:
        """yes"""
        self.do(lambda sftp: sftp.listdir("/"), methods="keyboard-interactive")
