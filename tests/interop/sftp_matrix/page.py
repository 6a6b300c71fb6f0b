"""Writes docs/sftp-clients.md from what the tests try: python -m tests.interop.sftp_matrix.page"""

from __future__ import annotations

from pathlib import Path

from tests.interop.sftp_matrix.checks import CAPABILITIES
from tests.interop.sftp_matrix.client import Client, Never, cell
from tests.interop.sftp_matrix.filezilla import FileZilla
from tests.interop.sftp_matrix.libraries import AsyncSsh, Paramiko, Ssh2
from tests.interop.sftp_matrix.one_shot import Curl, Rclone
from tests.interop.sftp_matrix.openssh import Lftp, Scp, Sftp, Sshfs
from tests.interop.sftp_matrix.putty import Pscp, Psftp
from tests.interop.sftp_matrix.replays import Cyberduck, WinScp

PAGE = Path(__file__).parents[3] / "docs" / "sftp-clients.md"
CLIENTS: tuple[type[Client], ...] = (
    *(Sftp, Scp, Psftp, Pscp, WinScp, FileZilla, Cyberduck),
    *(Lftp, Curl, Rclone, Sshfs, Paramiko, Ssh2, AsyncSsh),
)
HEAD = """# SFTP clients

Each cell was tried against a gateway: `make test` runs them all (tests/interop/sftp_matrix), and this page is written from
them by `python -m tests.interop.sftp_matrix.page`. The programs are Debian 12's. WinSCP's and Cyberduck's requests are
replayed packet by packet. FileZilla is its SFTP engine, fzsftp, driven as the program drives it; the program itself works off
its queue, windows and all, on a display that nobody sees (tests/interop/test_sftp_filezilla_program.py).

A cell says how it is done; a dash is what the client does not offer, with the reason below. "Resume" sends or fetches only
what is missing, after the connection was cut at a random place; where a client has none, sending the file again ends as one
attachment, and the part was never shown as one.
"""


def page() -> str:
    """The page as it should be."""
    titles = [capability.title for capability in CAPABILITIES.values()]
    lines = [HEAD, "| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    missing: list[str] = []
    for client in CLIENTS:
        row = [f"**{client.name}**"]
        for key, capability in CAPABILITIES.items():
            if key in client.not_tried:
                row.append("not tried")
                continue
            refused = [found for each in capability.operations if isinstance(found := getattr(client, each), Never)]
            if refused:
                row.append("–")
                missing.append(f"- {client.name}, {capability.title.lower()}: {refused[0].why}.")
            else:
                row.append("; ".join(dict.fromkeys(cell(client, each) for each in capability.operations)))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join([*lines, "", "Not offered:", "", *missing, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
