"""`make bench-peers`: the servers to compare with and the client that loads them, built from their registries below var/peers.

Go, Node.js with npm, and Rust with cargo are needed, each for its own; what cannot be built is named, and is absent from benches.
rustus takes several minutes of CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import shutil
import subprocess

from loadtests.servers import BUILT, PEERS

RUSTUS = "0.5.10"
"""The newest release in Rust's registry; it speaks no TLS."""


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    options.add_argument("--only", nargs="+", default=list(BUILDS), choices=list(BUILDS))
    chosen = options.parse_args()
    BUILT.mkdir(parents=True, exist_ok=True)
    for name in chosen.only:
        tool, build = BUILDS[name]
        if shutil.which(tool) is None:
            print(f"{name}: NOT BUILT, {tool} is not installed", flush=True)
            continue
        try:
            build(name)
        except subprocess.CalledProcessError as failed:
            print(f"{name}: NOT BUILT, {' '.join(map(str, failed.cmd[:3]))} ended with {failed.returncode}", flush=True)
        else:
            print(f"{name}: built", flush=True)


def go(name: str, package: str = ".") -> None:
    """A program of loadtests/peers/NAME, unless it is there and newer than its sources."""
    program, source, scratch = BUILT / name, PEERS / name, BUILT / f"{name}-source"
    BUILT.mkdir(parents=True, exist_ok=True)
    if program.exists() and program.stat().st_mtime >= max(file.stat().st_mtime for file in source.iterdir()):
        return
    shutil.copytree(source, scratch, dirs_exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    subprocess.run(["go", "build", "-o", str(program), package], cwd=scratch, check=True, env=environment)


def _node(name: str) -> None:
    home = BUILT / name
    shutil.copytree(PEERS / name, home, dirs_exist_ok=True)
    subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--no-package-lock", "--loglevel=error"], cwd=home, check=True)


def _rustus(name: str) -> None:
    program: Path = BUILT / name
    if program.exists():
        return
    words = ["nice", "-n", "19", "cargo", "install", "--quiet", "--locked", "--root", str(BUILT / "cargo"), "--version", RUSTUS]
    subprocess.run([*words, name], check=True)
    shutil.copy(BUILT / "cargo" / "bin" / name, program)


BUILDS: dict[str, tuple[str, Callable[[str], None]]] = {
    "tus-load": ("go", go),
    "go-sftp": ("go", go),
    "tusd": ("go", lambda name: go(name, "github.com/tus/tusd/v2/cmd/tusd")),
    "tus-node": ("npm", _node),
    "rustus": ("cargo", _rustus),
}

if __name__ == "__main__":
    main()
