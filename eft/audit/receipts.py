"""Receipts: what the gateway signs about a finished file (docs/receipts.md).

A receipt is a JWS (RFC 7515, compact) over the published facts, signed with Ed25519 (RFC 8037). Nothing in it depends on when, or
by which worker, it is asked for: the same facts under the same key are the same bytes.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
import json
from typing import Any, Final

from eft.audit.signing_keys import SigningKeys
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import RETENTION, Case
from eft.domain.errors import Purged

MEDIA_TYPE: Final = "application/jose"
TYPE: Final = "eft-receipt+jws"
FORMAT: Final = 1
_KID: Final = 43
"""Characters of a key's id: a SHA-256 in base64url."""
_SIGNATURE: Final = 86
"""Characters of an Ed25519 signature in base64url."""
PURGE_RULE: Final = f"{RETENTION.days} days after the case is closed"


class Receipts:
    """Signs receipts for one region. `issuer`: the address of the gateway, as browsers find it."""

    def __init__(self, keys: SigningKeys, *, region: str, issuer: str) -> None:
        self._keys = keys
        self._region = region
        self._issuer = issuer

    async def of(self, attachment: Attachment, case: Case) -> str:
        """The receipt of an available attachment of this case. Raises Purged, KeyUnavailable, StorageFailed."""
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        kid, key = await self._keys.current()
        signed = self._signed(attachment, case, kid)
        return f"{signed}.{_base64url(key.sign(signed.encode('ascii')))}"

    def length(self, attachment: Attachment, case: Case) -> int:
        """Bytes of that receipt. It takes no key to know."""
        return len(self._signed(attachment, case, "k" * _KID)) + 1 + _SIGNATURE

    def _signed(self, attachment: Attachment, case: Case, kid: str) -> str:
        header = {"alg": "EdDSA", "kid": kid, "typ": TYPE}
        return f"{_encoded(header)}.{_encoded(facts(attachment, case, region=self._region, issuer=self._issuer))}"

    async def published_keys(self) -> dict[str, Any]:
        """Every public key that ever signed, newest first, as a JWK set (RFC 7517 §5, RFC 8037 §2). It names whose keys they are:
        what they sign of another issuer or region is not to be believed."""
        keys = [jwk(known.public_key, known.kid) for known in await self._keys.known()]
        return {"issuer": self._issuer, "region": self._region, "keys": keys}


def facts(attachment: Attachment, case: Case, *, region: str, issuer: str) -> dict[str, Any]:
    """What a receipt says. Instants are RFC 3339 in UTC with six decimals, `size` is in bytes, `sha256` in hex."""
    said = {
        "format": FORMAT,
        "issuer": issuer,
        "region": region,
        "case": case.id,
        "attachment": attachment.id,
        "name": attachment.name,
        "version": attachment.version,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "source": attachment.source.value,
        "completeness": attachment.completeness.value,
        "received_at": _instant(attachment.received_at),
        "who": attachment.actor,
        "purge_rule": PURGE_RULE,
        "purge_at": None if case.purge_at is None else _instant(case.purge_at),
    }
    if attachment.disputed_sha256 is not None:
        said["disputed_sha256"] = attachment.disputed_sha256
    return said


def jwk(public_key: bytes, kid: str) -> dict[str, str]:
    """A public Ed25519 key of 32 bytes, as RFC 8037 §2 writes it."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public_key), "kid": kid, "use": "sig", "alg": "EdDSA"}


def receipt_name(name: str) -> str:
    """Under which a receipt of the file `name` is saved."""
    return f"{name}.receipt"


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _encoded(document: dict[str, Any]) -> str:
    """Sorted, without blanks, in ASCII: one way to write one document."""
    return _base64url(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
