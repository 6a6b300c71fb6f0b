"""Receipts: what a gateway signs of a file that it has received, kept as it was given."""

from __future__ import annotations

import os
from pathlib import Path

from eft.client.errors import ClientError, Transient
from eft.client.gateway import Gateway
from eft.client.local_names import local_path


def save_receipt(gateway: Gateway, attachment_id: str, directory: Path, name: str) -> Path | None:
    """`directory/NAME.receipt`, written whole; None where the gateway gives none. Raises ClientError."""
    try:
        answer = gateway.try_to("GET", f"{gateway.files}/{attachment_id}/receipt")
        if answer.status_code in (404, 405):
            return None
        if answer.status_code >= 300:
            gateway.refuse(answer)
    except Transient as failure:
        raise ClientError(
            f"The file has arrived; its receipt could not be fetched: {failure}.", "Find it on the case page."
        ) from None
    path = local_path(directory, f"{name}.receipt")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.part")
        temporary.write_bytes(answer.content)
        os.replace(temporary, path)
    except OSError as error:
        raise ClientError(f"The receipt {path} cannot be written ({error.strerror}).", "Name another directory.") from None
    return path
