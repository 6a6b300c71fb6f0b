"""How sizes, times and states are written for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")

STATUS = {
    "open": "Open",
    "awaiting_info": "Awaiting Info",
    "solution_proposed": "Solution Proposed",
    "closed": "Closed",
}
SUB_STATUS = {"resolved": "Resolved", "cancelled": "Cancelled", "no_response": "No response"}
SOURCE = {"https": "by Transfer Files or HTTPS", "sftp": "by SFTP", "support": "from support"}
COMPLETENESS = {
    "declared": "complete: its length or digest was announced, and matched",
    "closed": "closed by the sending program; nothing to compare with",
}
UPLOAD_STATE = {
    "receiving": "being received",
    "settling": "settling: complete, if its sender does not go on",
    "sealed": "being checked",
    "frozen": "frozen: the case is closed",
    "refused": "refused: it does not have the digest that was announced",
}
KEY_TYPE = {"ssh-ed25519": "Ed25519", "ssh-rsa": "RSA"}


def size(count: int) -> str:
    """Bytes as people read them: `0 bytes`, `1.4 MiB`."""
    if count == 1:
        return "1 byte"
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} bytes" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def key_type(key: Mapping[str, Any]) -> str:
    """`Ed25519`, `RSA, 3072 bits`, `ECDSA, 256 bits`."""
    name = KEY_TYPE.get(key["type"], "ECDSA")
    return name if name == "Ed25519" else f"{name}, {key['bits']} bits"


def who(actor: str) -> str:
    """Whom the gateway's audit log names, as people know them: without the token that the portal used."""
    return actor.partition(" (via ")[0]


def at(instant: datetime | str) -> Markup:
    """A time in UTC as people read it; a script adds the reader's own."""
    moment = (datetime.fromisoformat(instant) if isinstance(instant, str) else instant).astimezone(UTC)
    machine = moment.isoformat().replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(machine, f"{moment:%d %b %Y, %H:%M} UTC")


def left(span: timedelta) -> str:
    """The time that is left: `4 days 23 hours`, `12 minutes`. Never less than there is none."""
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds % 86_400 // 3600, seconds % 3600 // 60
    if days:
        return f"{_count(days, 'day')} {_count(hours, 'hour')}"
    if hours:
        return f"{_count(hours, 'hour')} {_count(minutes, 'minute')}"
    return _count(minutes, "minute") if minutes else "less than a minute"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
