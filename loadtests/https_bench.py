"""HTTPS: eft beside nginx, tusd, @tus/server and rustus, in turn, every workload a slice of its own. TLS on all.

    python -m loadtests.https_bench --rounds 5 [--workloads stream clients …] [--targets eft nginx tusd …]

eft verifies, seals and makes durable what it takes; the peers do none of the three. `eft-2` has two workers; `eft-no-digest`,
`eft-no-seal`, `eft-no-fsync` and `eft-none` do not do what their names say, `eft-none` none of the three.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from loadtests import https_servers, slices
from loadtests.compare import Against
from loadtests.https_servers import Target
from loadtests.measure import GIB, MIB
from loadtests.slices import Door, Slice

WARM = 4
"""The round that does not count does one such part of the work."""

STARTS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {
    "eft": https_servers.eft,
    "eft-2": lambda directory: https_servers.eft(directory, "eft, 2 workers", workers=2),
    "eft-no-digest": lambda directory: https_servers.eft(directory, "eft-no-digest", without=("digest",)),
    "eft-no-seal": lambda directory: https_servers.eft(directory, "eft-no-seal", without=("seal",)),
    "eft-no-fsync": lambda directory: https_servers.eft(directory, "eft-no-fsync", without=("fsync",)),
    "eft-none": lambda directory: https_servers.eft(directory, "eft-none", without=("digest", "seal", "fsync")),
    "nginx": https_servers.nginx,
    "tusd": https_servers.tusd,
    "tus-node": https_servers.tus_node,
    "rustus": https_servers.rustus,
}
ALL = ("eft", "eft-2", "nginx", "tusd", "tus-node", "rustus")
WITHOUT = ("eft", "eft-no-digest", "eft-no-seal", "eft-no-fsync", "eft-none", "nginx", "tusd")
AGAINST = [
    Against("nginx", ("nginx dav",)),
    Against("tusd", ("tusd",)),
    Against("the best tus server", ("tusd", "@tus/server", "rustus behind nginx")),
]


@dataclass(frozen=True)
class Workload:
    """`files` of `size` bytes, `clients` at a time. `get`: one is fetched."""

    clients: int
    files: int
    size: int
    get: bool = False

    @property
    def gib(self) -> float:
        return self.files * self.size / GIB

    def less(self, part: int) -> Workload:
        """The same with fewer files, or with smaller ones where there are not many."""
        if self.files > self.clients or self.files >= 100:
            return replace(self, files=max(1, self.files // part), clients=max(1, min(self.clients, self.files // part)))
        return replace(self, size=max(1, self.size // part))


def workloads(options: Any) -> dict[str, tuple[str, Workload, tuple[str, ...]]]:
    """By short name: the title, what is done, and by whom. Five gateways keep what they take, so that they take half as much."""
    size, files = options.size_mib * MIB, options.files
    many = 300 if options.quick else 1000
    stream = Workload(1, 1, size)
    streams, clients, small = Workload(8, 8, size // 8), Workload(many, many, MIB), Workload(16, files, 4096)
    fewer = replace(small, files=max(1, min(files // 4, 2000)))
    quantity, half = _quantity(options.size_mib), _quantity(options.size_mib // 2)
    return {
        "stream": (f"one stream of {quantity}", stream, ALL),
        "streams": (f"8 streams, {quantity} in all", streams, ALL),
        "clients": (f"{many:,} clients of 1 MiB", clients, ALL),
        "small": (f"{files:,} files of 4 KiB", small, ALL),
        "download": (f"download of {quantity}", Workload(1, 1, size, get=True), ALL),
        "without-stream": (f"one stream of {half}, parts taken away", stream.less(2), WITHOUT),
        "without-streams": (f"8 streams, {half} in all, parts taken away", streams.less(2), WITHOUT),
        "without-clients": (f"{many:,} clients of 1 MiB, parts taken away", clients, WITHOUT),
        "without-small": (f"{fewer.files:,} files of 4 KiB, parts taken away", fewer, WITHOUT),
    }


def _quantity(mib: int) -> str:
    return f"{mib / 1024:g} GiB" if mib >= 1024 else f"{mib} MiB"


def send(target: Target, workload: Workload, url: str | None = None) -> float:
    """The seconds it took. Raises Failed where a file did."""
    return float(https_servers.load(target, url, clients=workload.clients, files=workload.files, size=workload.size)["seconds"])


def kept(target: Target, size: int) -> str:
    """Where one file of that size can be fetched, once it is sent. Raises Failed."""
    told = https_servers.load(target, size=size)
    if target.gateway is not None:
        found = target.gateway.call("GET", "cases/BENCH-1/attachments?limit=1")["items"][0]
        return f"{target.url}/{found['id']}"
    return f"{target.url}/1" if target.mode == "put" else urljoin(target.url, urlsplit(told["location"]).path)


def slice_of(name: str, options: Any) -> Slice:
    title, workload, targets = workloads(options)[name]
    if workload.get:
        places: dict[str, str] = {}

        def fetch(target: Target) -> float:
            if target.name not in places:
                places[target.name] = kept(target, workload.size)
            return send(target, workload, places[target.name])

        return Slice(title, "GiB", workload.gib, targets, fetch, fetch, clear=False)
    unit, units = ("file", float(workload.files)) if workload.size < MIB else ("GiB", workload.gib)
    warm = partial(send, workload=workload.less(WARM))
    return Slice(title, unit, units, targets, warm, partial(send, workload=workload))


HTTPS = Door(
    name="https",
    summary="Uploads and downloads over HTTPS. Each file is one request (tus: POST with its bytes; nginx: PUT), each client a "
    "TLS 1.3 connection of its own, from a load client in Go that hashes nothing. rustus speaks no TLS: nginx does it "
    "for it, and their CPU is counted together.",
    starts=STARTS,
    slices=tuple(workloads(slices.defaults())),
    slice_of=lambda name, options, scratch: slice_of(name, options),
    against=AGAINST,
)

if __name__ == "__main__":
    slices.main(HTTPS)
