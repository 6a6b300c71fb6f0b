"""Writes docs/sftp-clients.md from what the tests try: python -m tests.interop.sftp_matrix.page"""

from __future__ import annotations

from pathlib import Path

from tests.interop.sftp_matrix.checks import CAPABILITIES
from tests.interop.sftp_matrix.client import Client, Never, cell
from tests.interop.sftp_matrix.endings import ENDINGS, GIVE_UP, told
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

ENDED = """## When a transfer ends early

What is left at the gateway of a file that was under way (tests/interop/test_sftp_endings.py). It is never an attachment; `ls`
shows it with the size that is kept, and it is gone on with from there, also by another client, or in the browser where it was
begun there (`NAME.part`). Only a CLOSE of the client's own makes a file of it.

- **kept** – the upload waits for the rest, 14 days after its last byte at most.
- **rests** – the client sent a CLOSE as if the file were whole. The gateway sees that it may have been cut, as it ends with a
  full-sized write or buffer (or, from lftp, without a time), and lets it rest for ten minutes (`uploads.settle_suspicious_s`)
  instead of five seconds: time to go on with it. A file that really ends there is shown ten minutes later. A resume after that
  makes a new version, and the part is superseded.

The lines are cut at any byte, those of the last request too: the file is whole, or kept. "Silence": no answer to three questions
of the gateway, one each 30 s (`sftp.keepalive_s`). Ctrl-C and SIGTERM go to the program and its `ssh`, SIGKILL to the program
alone; with sshfs, to `cp`. A dash: no program of its own here.
"""
ASIDE = """`scp -O` and `pscp -scp` speak a protocol that needs a shell. They are refused with a line that says so: leave out
`-O`, or, where `scp` is older than OpenSSH 9.0, add `-s`, or use `sftp`.
"""
ERRORS = """## What is said when something is refused

Case closed, account expired, disk full, case full, name not allowed: each is refused for good (`PERMISSION_DENIED`, which no
client tries again for ever), at OPEN, WRITE or CLOSE, with a sentence that says why and what to do
(tests/interop/test_sftp_errors.py).
lftp and WinSCP show it. OpenSSH's and PuTTY's programs show words of their own for the code, so they are told it on standard
error too, which they show. curl shows a number, and does not look at how a CLOSE was answered.
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
    lines += ["", "Not offered:", "", *missing, "", ASIDE, ENDED]
    return "\n".join([*lines, *_endings(), "", ERRORS])


def _endings() -> list[str]:
    titles = [*(ending.title for ending in ENDINGS.values()), "it gives up by itself"]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for client in CLIENTS:
        row = [f"**{client.name}**", *(told(client, key) for key in ENDINGS)]
        row.append(f"{GIVE_UP[client][0].__doc__}: rests" if client in GIVE_UP else "–")
        lines.append("| " + " | ".join(row) + " |")
    return lines


if __name__ == "__main__":
    PAGE.write_text(page())
