"""curl and rclone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from tests.interop.sftp_matrix.client import Client, never


class Curl(Client):
    name = "curl"
    programs = ("curl",)

    def fetch(self, *words: str | Path) -> str:
        signed_in = ("-u", f"{self.account.user}:{self.account.password}")
        return self.run("curl", "-sS", "-k", "--max-time", str(self.patience_s), *signed_in, *words)

    def url(self, remote: str) -> str:
        return f"sftp://127.0.0.1:{self.account.port}{quote(remote)}"

    def put(self, local: Path, remote: str) -> None:
        """`-T`"""
        self.fetch("-T", local, self.url(remote))

    def get(self, remote: str, local: Path) -> None:
        """`-o`"""
        self.fetch("-o", local, self.url(remote))

    put_tree = never("it sends files alone")
    get_tree = never("it fetches files alone")

    def rename_over(self, old: str, new: str) -> None:
        """`-Q rm`, `-Q rename`"""
        self.fetch("-Q", f'rm "{new}"', "-Q", f'rename "{old}" "{new}"', self.url("/"))

    def resume_put(self, local: Path, remote: str) -> None:
        """`-C - -T`"""
        self.fetch("-C", "-", "-T", local, self.url(remote))

    def resume_get(self, remote: str, local: Path) -> None:
        """`-C -`"""
        self.fetch("-C", "-", "-o", local, self.url(remote))

    def put_with_time(self, local: Path, remote: str) -> None:
        """`-Q -mtime`"""
        at = datetime.fromtimestamp(local.stat().st_mtime, UTC)
        self.fetch("-T", local, "-Q", f'-mtime "{at:%Y%m%d %H:%M:%S UTC}" "{remote}"', self.url(remote))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`-R`"""
        self.fetch("-R", "-o", local, self.url(remote))

    def put_many(self, local: Path, remote: str) -> None:
        """`-T 'f[000-299]' --ftp-create-dirs`, one connection"""
        last = max(path.name for path in local.iterdir()).removeprefix("f")
        self.fetch("--ftp-create-dirs", "-T", f"{local}/f[{'0' * len(last)}-{last}]", self.url(remote) + "/")

    def put_at_once(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """`-Z`"""
        words = [word for local, remote in pairs for word in ("-T", str(local), self.url(remote))]
        self.fetch("-Z", "--parallel-immediate", *words)

    def password(self) -> None:
        """yes"""
        self.fetch(self.url("/"))

    keyboard_interactive = never("it takes password where both are offered")


class Rclone(Client):
    name = "rclone"
    programs = ("rclone",)
    hidden = ""

    def tell(self, *words: str | Path) -> str:
        return self.run(
            "rclone", "--retries", "1", "--low-level-retries", "1", *words, environment={"RCLONE_CONFIG": "/nonexistent"}
        )

    def remote(self, path: str) -> str:
        if not self.hidden:
            self.hidden = self.run("rclone", "obscure", self.account.password).strip()
        return f":sftp,host=127.0.0.1,port={self.account.port},user={self.account.user},pass={self.hidden}:{path}"

    def put(self, local: Path, remote: str) -> None:
        """`copyto`"""
        self.tell("copyto", local, self.remote(remote))

    def get(self, remote: str, local: Path) -> None:
        """`copyto`"""
        self.tell("copyto", self.remote(remote), local)

    def overwrite(self, local: Path, remote: str) -> None:
        """the same again, if time or size differ"""
        self.put(local, remote)

    def put_tree(self, local: Path, remote: str) -> None:
        """`copy`"""
        self.tell("copy", local, self.remote(remote))

    def get_tree(self, remote: str, local: Path) -> None:
        """`copy`"""
        self.tell("copy", self.remote(remote), local)

    def rename_over(self, old: str, new: str) -> None:
        """`moveto`"""
        self.tell("moveto", self.remote(old), self.remote(new))

    resume_put = never("it begins anew")
    resume_get = never("it begins anew")

    def put_with_time(self, local: Path, remote: str) -> None:
        """always"""
        self.put(local, remote)

    def get_with_time(self, remote: str, local: Path) -> None:
        """always"""
        self.get(remote, local)

    def put_many(self, local: Path, remote: str) -> None:
        """`copy --transfers 8`"""
        self.tell("copy", "--transfers", "8", "--checkers", "8", local, self.remote(remote))

    def password(self) -> None:
        """yes"""
        self.tell("lsf", self.remote("/"))

    keyboard_interactive = never("it takes password where both are offered")
