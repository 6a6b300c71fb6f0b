"""`eft regions`: whether the region files fit each other."""

from __future__ import annotations

from pathlib import Path

import click

from eft.cli.command import Group, show
from eft.regions import load_regions


@click.group(cls=Group)
def regions() -> None:
    """The regions of the installation."""


@regions.command()
@click.option(
    "--dir",
    "directory",
    default="regions",
    show_default=True,
    metavar="DIRECTORY",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory with the region files.",
)
def check(directory: Path) -> None:
    """Read every region file, and make sure that no two regions claim the same port, host or storage."""
    found = load_regions(directory)
    lines = [f"{len(found)} regions, nothing claimed twice."]
    lines += [
        f"  {region.name:<8} {region.title}: {region.url}, SFTP port {region.sftp_port}, operations port {region.operations_port}"
        for region in found.values()
    ]
    show(
        {
            "regions": [
                {
                    "name": region.name,
                    "title": region.title,
                    "url": region.url,
                    "hosts": region.https_hosts,
                    "sftp_host": region.sftp_host,
                    "sftp_port": region.sftp_port,
                    "operations_port": region.operations_port,
                    "storage_root": region.storage_root,
                    "time_zone": region.calendar.time_zone,
                }
                for region in found.values()
            ]
        },
        "\n".join(lines),
    )
