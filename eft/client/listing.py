"""What the case of a token holds, as the gateway lists it."""

from __future__ import annotations

from dataclasses import dataclass
import threading
from typing import Any
from urllib.parse import quote

from eft.client.clock import MonotonicClock
from eft.client.errors import ClientError, Transient
from eft.client.gateway import Gateway
from eft.client.patience import Patience


@dataclass(frozen=True, slots=True)
class Attachment:
    """A finished file of the case. `size` in bytes, `sha256` in hex."""

    id: str
    name: str
    size: int
    sha256: str
    source: str
    received_at: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Newest first."""

    case: str
    attachments: list[Attachment]


def list_case(gateway: Gateway, name: str | None = None) -> Listed | None:
    """All files that can be read, or those called `name`; None where the gateway has no list. Raises Transient, ClientError."""
    found: list[Attachment] = []
    case, cursor = "", ""
    while True:
        answer = gateway.try_to("GET", f"{gateway.files}?limit=500{cursor}")
        if answer.status_code in (404, 405):
            return None
        if answer.status_code >= 300:
            gateway.refuse(answer)
        try:
            document: dict[str, Any] = answer.json()
            case = str(document["case"])
            found += [_attachment(each) for each in document["items"]]
            following = document.get("next")
        except (ValueError, KeyError, TypeError):
            raise ClientError("The gateway's list cannot be read.", "Is that the address of an eft gateway?") from None
        if not following:
            return Listed(case, [each for each in found if name in (None, each.name)])
        cursor = f"&cursor={quote(str(following), safe='')}"


def list_patiently(gateway: Gateway, give_up_after_s: float, stop: threading.Event, clock: MonotonicClock) -> Listed:
    """The list, tried again while the line or the gateway is away. Raises ClientError."""
    patience = Patience(give_up_after_s, stop, clock)
    while True:
        try:
            listed = list_case(gateway)
        except Transient as failure:
            patience.wait(patience.next_pause(failure))
            continue
        if listed is None:
            raise ClientError("The gateway does not list a case's files.", "Download them from the case page.")
        return listed


def _attachment(told: dict[str, Any]) -> Attachment:
    return Attachment(
        str(told["id"]),
        str(told["name"]),
        int(told["size"]),
        str(told["sha256"]),
        str(told.get("source", "")),
        str(told.get("received_at", "")),
    )
