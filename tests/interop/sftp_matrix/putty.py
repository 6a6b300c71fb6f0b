"""PuTTY's PSFTP and PSCP."""

from __future__ import annotations

from pathlib import Path

from tests.interop.sftp_matrix.client import Client, never


class _Putty(Client):
    def command(self, program: str, *, keyboard_interactive: bool = True) -> list[str]:
        """Told the host key, never asking. What cannot be said by an option is said by a saved session."""
        sessions = self.work / ".putty" / "sessions"
        sessions.mkdir(parents=True, exist_ok=True)
        lines = [
            "Protocol=ssh",
            "HostName=127.0.0.1",
            f"UserName={self.account.user}",
            f"AuthKI={int(keyboard_interactive)}",
        ]
        (sessions / "case").write_text("\n".join([*lines, f"PortNumber={self.account.port}"]) + "\n")
        pinned = [word for each in self.account.fingerprints for word in ("-hostkey", each)]
        return [program, "-batch", "-v", "-load", "case", *pinned, "-pw", self.account.password]


class Psftp(_Putty):
    name = "PSFTP"
    programs = ("psftp",)

    def batch(self, *commands: str, keyboard_interactive: bool = True) -> str:
        script = self.work / "batch"
        script.write_text("\n".join(commands) + "\n")
        return self.run(*self.command("psftp", keyboard_interactive=keyboard_interactive), "-b", script)

    def put(self, local: Path, remote: str) -> None:
        """`put`"""
        self.batch(f'put "{local}" "{remote}"')

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        self.batch(f'get "{remote}" "{local}"')

    def put_tree(self, local: Path, remote: str) -> None:
        """`put -r`"""
        self.batch(f'put -r "{local}" "{remote}"')

    def get_tree(self, remote: str, local: Path) -> None:
        """`get -r`"""
        self.batch(f'get -r "{remote}" "{local}"')

    def rename_over(self, old: str, new: str) -> None:
        """`del`, then `mv`: its `mv` alone is refused"""
        self.batch(f'del "{new}"', f'mv "{old}" "{new}"')

    def resume_put(self, local: Path, remote: str) -> None:
        """`reput`"""
        self.batch(f'reput "{local}" "{remote}"')

    def resume_get(self, remote: str, local: Path) -> None:
        """`reget`"""
        self.batch(f'reget "{remote}" "{local}"')

    put_with_time = never("PSCP has `-p`")
    get_with_time = never("PSCP has `-p`")

    def password(self) -> None:
        """yes"""
        assert "Sent password" in self.batch("pwd", keyboard_interactive=False)

    def keyboard_interactive(self) -> None:
        """yes; it tries this first"""
        assert "eyboard-interactive" in self.batch("pwd")


class Pscp(_Putty):
    name = "PSCP"
    programs = ("pscp",)

    def copy(self, *words: str | Path, keyboard_interactive: bool = True) -> str:
        return self.run(*self.command("pscp", keyboard_interactive=keyboard_interactive), "-sftp", *words)

    def remote(self, path: str) -> str:
        return f"{self.account.user}@127.0.0.1:{path}"

    def put(self, local: Path, remote: str) -> None:
        """`pscp -sftp FILE HOST:`"""
        self.copy(local, self.remote(remote))

    def get(self, remote: str, local: Path) -> None:
        """`pscp -sftp HOST:FILE`"""
        self.copy(self.remote(remote), local)

    def put_tree(self, local: Path, remote: str) -> None:
        """`-r` into a directory that is there"""
        assert local.name == remote[1:]
        self.copy("-r", local, self.remote("/"))

    def get_tree(self, remote: str, local: Path) -> None:
        """`-r` into a directory that is there"""
        (self.work / "got").mkdir()
        self.copy("-r", self.remote(remote), self.work / "got")
        (self.work / "got" / remote[1:]).rename(local)

    rename_over = never("it copies alone")
    resume_put = never("PSFTP has `reput`")
    resume_get = never("PSFTP has `reget`")

    def put_with_time(self, local: Path, remote: str) -> None:
        """`-p`"""
        self.copy("-p", local, self.remote(remote))

    def get_with_time(self, remote: str, local: Path) -> None:
        """`-p`"""
        self.copy("-p", self.remote(remote), local)

    def password(self) -> None:
        """yes"""
        assert "Sent password" in self.copy("-ls", self.remote("/"), keyboard_interactive=False)

    def keyboard_interactive(self) -> None:
        """yes; it tries this first"""
        assert "eyboard-interactive" in self.copy("-ls", self.remote("/"))
