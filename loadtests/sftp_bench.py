"""SFTP: eft beside OpenSSH's server and Go's pkg/sftp, in turn, every client a slice of its own. Ratios first.

    python -m loadtests.sftp_bench --rounds 5 [--workloads put-gcm psftp …] [--targets eft eft-plain openssh go]

eft verifies, seals and makes durable what it takes; the peers do none of the three. `eft-2` has two workers; `eft-plain` goes
without the faster packet layer, `eft:PIECE` has that piece of it alone; `eft-no-digest`, `eft-no-seal`, `eft-no-fsync` and
`eft-none` do not do what their names say, `eft-none` none of the three. All clients sign in by one key, but for those of
`eft-password`, of `eft-no-hash`, which takes any password at once, and of `go-password`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
import itertools
import os
from pathlib import Path
import time
from typing import Any

from loadtests import sftp_clients, sftp_servers, sftp_sessions, slices
from loadtests.compare import Against
from loadtests.measure import GIB, MIB
from loadtests.sftp_servers import Target
from loadtests.slices import Door, Slice

GCM = ("-o", "Ciphers=aes128-gcm@openssh.com")
CHACHA = ("-o", "Ciphers=chacha20-poly1305@openssh.com")
SMALL_BYTES, WARM_FILES, CONNECTS, QUICK_CONNECTS, WARM_CONNECTS, AT_ONCE = 4096, 100, 200, 60, 10, 8
PIECES = ("receive", "gather", "send", "channel", "gcm", "chacha", "hmac")

_numbers = itertools.count()

_eft = partial(sftp_servers.eft, by_key=True)

STARTS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {
    "eft": _eft,
    "eft-2": partial(_eft, name="eft, 2 workers", workers=2),
    "eft-plain": partial(_eft, name="eft-plain", pieces=[]),
    **{f"eft:{piece}": partial(_eft, name=f"eft:{piece}", pieces=[piece]) for piece in PIECES},
    **{f"eft-no-{part}": partial(_eft, name=f"eft-no-{part}", without=(part,)) for part in ("digest", "seal", "fsync")},
    "eft-none": partial(_eft, name="eft-none", without=("digest", "seal", "fsync")),
    "eft-password": partial(sftp_servers.eft, name="eft, password"),
    "eft-no-hash": partial(sftp_servers.eft, name="eft, password without its hash", without=("hash",)),
    "openssh": sftp_servers.openssh_target,
    "go": sftp_servers.go_target,
    "go-password": partial(sftp_servers.go_target, name="Go pkg/sftp, password", by_key=False),
}
THREE = ("eft", "openssh", "go")
WITHOUT = ("eft", "eft-no-digest", "eft-no-seal", "eft-no-fsync", "eft-none", "openssh", "go")
AGAINST = [
    Against("the better peer", ("OpenSSH", "Go pkg/sftp")),
    Against("OpenSSH", ("OpenSSH",)),
    Against("Go pkg/sftp", ("Go pkg/sftp",)),
]


class Bench:
    """What the workloads share: sources in `scratch`, the bytes of a large file, how many small ones there are and connects."""

    def __init__(self, scratch: Path, size: int, files: int, connects: int) -> None:
        self.scratch, self.size, self.files, self.count = scratch, size, files, connects
        self.source, self.piece, self.many, self.few = (scratch / name for name in ("source", "piece", "many", "few"))
        self._kept: set[str] = set()

    def prepare(self) -> None:
        """Writes the sources."""
        _fill(self.source, self.size)
        _fill(self.piece, self.size // AT_ONCE)
        for directory, count in ((self.many, self.files), (self.few, WARM_FILES)):
            directory.mkdir()
            for number in range(count):
                (directory / f"{number:05}.bin").write_bytes(os.urandom(SMALL_BYTES))

    def put(self, target: Target, *options: str) -> None:
        sftp_clients.openssh(target, self.scratch, [f"put {self.source} {target.prefix}{_name()}"], *options)

    def psftp(self, target: Target) -> None:
        sftp_clients.psftp(target, self.scratch, [f"put {self.source} {target.prefix}{_name()}"])

    def lftp(self, target: Target) -> None:
        sftp_clients.lftp(target, self.scratch, [f"put {self.source} -o {target.prefix}{_name()}"])

    def rclone(self, target: Target) -> None:
        sftp_clients.rclone(target, self.scratch, self.source, _name())

    def get(self, target: Target, *options: str) -> None:
        if target.name not in self._kept:
            sftp_clients.openssh(target, self.scratch, [f"put {self.source} {target.prefix}kept"], *GCM)
            self._kept.add(target.name)
        sftp_clients.openssh(target, self.scratch, [f"get {target.prefix}kept /dev/null"], *options)

    def at_once(self, target: Target) -> None:
        def one(_: int) -> None:
            sftp_clients.openssh(target, self.scratch, [f"put {self.piece} {target.prefix}{_name()}"], *GCM)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, range(AT_ONCE)))

    def small(self, target: Target, directory: Path | None = None) -> None:
        name = target.prefix + _name()
        sftp_clients.openssh(target, self.scratch, [f"mkdir {name}", f"put {directory or self.many}/* {name}/"])

    def connects(self, target: Target, count: int = 0) -> None:
        sftp_sessions.connect_often(target, count or self.count)

    def asyncssh(self, target: Target) -> None:
        sftp_sessions.put(target, self.source, target.prefix + _name())


SLICES = (
    "put", "put-gcm", "put-chacha", "psftp", "lftp", "rclone", "asyncssh", "get-gcm", "get-chacha", "8-at-once", "small",
    "connects", "without-put-gcm", "without-small",
)  # fmt: skip


def slice_of(name: str, options: Any, scratch: Path) -> Slice:
    """A large file has half the size of the other door's, and there are a fifth as many small ones: each client is a slice."""
    files, connects = max(WARM_FILES, options.files // 5), QUICK_CONNECTS if options.quick else CONNECTS
    bench = Bench(scratch, options.size_mib * MIB // 2, files, connects)
    bench.prepare()
    gib = bench.size / GIB
    each = f"{options.size_mib // 2} MiB"
    if name in ("small", "without-small"):
        title = f"{files:,} files of 4 KiB, OpenSSH's sftp" + (", parts taken away" if name != "small" else "")
        warm = partial(bench.small, directory=bench.few)
        return Slice(title, "file", files, THREE if name == "small" else WITHOUT, warm, bench.small)
    if name == "connects":
        signing_in = ("eft", "eft-password", "eft-no-hash", "openssh", "go", "go-password")
        title = "connects up to the SFTP session, 4 at once"
        return Slice(title, "connect", connects, signing_in, partial(bench.connects, count=WARM_CONNECTS), bench.connects)
    gets: dict[str, tuple[str, Callable[[Target], None]]] = {
        "get-gcm": (f"download of {each}, OpenSSH's sftp, aes128-gcm", lambda target: bench.get(target, *GCM)),
        "get-chacha": (f"download of {each}, OpenSSH's sftp, chacha20", lambda target: bench.get(target, *CHACHA)),
    }
    if name in gets:
        title, work = gets[name]
        return Slice(title, "GiB", gib, THREE, work, work, clear=False)
    puts: dict[str, tuple[str, Callable[[Target], None]]] = {
        "put": (f"{each}, OpenSSH's sftp, the cipher it chooses", bench.put),
        "put-gcm": (f"{each}, OpenSSH's sftp, aes128-gcm", lambda target: bench.put(target, *GCM)),
        "put-chacha": (f"{each}, OpenSSH's sftp, chacha20", lambda target: bench.put(target, *CHACHA)),
        "psftp": (f"{each}, PSFTP", bench.psftp),
        "lftp": (f"{each}, lftp", bench.lftp),
        "rclone": (f"{each}, rclone", bench.rclone),
        "asyncssh": (f"{each}, asyncssh's client", bench.asyncssh),
        "8-at-once": (f"8 uploads at once, {each} in all, OpenSSH's sftp, aes128-gcm", bench.at_once),
        "without-put-gcm": (f"{each}, OpenSSH's sftp, aes128-gcm, parts taken away", lambda target: bench.put(target, *GCM)),
    }
    title, work = puts[name]
    targets: tuple[str, ...] = (
        WITHOUT if name.startswith("without") else ("eft", "eft-2", "openssh", "go") if name == "8-at-once" else THREE
    )
    return Slice(title, "GiB", gib, targets, work, work)


def _name() -> str:
    return f"bench-{time.monotonic_ns()}-{next(_numbers)}"


def _fill(file: Path, size: int) -> None:
    """Bytes that do not compress, without waiting long for them."""
    block = os.urandom(8 * MIB)
    with file.open("wb") as out:
        for _ in range(size // len(block)):
            out.write(block)
        out.write(block[: size % len(block)])


SFTP = Door(
    name="sftp",
    summary="Uploads and downloads over SFTP, by clients as people run them. At every server they sign in by the same Ed25519 "
    "key, which is registered with eft's account. Where a row says `password` they sign in by one: eft hashes it (argon2id, "
    "about 50 ms of CPU), Go's server compares it.",
    starts=STARTS,
    slices=SLICES,
    slice_of=slice_of,
    against=AGAINST,
)

if __name__ == "__main__":
    slices.main(SFTP)
