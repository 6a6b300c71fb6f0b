"""A temporary SFTP account: 120 hours for one case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
import secrets

LIFETIME = timedelta(hours=120)
"""R16, P7: to the second, by the wall clock."""

TELEPHONE_SAFE = "abcdefghjkmnpqrstuvwxyz23456789"
"""No look-alikes: no capitals, no i l 1, no o 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryAccount:
    """One account. `secret_slot` is where its password can be shown from, None once it cannot."""

    id: str
    case_id: str
    username: str
    password_hash: str
    created_at: datetime
    expires_at: datetime
    secret_slot: int | None = None
    revoked_at: datetime | None = None

    def is_alive(self, now: datetime) -> bool:
        """Whether it may be used at this instant: until, and not at, `expires_at`."""
        return self.revoked_at is None and now < self.expires_at


def new_username(region: str) -> str:
    """`eft_us_` and 12 characters that nobody can guess from a case number; the region leads, so that any gateway can tell
    where it belongs (K18)."""
    return f"eft_{region}_" + "".join(secrets.choice(TELEPHONE_SAFE) for _ in range(12))


def new_password() -> str:
    """Five groups of five characters, at least 123 bits, that survive being read out by telephone."""
    groups = ("".join(secrets.choice(TELEPHONE_SAFE) for _ in range(5)) for _ in range(5))
    return "-".join(groups)
