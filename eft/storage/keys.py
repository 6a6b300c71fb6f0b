"""The key store of a region: case keys and secrets in the slot file, sealed under the master key.

It is the only place where a case's key exists, so that overwriting one slot, and in time dropping one master key generation, is
the end of everything sealed under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
import os
from pathlib import Path
import threading

from eft.domain.errors import KeyUnavailable, Purged
from eft.storage.failures import translated
from eft.storage.files import Files, RegionFiles
from eft.storage.key_format import Damaged, Header, Kind, Slot, SlotSeal, pack_slot
from eft.storage.master_key import KEY_BYTES, MasterKeys
from eft.storage.ports import KeyReport, Tombstone
from eft.storage.slot_file import DIRECTORY, LOCK, Halves, SlotFile


class SlotFileKeyStore:
    """Implements `KeyStore`. Safe for threads and processes: whoever changes something holds the lock `keys/lock`; reading
    needs none, since each slot has a good copy at any moment."""

    def __init__(self, files: Files, master_keys: MasterKeys, region: str) -> None:
        """Opens the store. Raises KeyUnavailable where it is missing, is another region's, or was sealed under another master
        key: nothing must start then."""
        self._files, self._master_keys, self._region = files, master_keys, region
        self._seals: dict[int, SlotSeal] = {}
        self._seals_lock = threading.Lock()
        self._next_free = 0
        with translated():
            self._slots = SlotFile(files)
            files.sync_directory(DIRECTORY)
            files.sync_directory(())
            header = self._slots.header()
        if header.region != region:
            raise KeyUnavailable(f"The key store is that of the region {header.region}, not {region}.", "Check the storage root.")
        for generation in header.checks:
            if generation == header.current or generation in master_keys.generations():
                self._seal(generation, header)

    @classmethod
    def create(cls, files: Files, master_keys: MasterKeys, region: str) -> SlotFileKeyStore:
        """A new, empty store. Raises FileExistsError where there is one, KeyUnavailable where there is no master key."""
        master_keys.make_durable()
        generation, key = max(master_keys.generations().items())
        header = Header(1, region, generation, {generation: SlotSeal(region, generation, key).check})
        with translated():
            files.make_directory(DIRECTORY)
            files.sync_directory(())
            with files.lock(LOCK):
                SlotFile.create(files, header).close()
        return cls(files, master_keys, region)

    def create_case_key(self, case: str) -> int:
        return self._put(Kind.CASE_KEY, case, os.urandom(KEY_BYTES))

    def case_key(self, slot: int, case: str) -> bytes:
        return self._read(slot, Kind.CASE_KEY, case)

    def destroy_case_key(self, slot: int, case: str, at: datetime) -> None:
        with self._locked():
            halves = self._slots.read(slot)
            found = halves.best
            if isinstance(found, Slot) and (found.kind is Kind.SECRET or found.owner != case):
                raise KeyUnavailable(
                    "The slot of the key belongs to something else.", "Check that database and key store belong together."
                )
            if isinstance(found, Slot) and found.kind is Kind.TOMBSTONE:
                tombstone = found
            else:
                tombstone = Slot(Kind.TOMBSTONE, case, halves.next_sequence, at=at)
            # Also where there is one: after a sync that failed, what is read need not be what the disk has.
            self._slots.write(halves, tombstone)

    def put_secret(self, owner: str, secret: bytes) -> int:
        return self._put(Kind.SECRET, owner, secret)

    def secret(self, slot: int, owner: str) -> bytes:
        return self._read(slot, Kind.SECRET, owner)

    def erase_secret(self, slot: int, owner: str) -> None:
        with self._locked():
            halves = self._slots.read(slot)
            found = halves.best
            # Also where it is free: after a sync that failed, what is read need not be what the disk has.
            if found is None or (isinstance(found, Slot) and found.kind is Kind.SECRET and found.owner == owner):
                self._slots.write(halves, None)
                self._next_free = min(self._next_free, slot)

    def tombstones(self) -> list[Tombstone]:
        with self._locked():
            found: list[Tombstone] = []
            for halves in self._slots.scan():
                best = halves.best
                if isinstance(best, Slot) and best.kind is Kind.TOMBSTONE:
                    self._complete(halves, best)
                    found.append(Tombstone(best.owner, best.at))
            return found

    def rotate(self) -> int:
        with self._locked():
            generation = self._next_generation(self._slots.header())
            self._mend_singles(generation)
            self._seal_anew(generation)
            self._master_keys.keep_only(generation)
            header = self._slots.header()
            checks = {generation: header.checks[generation]}
            self._slots.write_header(replace(header, sequence=header.sequence + 1, checks=checks))
        with self._seals_lock:
            self._seals = {generation: seal for generation, seal in self._seals.items() if generation in checks}
        return generation

    def check(self) -> KeyReport:
        with self._locked():
            header = self._slots.header()
            counts = dict.fromkeys(Kind, 0)
            broken: list[int] = []
            single: list[int] = []
            for halves in self._slots.scan():
                best = halves.best
                if best is None:
                    continue
                if isinstance(best, Damaged) or not self._opens(halves.number, best):
                    broken.append(halves.number)
                    continue
                counts[best.kind] += 1
                if not halves.agree:
                    single.append(halves.number)
            rotating = len(self._master_keys.generations()) > 1 or len(header.checks) > 1
        return KeyReport(
            generation=header.current,
            live=counts[Kind.CASE_KEY],
            secrets=counts[Kind.SECRET],
            tombstones=counts[Kind.TOMBSTONE],
            rotating=rotating,
            broken=tuple(broken),
            single=tuple(single),
        )

    def export(self, path: Path) -> None:
        with self._locked():
            files = RegionFiles(path.parent)
            try:
                file = files.create((path.name,))
                try:
                    at = 0
                    for piece in self._slots.content():
                        file.write_at(piece, at)
                        at += len(piece)
                    file.sync()
                finally:
                    file.close()
                files.sync_directory(())
            finally:
                files.close()

    def _put(self, kind: Kind, owner: str, value: bytes) -> int:
        with self._locked():
            header = self._slots.header()
            halves = self._free_slot()
            seal = self._seal(header.current, header)
            self._slots.write(halves, seal.seal(halves.number, kind, owner, halves.next_sequence, value))
            self._next_free = halves.number + 1
            return halves.number

    def _free_slot(self) -> Halves:
        """The next free one; the file grows where there is none."""
        start = self._next_free
        while True:
            for halves in self._slots.scan(self._next_free):
                if halves.best is None:
                    return halves
            if self._next_free == 0 or start == 0:
                self._next_free = self._slots.grow()
                start = 0
            else:
                self._next_free = 0

    def _read(self, number: int, kind: Kind, owner: str) -> bytes:
        """What a slot holds for this owner. Where another process changed it while it was read, it is read again."""
        with translated():
            found = self._slots.read(number).best
            try:
                return self._value(number, found, kind, owner)
            except KeyUnavailable:
                again = self._slots.read(number).best
                if again == found:
                    raise
            return self._value(number, again, kind, owner)

    def _value(self, number: int, found: Slot | Damaged | None, kind: Kind, owner: str) -> bytes:
        if isinstance(found, Damaged):
            raise KeyUnavailable("A slot of the key store is damaged.", "Put keys/slots back from a backup.")
        if found is not None and found.kind is Kind.TOMBSTONE and kind is Kind.CASE_KEY and found.owner == owner:
            raise Purged(found.at)
        if found is None or found.kind is not kind or found.owner != owner:
            raise KeyUnavailable("The key store has no such key.", "Check that database and key store belong together.")
        try:
            return self._seal(found.generation).open(number, found)
        except Damaged:
            raise KeyUnavailable("A slot of the key store does not verify.", "Put keys/slots back from a backup.") from None

    def _opens(self, number: int, slot: Slot) -> bool:
        if slot.kind is Kind.TOMBSTONE:
            return True
        try:
            self._seal(slot.generation).open(number, slot)
        except (Damaged, KeyUnavailable):
            return False
        return True

    def _seal(self, generation: int, header: Header | None = None) -> SlotSeal:
        """For one generation; the master keys are looked up anew where it is not known yet, since another process may have
        rotated. Raises KeyUnavailable."""
        with self._seals_lock:
            known = self._seals.get(generation)
        if known is not None:
            return known
        key = self._master_keys.generations().get(generation)
        if key is None:
            raise KeyUnavailable(
                f"The master key file lacks generation {generation}, under which the key store is sealed.",
                "Put the right master key file in its place.",
            )
        seal = SlotSeal(self._region, generation, key)
        if seal.check != (header or self._slots.header()).checks.get(generation, seal.check):
            raise KeyUnavailable(
                "The master key is not the one that the key store is sealed under.", "Put the right master key file in its place."
            )
        with self._seals_lock:
            return self._seals.setdefault(generation, seal)

    def _complete(self, halves: Halves, tombstone: Slot) -> None:
        if not halves.agree:
            self._slots.write(halves, tombstone)

    def _next_generation(self, header: Header) -> int:
        """Begins a rotation, or goes on with one that was begun: the generation that all slots shall have, in the header."""
        known = self._master_keys.generations()
        self._seal(header.current, header)
        if header.current not in known:
            raise KeyUnavailable("The master key file is not that of the key store.", "Put the right one in its place.")
        if len(known) > 1:
            generation = max(known)
            self._master_keys.make_durable()
        else:
            generation = self._master_keys.add()
        if generation != header.current:
            checks = {number: check for number, check in header.checks.items() if number in known}
            checks[generation] = self._seal(generation, header).check
            self._slots.write_header(replace(header, sequence=header.sequence + 1, current=generation, checks=checks))
        return generation

    def _mend_singles(self, generation: int) -> None:
        """One good copy is made two, before pages with many slots are written at once."""
        for halves in self._slots.scan():
            best = halves.best
            if isinstance(best, Damaged):
                raise KeyUnavailable(
                    f"Slot {halves.number} of the key store is damaged, so that the old master key is not destroyed.",
                    "Put keys/slots back from a backup, then rotate again.",
                )
            if best is not None and not halves.agree:
                self._slots.write(halves, best if best.kind is Kind.TOMBSTONE else self._sealed_anew(halves, best, generation))

    def _seal_anew(self, generation: int) -> None:
        """Every live slot: all first halves, sync, then all second halves."""
        written: list[tuple[int, bytes]] = []
        for halves in self._slots.scan():
            best = halves.best
            if isinstance(best, Slot) and best.kind is not Kind.TOMBSTONE and best.generation != generation:
                stored = pack_slot(halves.number, self._sealed_anew(halves, best, generation))
                self._slots.write_half(halves.number, 0, stored)
                written.append((halves.number, stored))
        self._slots.sync()
        self._slots.verify(written, (0,))
        for number, stored in written:
            self._slots.write_half(number, 1, stored)
        self._slots.sync()
        self._slots.verify(written, (1,))

    def _sealed_anew(self, halves: Halves, slot: Slot, generation: int) -> Slot:
        value = self._value(halves.number, slot, slot.kind, slot.owner)
        return self._seal(generation).seal(halves.number, slot.kind, slot.owner, halves.next_sequence, value)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with translated(), self._files.lock(LOCK):
            yield
