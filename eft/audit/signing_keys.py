"""The Ed25519 keys that sign receipts: the private half in the key store, sealed, the public half in the database for ever."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from hashlib import sha256
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eft.db import audit
from eft.db import receipt_keys as rows
from eft.db.engine import Connection, Database
from eft.db.receipt_keys import ReceiptKey
from eft.domain.actor import SYSTEM, Actor
from eft.domain.clock import Clock
from eft.domain.errors import KeyUnavailable
from eft.storage.ports import KeyStore

MADE = "receipt-key.make"


class SigningKeys:
    """One key signs at a time, for all workers and nodes of a region: the newest. Safe beside itself in other processes."""

    def __init__(self, *, database: Database, keys: KeyStore, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._loaded: tuple[str, Ed25519PrivateKey] | None = None

    async def current(self) -> tuple[str, Ed25519PrivateKey]:
        """The id of the key that signs now, and the key. The first call of a region makes it.

        The database is asked each time: a key that was retired by another worker signs nothing more.
        Raises KeyUnavailable, StorageFailed.
        """
        while True:
            known = await self.ensure()
            if self._loaded is not None and self._loaded[0] == known.kid:
                return self._loaded
            try:
                self._loaded = known.kid, await self._private(known)
            except KeyUnavailable:
                # It may have been retired since the database was asked.
                if (await self.ensure()).kid == known.kid:
                    raise

    async def known(self) -> list[ReceiptKey]:
        """Every key that ever signed, newest first."""
        await self.ensure()
        return await self._database.read(rows.all_keys)

    async def ensure(self, actor: Actor = SYSTEM) -> ReceiptKey:
        """The key that signs, made where the region has none. Of several workers that make one at once, one succeeds."""
        found = await self._database.read(rows.current)
        while found is None:
            await self._make(1, actor)
            found = await self._database.read(rows.current)
        return found

    async def rotate(self, actor: Actor) -> ReceiptKey:
        """A new key signs from now on. The one before is published still, and its private half destroyed."""
        last = await self.ensure(actor)
        await self._make(last.turn + 1, actor)
        for known in (await self._database.read(rows.all_keys))[1:]:
            if known.slot is not None:
                await asyncio.to_thread(self._keys.erase_secret, known.slot, _owner(known.kid))
                await self._forget(known.kid)
        return await self.ensure(actor)

    async def _private(self, known: ReceiptKey) -> Ed25519PrivateKey:
        if known.slot is None:
            raise KeyUnavailable("The key that signs receipts is gone.", "Run `eft keys receipt-key --rotate`.")
        return Ed25519PrivateKey.from_private_bytes(await asyncio.to_thread(self._keys.secret, known.slot, _owner(known.kid)))

    async def _make(self, turn: int, actor: Actor) -> None:
        """A key for this turn, unless there is one already."""
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        kid = thumbprint(public)
        slot = await asyncio.to_thread(self._keys.put_secret, _owner(kid), private.private_bytes_raw())
        now = self._clock.now()

        def work(conn: Connection) -> bool:
            made = rows.succeed(conn, ReceiptKey(kid=kid, public_key=public, slot=slot, made_at=now, turn=turn))
            if made:
                audit.record(conn, at=now, actor=actor, action=MADE, case_id=None, subject=kid, detail={"turn": turn})
            return made

        if not await self._database.write(work):
            await asyncio.to_thread(self._keys.erase_secret, slot, _owner(kid))

    async def _forget(self, kid: str) -> None:
        await self._database.write(lambda conn: rows.forget_slot(conn, kid))


def thumbprint(public_key: bytes) -> str:
    """The key's id: the SHA-256 of its JWK (RFC 7638 §3, RFC 8037 §2)."""
    x = urlsafe_b64encode(public_key).rstrip(b"=").decode("ascii")
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return urlsafe_b64encode(sha256(members.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def _owner(kid: str) -> str:
    return f"receipt-key:{kid}"
