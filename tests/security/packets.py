"""SFTP packets as nobody well-meaning would send them, the same ones for the same seed."""

from __future__ import annotations

from random import Random
import struct

from tests.unit.sftp import wire

NAMES = (
    b"",
    b"/",
    b".",
    b"..",
    b"a",
    b"b",
    b"d",
    b"d/a",
    b"d/../b",
    b"/d",
    b"a.tmp",
    b"a.part",
    b"x/y/z",
    b"from-support",
    b"receipts",
    b"from-support/a",
    b"/from-support/../a",
    b"receipts/a.receipt",
    b"../C-2/secret",
    b"../../C-2/secret",
    b"/C-2/secret",
    b"C-2",
    b"/etc/passwd",
    b"//etc//passwd",
    b"../../../../etc/passwd",
    b"d/../../../etc",
    b"a\0b",
    b"a\nb",
    b"\xff\xfe",
    b"~/a",
    b"C:\\a",
    b"..\\..\\a",
    b"CON",
    b"a" * 255,
    b"a" * 256,
    b"a/" * 300,
    b"a" * 4096,
    b"a" * 4097,
    "Grüße.log".encode(),
    "e\u0301".encode(),
    "\u202egpj.exe".encode(),
    b" a",
    b"a ",
    b"a.sha256",
)
EXTENSIONS = (
    "posix-rename@openssh.com",
    "fsync@openssh.com",
    "statvfs@openssh.com",
    "limits@openssh.com",
    "check-file-name",
    "check-file",
    "check-file-handle",
    "copy-data",
    "hardlink@openssh.com",
    "lsetstat@openssh.com",
    "expand-path@openssh.com",
    "home-directory",
    "",
    "users-groups-by-id@openssh.com",
    "space-available",
    "vendor-id",
)
NUMBERS = (0, 1, 2, 3, 255, 4096, 32768, 65535, 262144, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (0, 0, 0, 1, 5, 100, 4096, 2**21, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
LINKS = (19, 20, 21, 22)
"""READLINK, SYMLINK, and LINK and BLOCK of later versions."""


class Packets:
    """An endless source. `handles` are those that the server gave out, of which it should be told."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.handles: list[bytes] = []
        self._id = 0

    def next(self, *, damaged: float) -> bytes:
        """One packet, with its length. `damaged` is the share of those that are not what SFTP allows."""
        made = self._whole()
        return self._damage(made) if self.random.random() < damaged else made

    def _whole(self) -> bytes:
        random = self.random
        self._id = (self._id + 1) % 2**32
        kind = random.choice((3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 200, 200, *LINKS))
        match kind:
            case 3:
                fields = [self._name(), wire.u32(random.choice((*range(64), *NUMBERS))), self._attributes()]
            case 4 | 8 | 12:
                fields = [self._handle()]
            case 5:
                fields = [self._handle(), wire.u64(random.choice(LARGE)), wire.u32(random.choice(NUMBERS))]
            case 6:
                fields = [
                    self._handle(),
                    wire.u64(random.choice(LARGE)),
                    wire.string(random.randbytes(random.choice((0, 1, 5, 100)))),
                ]
            case 9 | 14:
                fields = [self._name(), self._attributes()]
            case 10:
                fields = [self._handle(), self._attributes()]
            case 18 | 20 | 21:
                fields = [self._name(), self._name()]
            case 200:
                fields = self._extended()
            case _:
                fields = [self._name()]
        return wire.packet(kind, self._id, *fields)

    def _extended(self) -> list[bytes]:
        random = self.random
        name = random.choice(EXTENSIONS)
        first = self._handle() if name in ("fsync@openssh.com", "check-file", "check-file-handle", "copy-data") else self._name()
        if name.startswith("check"):
            digests = wire.string(random.choice(("sha256", "md5,sha1", "", "sha256,", "crc32", "\0")))
            large, small = random.choice(LARGE), random.choice((0, 0, 256, 1, *NUMBERS))
            return [wire.string(name), first, digests, wire.u64(random.choice(LARGE)), wire.u64(large), wire.u32(small)]
        if name == "copy-data":
            numbers = [wire.u64(random.choice(LARGE)) for _ in range(3)]
            return [wire.string(name), first, numbers[0], numbers[1], self._handle(), numbers[2]]
        return [wire.string(name), first, self._name()]

    def _name(self) -> bytes:
        random = self.random
        known = NAMES[: 10 + random.choice((0, 0, 0, len(NAMES)))]
        name = random.choice(known)
        if random.random() < 0.05:
            name += b"/" + random.choice(known)
        return wire.string(name)

    def _handle(self) -> bytes:
        random = self.random
        if self.handles and random.random() < 0.9:
            return wire.string(random.choice(self.handles))
        return wire.string(random.choice((b"", b"\0\0\0\0", b"0", b"x" * 64, b"x" * 65, b"x" * 256, random.randbytes(4))))

    def _attributes(self) -> bytes:
        random = self.random
        flags = random.choice((0, 0, 1, 4, 8, 15, 0x80000000, 0xFFFFFFFF))
        body = wire.u32(flags)
        if flags & 1:
            body += wire.u64(random.choice(LARGE))
        if flags & 2:
            body += bytes(8)
        if flags & 4:
            body += wire.u32(random.choice(NUMBERS))
        if flags & 8:
            body += wire.u32(random.choice(NUMBERS)) + wire.u32(random.choice(NUMBERS))
        if flags & 0x80000000:
            body += wire.u32(1) + wire.string(b"a@b") + wire.string(b"c")
        return body

    def _damage(self, packet: bytes) -> bytes:
        random = self.random
        spoilt = bytearray(packet)
        match random.randrange(7):
            case 0:  # some bytes, the length spared
                for _ in range(random.randint(1, 4)):
                    spoilt[random.randrange(4, len(spoilt))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
            case 1:  # cut, its length made to fit
                del spoilt[random.randint(4, len(spoilt)) :]
                struct.pack_into(">I", spoilt, 0, len(spoilt) - 4)
            case 2:  # more than belongs to it
                spoilt += random.randbytes(random.randint(1, 50))
                struct.pack_into(">I", spoilt, 0, len(spoilt) - 4)
            case 3:  # a length that lies
                struct.pack_into(">I", spoilt, 0, random.choice(NUMBERS))
            case 4:  # cut in the middle of the stream
                del spoilt[random.randint(0, len(spoilt)) :]
            case 5:  # a field of length that lies
                if len(spoilt) >= 13:
                    struct.pack_into(">I", spoilt, random.choice((5, 9)), random.choice(NUMBERS))
            case _:
                return random.randbytes(random.randint(1, 100))
        return bytes(spoilt)
