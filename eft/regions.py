"""The regions of an installation: one TOML file each, read and compared with one another.

A region's file says where its gateway is and by what names, never a secret. Every gateway reads all of them, because it must know
where to send a caller that belongs elsewhere (K18).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from itertools import combinations
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from eft.domain.region import Calendar, Region
from eft.settings_file import Port, Problem, Section, SettingInvalid, read, wrong

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""The only names that several regions may share: on one machine they differ by port."""


def load_regions(directory: Path) -> dict[str, Region]:
    """Every region in `directory`, by name, in the order of names. No two of them can be taken for one another.

    Raises SettingInvalid with all problems found.
    """
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise SettingInvalid(
            [Problem(directory, "", "There is no region file here.", "Write one for each region, called NAME.toml.")]
        )
    problems: list[Problem] = []
    regions: dict[Path, Region] = {}
    for file in files:
        try:
            regions[file] = _load(file)
        except SettingInvalid as error:
            problems.extend(error.problems)
    problems.extend(_conflicts(regions))
    if problems:
        raise SettingInvalid(problems)
    return {region.name: region for region in regions.values()}


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong("There is no such time zone.", 'Write one such as "America/New_York".') from None
    return name


def _host(host: str) -> str:
    if host != host.lower() or host.strip() != host or not host or any(mark in host for mark in "/@ []") or host.count(":") == 1:
        raise wrong(
            f'"{host}" is not a host.', "Write a host name or an address in small letters, without scheme, port or brackets."
        )
    return host


Host = Annotated[str, AfterValidator(_host)]


class _Https(Section):
    hosts: tuple[Host, ...] = Field(min_length=1, description="the host names of the gateway, the public one first")
    port: Port = Field(description="the TCP port of HTTPS")
    page_host: Host | None = Field(default=None, description="the one of `hosts` that browsers open")

    @model_validator(mode="after")
    def _answers_for_its_page(self) -> _Https:
        if self.page_host is not None and self.page_host not in self.hosts:
            raise wrong("The gateway does not answer for page_host.", "Write one of `hosts`, or leave it out.")
        return self


class _Sftp(Section):
    host: Host = Field(description="the host name that SFTP clients use")
    port: Port = Field(description="the TCP port of SFTP")


class _Operations(Section):
    port: Port = Field(description="the TCP port of /healthz, /readyz and /metrics on 127.0.0.1")


class _Calendar(Section):
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(description='a time zone such as "America/New_York"')
    opens: time = Field(description="a time such as 07:00:00")
    closes: time = Field(description="a time such as 21:00:00")
    weekdays: tuple[Annotated[int, Field(strict=True, ge=1, le=7)], ...] = Field(
        min_length=1, description="days from 1 (Monday) to 7 (Sunday)"
    )
    holidays: frozenset[date] = Field(default=frozenset(), description="dates such as 2026-12-25")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> _Calendar:
        if not self.opens < self.closes:
            raise wrong("It opens when it has closed already.", "Write a time in `closes` that is later than `opens`.")
        return self


class _File(Section):
    name: str = Field(pattern=r"\A[a-z][a-z0-9]{0,15}\z", description="the region's name, 1 to 16 small letters and digits")
    title: str = Field(min_length=1, description="what people call the region")
    storage_root: str = Field(
        pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\z", description="the name of its directory in storage: small letters, digits, dashes"
    )
    https: _Https = Field(description="the section [https]")
    sftp: _Sftp = Field(description="the section [sftp]")
    operations: _Operations = Field(description="the section [operations]")
    calendar: _Calendar = Field(description="the section [calendar]")


def _load(file: Path) -> Region:
    table = read(file, _File)
    if table.name != file.stem:
        raise SettingInvalid([Problem(file, "name", f'"{table.name}" is not what the file is called.', f'Write "{file.stem}".')])
    hours = table.calendar
    return Region(
        name=table.name,
        title=table.title,
        https_hosts=table.https.hosts,
        https_port=table.https.port,
        sftp_host=table.sftp.host,
        sftp_port=table.sftp.port,
        operations_port=table.operations.port,
        storage_root=table.storage_root,
        calendar=Calendar(
            time_zone=hours.time_zone, opens=hours.opens, closes=hours.closes, weekdays=hours.weekdays, holidays=hours.holidays
        ),
        page_host=table.https.page_host or "",
    )


def _conflicts(regions: Mapping[Path, Region]) -> Iterable[Problem]:
    """What two doors of a region, or two regions, both claim."""
    for file, region in regions.items():
        for (key, port), (other, same) in combinations(_doors(region).items(), 2):
            if port == same:
                yield Problem(file, key, f"{other} is {port} as well.", "Give each its own port.")
    for (one, left), (two, right) in combinations(regions.items(), 2):
        if left.storage_root == right.storage_root:
            yield Problem(
                two,
                "storage_root",
                f'{one.name} has "{left.storage_root}" as well.',
                "A region keeps its bytes apart: use another.",
            )
        shared = {*left.https_hosts, left.sftp_host} & {*right.https_hosts, right.sftp_host}
        for host in sorted(shared - LOOPBACK_HOSTS):
            yield Problem(
                two,
                "https.hosts",
                f"{one.name} claims {host} as well.",
                "A host belongs to one region: take it out of one of them.",
            )
        if shared & LOOPBACK_HOSTS:
            for key, port in _doors(right).items():
                if port in _doors(left).values():
                    yield Problem(two, key, f"{one.name} uses port {port} of this machine as well.", "Choose another port.")


def _doors(region: Region) -> dict[str, int]:
    return {"https.port": region.https_port, "sftp.port": region.sftp_port, "operations.port": region.operations_port}
