"""`make bench`: eft beside other servers over HTTPS and SFTP, in turn, each round all of them. Ratios first.

Each workload is a slice that ends within its minutes; after each the table is written anew. `--parts https` or `sftp` makes one
door's, `--workloads` single slices, `--resume` those that are not there yet.
"""

from __future__ import annotations

from loadtests import slices
from loadtests.https_bench import HTTPS
from loadtests.sftp_bench import SFTP

DOORS = {door.name: door for door in (HTTPS, SFTP)}


def main() -> None:
    names = "\n".join(f"  {door.name}: {', '.join(door.slices)}" for door in DOORS.values())
    options = slices.arguments(f"{__doc__}\n{names}", "make bench")
    options.add_argument("--parts", nargs="+", default=list(DOORS), choices=list(DOORS), help="one door alone")
    chosen = slices.completed(options.parse_args())
    slices.prepare_process()
    doors = [DOORS[name] for name in chosen.parts]
    for door in doors:
        slices.check_names(door, chosen)
    for door in doors:
        slices.finish(slices.measure(door, chosen))


if __name__ == "__main__":
    main()
