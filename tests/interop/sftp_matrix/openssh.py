"""OpenSSH's sftp and scp, and what is built on its ssh: lftp and sshfs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import os
from pathlib import Path
import shlex
import shutil
import subprocess
import tempfile
import time

from tests.interop.sftp_matrix.client import Account, Client, ClientFailed, never

OPTIONS = {
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "PubkeyAuthentication": "no",
    "NumberOfPasswordPrompts": "1",
}


def option_words(**more: str) -> list[str]:
    """Nothing of the user's own settings."""
    told = {**OPTIONS, **more}
    return ["-F", "/dev/null", *(word for key, value in told.items() for word in ("-o", f"{key}={value}"))]


class _OpenSsh(Client):
    programs = ("sftp", "scp", "ssh")

    def __init__(self, work: Path, account: Account) -> None:
        super().__init__(work, account)
        ask = self.work / "askpass"
        ask.write_text(f"#!/bin/sh\necho {shlex.quote(account.password)}\n")
        ask.chmod(0o700)
        self.asking = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
        self.at = f"{account.user}@127.0.0.1"


class Sftp(_OpenSsh):
    name = "OpenSSH sftp"

    def batch(self, *commands: str, methods: str = "password", extra: Sequence[str] = ()) -> str:
        script = self.work / "batch"
        script.write_text("\n".join(commands) + "\n")
        words = ["-o", "BatchMode=no", "-b", str(script), "-o", "BatchMode=no", *extra]
        words += option_words(PreferredAuthentications=methods)
        return self.run("sftp", *words, "-P", str(self.account.port), self.at, environment=self.asking)

    def put(self, local: Path, remote: str) -> None:
        """`put`"""
        self.batch(f'put "{local}" "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        self.batch(f'get "{remote}" "{local}"')

    def put_tree(self, local: Path, remote: str) -> None:
        """`put -r`"""
        self.batch(f'mkdir "{remote}"', f'put -r "{local}/." "{remote}"')

    def get_tree(self, remote: str, local: Path) -> None:
        """`get -r`"""
        self.batch(f'get -r "{remote}" "{local}"')

    def rename_over(self, old: str, new: str) -> None:
        """`rename` (posix-rename)"""
        self.batch(f'rename "{old}" "{new}"')

    def resume_put(self, local: Path, remote: str) -> None:
        """`reput`"""
        self.batch(f'reput "{local}" "{remote}"')

    def resume_get(self, remote: str, local: Path) -> None:
        """`reget`"""
        self.batch(f'reget "{remote}" "{local}"')

    def put_with_time(self, local: Path, remote: str) -> None:
        """`put -p`"""
        self.batch(f'put -p "{local}" "{remote}"')

    def get_with_time(self, remote: str, local: Path) -> None:
        """`get -p`"""
        self.batch(f'get -p "{remote}" "{local}"')

    def password(self) -> None:
        """yes"""
        self.batch("pwd")

    def keyboard_interactive(self) -> None:
        """yes"""
        self.batch("pwd", methods="keyboard-interactive")


class Scp(_OpenSsh):
    name = "OpenSSH scp"

    def copy(self, *words: str | Path, methods: str = "password") -> str:
        options = option_words(PreferredAuthentications=methods)
        return self.run("scp", *options, "-P", str(self.account.port), *words, environment=self.asking)

    def remote(self, path: str) -> str:
        return f"{self.at}:{path}"

    def put(self, local: Path, remote: str) -> None:
        """`scp FILE HOST:` (over SFTP; `-O` is refused)"""
        self.copy(local, self.remote(remote))

    def get(self, remote: str, local: Path) -> None:
        """`scp HOST:FILE`"""
        self.copy(self.remote(remote), local)

    def put_tree(self, local: Path, remote: str) -> None:
        """`-r`"""
        self.copy("-r", local, self.remote(remote))

    def get_tree(self, remote: str, local: Path) -> None:
        """`-r`"""
        self.copy("-r", self.remote(remote), local)

    rename_over = never("it copies alone")
    resume_put = never("it begins anew")
    resume_get = never("it begins anew")

    def put_with_time(self, local: Path, remote: str) -> None:
        """`-p`"""
        self.copy("-p", local, self.remote(remote))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`-p`"""
        self.copy("-p", self.remote(remote), local)

    def password(self) -> None:
        """yes"""
        (self.work / "a").write_bytes(b"a")
        self.copy(self.work / "a", self.remote("/a"))

    def keyboard_interactive(self) -> None:
        """yes"""
        (self.work / "a").write_bytes(b"a")
        self.copy(self.work / "a", self.remote("/a"), methods="keyboard-interactive")


class Lftp(Client):
    name = "lftp"
    programs = ("lftp", "ssh")

    def tell(self, *commands: str, methods: str = "password") -> str:
        ssh = shlex.join(["ssh", "-a", "-x", "-q", *option_words(PreferredAuthentications=methods)])
        told = [
            f"set sftp:connect-program '{ssh}'",
            "set net:max-retries 1",
            "set net:reconnect-interval-base 1",
            "set cmd:fail-exit true",
            f"open -u {self.account.user},{self.account.password} sftp://127.0.0.1:{self.account.port}",
            *commands,
        ]
        return self.run("lftp", "--norc", "-c", "; ".join(told))

    def put(self, local: Path, remote: str) -> None:
        """`put`"""
        self.tell(f'put "{local}" -o "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        self.tell(f'get "{remote}" -o "{local}"')

    def overwrite(self, local: Path, remote: str) -> None:
        """the same again, also by `.in.*` (`xfer:use-temp-file`)"""
        self.tell("set xfer:use-temp-file true", f'put "{local}" -o "{remote}"')

    def put_tree(self, local: Path, remote: str) -> None:
        """`mirror -R`"""
        self.tell(f'mirror -R "{local}" "{remote}"')

    def get_tree(self, remote: str, local: Path) -> None:
        """`mirror`"""
        self.tell(f'mirror "{remote}" "{local}"')

    def rename_over(self, old: str, new: str) -> None:
        """`rm`, `mv`: its `mv` alone is refused, as by OpenSSH's server"""
        self.tell(f'rm "{new}"', f'mv "{old}" "{new}"')

    def resume_put(self, local: Path, remote: str) -> None:
        """`put -c`"""
        self.tell(f'put -c "{local}" -o "{remote}"')

    def resume_get(self, remote: str, local: Path) -> None:
        """`get -c`"""
        self.tell(f'get -c "{remote}" -o "{local}"')

    def put_with_time(self, local: Path, remote: str) -> None:
        """always"""
        self.put(local, remote)

    def get_with_time(self, remote: str, local: Path) -> None:
        """always"""
        self.get(remote, local)

    def put_at_once(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """`put &`, one connection each"""
        self.tell(*(f'put "{local}" -o "{remote}" &' for local, remote in pairs), "wait all")

    def password(self) -> None:
        """yes, by ssh"""
        self.tell("ls")

    def keyboard_interactive(self) -> None:
        """yes, by ssh"""
        self.tell("ls", methods="keyboard-interactive")


def _all_told(mount: Path) -> None:
    """Waits until sshfs has carried out everything that the kernel asked of it: it tells a CLOSE after the program's own close()
    has returned, and an unmount waits for nothing. The kernel counts what is under way, where its control files are mounted."""
    waiting = Path(f"/sys/fs/fuse/connections/{os.minor(mount.stat().st_dev)}/waiting")
    until = time.monotonic() + (30 if waiting.exists() else 1)
    os.listdir(mount)
    while time.monotonic() < until and not (waiting.exists() and waiting.read_text().strip() == "0"):
        time.sleep(0.05)
    os.listdir(mount)


class Sshfs(Client):
    name = "sshfs"
    programs = ("sshfs", "fusermount3", "ssh")

    @contextlib.contextmanager
    def mounted(self, methods: str = "password") -> Iterator[Path]:
        directory = Path(tempfile.mkdtemp(prefix="mount-", dir=self.work))  # one client may be in use several times at once
        options = {**OPTIONS, "PreferredAuthentications": methods}
        told = ",".join(["password_stdin", *(f"{key}={value}" for key, value in options.items()), "ssh_command=ssh -F /dev/null"])
        self.run(
            *("sshfs", f"{self.account.user}@127.0.0.1:/", directory, "-o", f"port={self.account.port},{told}"),
            stdin=self.account.password + "\n",
        )
        try:
            yield directory
            _all_told(directory)
        except OSError as error:
            raise ClientFailed(str(error)) from error
        finally:
            # In order, so that what was closed is told; a line that is dead is left behind.
            if subprocess.run(["fusermount3", "-u", directory], check=False, capture_output=True, timeout=30).returncode:
                subprocess.run(["fusermount3", "-u", "-z", directory], check=False, timeout=30)

    def put(self, local: Path, remote: str) -> None:
        """`cp`"""
        with self.mounted() as root:
            self.run("cp", local, root / remote[1:])

    def get(self, remote: str, local: Path) -> None:
        """`cp`"""
        with self.mounted() as root:
            shutil.copyfile(root / remote[1:], local)

    def put_tree(self, local: Path, remote: str) -> None:
        """`cp -r`"""
        with self.mounted() as root:
            shutil.copytree(local, root / remote[1:], copy_function=shutil.copyfile)

    def get_tree(self, remote: str, local: Path) -> None:
        """`cp -r`"""
        with self.mounted() as root:
            shutil.copytree(root / remote[1:], local, copy_function=shutil.copyfile)

    def rename_over(self, old: str, new: str) -> None:
        """`mv`"""
        with self.mounted() as root:
            (root / old[1:]).rename(root / new[1:])

    def resume_put(self, local: Path, remote: str) -> None:
        """`tail -c +N >>`"""
        with self.mounted() as root, local.open("rb") as source, (root / remote[1:]).open("ab") as sink:
            source.seek(sink.tell())
            shutil.copyfileobj(source, sink)

    def resume_get(self, remote: str, local: Path) -> None:
        """`tail -c +N`"""
        with self.mounted() as root, local.open("ab") as sink, (root / remote[1:]).open("rb") as source:
            source.seek(sink.tell())
            shutil.copyfileobj(source, sink)

    def put_with_time(self, local: Path, remote: str) -> None:
        """`cp -p`"""
        with self.mounted() as root:
            shutil.copy2(local, root / remote[1:])

    def get_with_time(self, remote: str, local: Path) -> None:
        """`cp -p`"""
        with self.mounted() as root:
            shutil.copy2(root / remote[1:], local)

    def password(self) -> None:
        """yes"""
        with self.mounted() as root:
            os.listdir(root)

    def keyboard_interactive(self) -> None:
        """yes"""
        with self.mounted("keyboard-interactive") as root:
            os.listdir(root)
