"""Public keys of gateways that were fetched once over HTTPS, remembered so that receipts verify offline."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_config_path

from eft.client.errors import ClientError

if TYPE_CHECKING:
    from eft.client.verifying import TrustedKey


def _file() -> Path:
    return user_config_path("eft", appauthor=False) / "receipt-keys.json"


def pinned() -> dict[str, TrustedKey]:
    """The remembered keys by id, empty where there are none. Raises Wrong for a file that was damaged."""
    from eft.client.verifying import read_keys

    return read_keys(_file()) if _file().exists() else {}


def pin(keys: dict[str, TrustedKey]) -> None:
    """Remembers these beside the others. An id stands for one key: it is the hash of it. A place that cannot be written is no
    reason to fail: the keys are fetched again."""
    known = keys
    with suppress(ClientError):
        known = {**pinned(), **keys}
    entries = [_entry(kid, trusted) for kid, trusted in sorted(known.items())]
    draft = _file().with_name(f".receipt-keys.{os.getpid()}")
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"keys": entries}, indent=1) + "\n")
        os.replace(draft, _file())


def _entry(kid: str, trusted: TrustedKey) -> dict[str, str]:
    x = urlsafe_b64encode(trusted.key.public_bytes_raw()).rstrip(b"=").decode()
    whose = {"issuer": trusted.issuer, "region": trusted.region}
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": kid,
        "x": x,
        **{name: said for name, said in whose.items() if said is not None},
    }
