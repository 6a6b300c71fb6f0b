"""Who does something, for the audit log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` is `kind:identity` (`token:crm`, `upload-token:3f…`, `sftp:eft_us_…`, `cli:root`, `system:retention`), `address` the
    peer's network address, empty where there is none."""

    name: str
    address: str = ""


SYSTEM = Actor("system:gateway")
