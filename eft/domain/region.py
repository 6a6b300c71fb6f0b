"""A region: where its gateway is, and by what names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Business hours of a region, in its own time zone (R41)."""

    time_zone: str
    opens: time
    closes: time
    weekdays: tuple[int, ...]
    holidays: frozenset[date] = field(default=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One region. `https_hosts` are the host names its gateway answers for; the first one is the public one. `page_host` is the
    one of them that browsers open, so that no two regions share a cookie jar; empty: the public one."""

    name: str
    title: str
    https_hosts: tuple[str, ...]
    https_port: int
    sftp_host: str
    sftp_port: int
    operations_port: int
    storage_root: str
    calendar: Calendar
    page_host: str = ""

    @property
    def url(self) -> str:
        return f"https://{self.https_hosts[0]}:{self.https_port}"
