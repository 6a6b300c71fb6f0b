"""Checks a receipt against a file, by keys that come from anywhere but the receipt (docs/receipts.md)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from eft.client.errors import ClientError, FileDiffers, KeyUnknown, ReceiptBad, Wrong

TYPE: Final = "eft-receipt+jws"
KEYS_PATH: Final = "/.well-known/eft-receipt-keys.json"

_LARGEST_RECEIPT: Final = 256 * 1024
_LARGEST_KEYS: Final = 1024 * 1024
_PIECE: Final = 1024 * 1024
_FIELDS: Final = {
    "issuer": str,
    "region": str,
    "case": str,
    "name": str,
    "size": int,
    "sha256": str,
    "received_at": str,
    "who": str,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says, its signature verified by the key `kid`."""

    kid: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and the gateway that publishes it: None where whoever gave the key did not say."""

    key: Any
    issuer: str | None = None
    region: str | None = None


def read_receipt(path: Path) -> str:
    """The receipt in a file. Raises Wrong, ReceiptBad."""
    data = _read(path, _LARGEST_RECEIPT, "receipt")
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise _no_receipt() from None


def read_keys(path: Path) -> dict[str, TrustedKey]:
    """The JWK set in a file. Raises Wrong."""
    return keys_of(_read(path, _LARGEST_KEYS, "file of keys"), str(path))


def fetch_keys(url: str, ca: str | None) -> dict[str, TrustedKey]:
    """The JWK set that a gateway publishes: of its own address, or of the exact one. Raises ClientError."""
    import requests

    if not url.startswith("https://"):
        raise Wrong("Keys are fetched over HTTPS alone.", "Give the address as https://HOST:PORT.")
    address = url if url.endswith(".json") else url.rstrip("/") + KEYS_PATH
    try:
        answer = requests.get(address, timeout=30, verify=ca or True, allow_redirects=False)
    except (requests.exceptions.RequestException, OSError) as error:
        raise ClientError(f"The keys cannot be fetched from {address}: {error}.", "Name a file of keys instead.") from None
    if answer.status_code != 200:
        raise ClientError(f"{address} answers {answer.status_code}.", "Check the gateway's address.")
    return keys_of(answer.content, address)


def keys_of(data: bytes, where: str) -> dict[str, TrustedKey]:
    """Ed25519 public keys of a JWK set, by id; others, and any whose id is not its own hash, are passed over. The set says who
    publishes them; where it was put together from several, each key does. Raises Wrong."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        found = json.loads(data)
        entries, issuer, region = found["keys"], _text(found, "issuer"), _text(found, "region")
        return {
            entry["kid"]: TrustedKey(
                PyJWK(entry, algorithm="EdDSA").key, _text(entry, "issuer") or issuer, _text(entry, "region") or region
            )
            for entry in entries
            if entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519" and entry["kid"] == _thumbprint(entry["x"])
        }
    except (ValueError, KeyError, TypeError, AttributeError, PyJWTError):
        raise Wrong(f"{where} is no JWK set.", "Name what a gateway publishes at /.well-known/eft-receipt-keys.json.") from None


def check_signature(receipt: str, keys: Mapping[str, TrustedKey]) -> Receipt:
    """The receipt, if one of `keys` signed it, for its own gateway. What it says of its own key is taken for a name only.

    Raises ReceiptBad, KeyUnknown.
    """
    from jwt import PyJWS
    from jwt.exceptions import PyJWTError

    try:
        header = PyJWS().get_unverified_header(receipt)
    except PyJWTError:
        raise _no_receipt() from None
    kid = header.get("kid")
    if header.get("typ") != TYPE or header.get("alg") != "EdDSA" or not isinstance(kid, str):
        raise _no_receipt()
    if kid not in keys:
        raise KeyUnknown(
            "The receipt names a key that is not among the trusted ones.",
            "Fetch the gateway's keys anew: --keys https://HOST:PORT. If it is not there either, do not trust the receipt.",
        )
    try:
        facts = json.loads(PyJWS().decode(receipt, keys[kid].key, algorithms=["EdDSA"]))
    except (PyJWTError, ValueError):
        raise ReceiptBad(
            "The signature of the receipt does not verify: it was altered, or the gateway did not make it.",
            "Ask for the receipt again.",
        ) from None
    if not isinstance(facts, dict) or facts.get("format") != 1 or not _complete(facts):
        raise ReceiptBad("The receipt has a format that this version does not know.", "Install the newest eft.")
    for said, whose in (("issuer", keys[kid].issuer), ("region", keys[kid].region)):
        if whose is not None and facts[said] != whose:
            raise ReceiptBad(
                f"The receipt names the {said} {facts[said]}, and its key is {whose}'s.",
                "Do not trust it. Where the gateway has moved, ask it for the receipt again.",
            )
    return Receipt(kid, facts)


def check_file(receipt: Receipt, path: Path, at: Callable[[int], None]) -> None:
    """The file has the size and the SHA-256 that the receipt names. Reads it in pieces; `at` is told how many bytes so far.

    Raises FileDiffers, Wrong.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != receipt.facts["size"]:
                raise FileDiffers(
                    f"The file has {size} bytes; the gateway received {receipt.facts['size']}.", "It is not the file received."
                )
            while piece := file.read(_PIECE):
                digest.update(piece)
                count += len(piece)
                at(count)
    except OSError as error:
        raise Wrong(f"The file {path} cannot be read ({error.strerror}).", "Check its name.") from None
    if count != receipt.facts["size"] or digest.hexdigest() != receipt.facts["sha256"]:
        raise FileDiffers(
            f"The file has the SHA-256 {digest.hexdigest()}; the gateway received {receipt.facts['sha256']}.",
            "It is not the file received, or was changed since.",
        )


def _thumbprint(x: str) -> str:
    """RFC 7638 §3: nobody can publish another key under the id of a known one."""
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def _text(members: Any, name: str) -> str | None:
    found = members.get(name)
    return found if isinstance(found, str) else None


def _complete(facts: Mapping[str, Any]) -> bool:
    return all(isinstance(facts.get(name), kind) and not isinstance(facts[name], bool) for name, kind in _FIELDS.items())


def _no_receipt() -> ReceiptBad:
    return ReceiptBad("That is no receipt of a gateway.", "Name the file NAME.receipt, and then the file it is about.")


def _read(path: Path, limit: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Wrong(f"The {what} {path} cannot be read ({error.strerror}).", "Check its name.") from None
    if len(data) > limit:
        raise Wrong(f"{path} is too large for a {what}.", "Check its name.")
    return data
