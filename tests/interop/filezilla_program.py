"""FileZilla itself, windows and all, on a display of its own: it works off its queue, as after a start with work left over.

The queue's tables are those of FileZilla 3.63 (queue_storage.cpp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import sqlite3
import subprocess
import time

SFTP, NORMAL_LOGON, ROOT = 1, 1, "1 0"
DOWNLOAD = 0x10
OVERWRITE, RESUME = 1, 5
PATIENCE_S = 110

SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<FileZilla3 version="3.63.0" platform="*nix"><Settings>
<Setting name="Greeting version">99.0.0</Setting>
<Setting name="Update Check">0</Setting>
<Setting name="Prompt password save">1</Setting>
<Setting name="Queue completion action">0</Setting>
<Setting name="Number of Transfers">3</Setting>
</Settings></FileZilla3>
"""

TABLES = """
CREATE TABLE servers (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, host TEXT NOT NULL, port INTEGER, user TEXT, password TEXT,
  account TEXT, keyfile TEXT, protocol INTEGER, type INTEGER, logontype INTEGER, timezone_offset INTEGER, transfer_mode TEXT,
  max_connections INTEGER, encoding TEXT, bypass_proxy INTEGER, post_login_commands TEXT, name TEXT, parameters TEXT,
  site_path TEXT DEFAULT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, server INTEGER NOT NULL, source_file TEXT, target_file TEXT,
  local_path INTEGER, remote_path INTEGER, size INTEGER, error_count INTEGER, priority INTEGER, flags INTEGER,
  default_exists_action INTEGER, extra_flags TEXT);
CREATE INDEX server_index ON files (server);
CREATE TABLE local_paths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT NOT NULL);
CREATE TABLE remote_paths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT NOT NULL);
PRAGMA user_version = 7;
"""


@dataclass(frozen=True)
class Transfer:
    """One file of the queue, between a local directory and the case's."""

    name: str
    size: int
    download: bool = False
    if_there: int = OVERWRITE


@contextmanager
def display() -> Iterator[str]:
    """A display that nobody sees."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(words, pass_fds=(writing,), stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        yield ":" + os.read(reading, 20).decode().strip()
    finally:
        os.close(reading)
        server.kill()
        server.wait(10)


class Program:
    """FileZilla in a home directory of its own, for one account at `127.0.0.1`."""

    def __init__(self, home: Path, port: int, user: str, password: str) -> None:
        self._home, self._server = home, ("127.0.0.1", port, user, password)

    def work_off(self, local: Path, transfers: Sequence[Transfer], is_done: Callable[[], object]) -> None:
        """Starts it with these in its queue, has the queue processed, and kills the program when it `is_done`."""
        self._store(local, transfers)
        with display() as screen:
            environment = {**os.environ, "DISPLAY": screen, "HOME": str(self._home), "LC_ALL": "C.UTF-8"}
            environment.pop("XDG_CONFIG_HOME", None)
            program = subprocess.Popen(["filezilla"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self._press_until(is_done, environment)
            finally:
                self._end(program)

    def _press_until(self, is_done: Callable[[], object], environment: dict[str, str]) -> None:
        def xdotool(*words: str) -> str:
            return subprocess.run(["xdotool", *words], env=environment, capture_output=True, text=True, timeout=30).stdout

        deadline, processing, titles = time.monotonic() + PATIENCE_S, False, []
        while not is_done():
            assert time.monotonic() < deadline, f"the queue was not worked off; its windows: {titles}"
            time.sleep(0.3)
            windows = xdotool("search", "--onlyvisible", "--name", ".").split()
            titles = [xdotool("getwindowname", window).strip() for window in windows]
            for window, title in zip(windows, titles, strict=True):
                if "host key" in title.lower():
                    xdotool("windowfocus", "--sync", window, "key", "Return")
                elif "FileZilla" in title and not processing:
                    xdotool("windowfocus", "--sync", window, "key", "ctrl+p")
                    processing = True

    def _end(self, program: subprocess.Popen[bytes]) -> None:
        """With its engines, which else would go on for a moment."""
        children = subprocess.run(["pgrep", "-P", str(program.pid)], capture_output=True, text=True).stdout.split()
        program.kill()
        program.wait(10)
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _store(self, local: Path, transfers: Sequence[Transfer]) -> None:
        kept = self._home / ".config" / "filezilla"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "filezilla.xml").write_text(SETTINGS)
        (kept / "queue.sqlite3").unlink(missing_ok=True)
        with closing(sqlite3.connect(kept / "queue.sqlite3")) as queue:
            queue.executescript(TABLES)
            queue.execute(
                "INSERT INTO servers (host, port, user, password, protocol, type, logontype, timezone_offset, transfer_mode,"
                " max_connections, encoding, bypass_proxy) VALUES (?, ?, ?, ?, ?, 0, ?, 0, 'default', 0, 'Auto', 0)",
                (*self._server, SFTP, NORMAL_LOGON),
            )
            queue.execute("INSERT INTO local_paths VALUES (1, ?)", (f"{local}/",))
            queue.execute("INSERT INTO remote_paths VALUES (1, ?)", (ROOT,))
            for transfer in transfers:
                flags = DOWNLOAD if transfer.download else 0
                queue.execute(
                    "INSERT INTO files (server, source_file, local_path, remote_path, size, error_count, priority, flags,"
                    " default_exists_action) VALUES (1, ?, 1, 1, ?, 0, 2, ?, ?)",
                    (transfer.name, transfer.size, flags, transfer.if_there),
                )
            queue.commit()
