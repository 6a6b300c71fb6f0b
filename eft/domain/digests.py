"""Digests: the running SHA-256 of an upload, and the checksum of one part.

The running digest belongs to the upload and not to a request, so its state is exported into each commit record and restored
from there. hashlib cannot do that; libcrypto's own SHA-256 context can, and is as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import ctypes
import ctypes.util
import hashlib
import hmac
import re
import struct
from typing import Any, Protocol
import zlib

from eft.domain.errors import ChecksumUnknown, DigestInvalid

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_sha256(text: str) -> str:
    """`text` as 64 lower-case hexadecimal digits; white space around it and upper case are forgiven. Raises DigestInvalid."""
    found = text.strip().lower()
    if not _HEX_SHA256.fullmatch(found):
        raise DigestInvalid
    return found


# --- the running digest of an upload ------------------------------------------------------------------------------------------

_STATE = struct.Struct(">BQ32s")
_STATE_VERSION = 1
_BLOCK = 64
STATE_BYTES = _STATE.size + _BLOCK - 1
"""The most that an exported state takes."""


class _Context(ctypes.Structure):
    """`SHA256_CTX` of libcrypto (openssl/sha.h), unchanged since 0.9.8."""

    _fields_ = [
        ("h", ctypes.c_uint32 * 8),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("data", ctypes.c_ubyte * _BLOCK),
        ("pending", ctypes.c_uint32),
        ("digest_bytes", ctypes.c_uint32),
    ]


class _Buffer(ctypes.Structure):
    """`Py_buffer`, part of Python's stable ABI since 3.11: how memory is borrowed from an object without a copy."""

    _fields_ = [
        ("start", ctypes.c_void_p),
        ("owner", ctypes.c_void_p),
        ("bytes", ctypes.c_ssize_t),
        ("item_bytes", ctypes.c_ssize_t),
        ("read_only", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_borrow = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_give_back = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_Buffer))(("PyBuffer_Release", ctypes.pythonapi))


class _Engine(Protocol):
    """One SHA-256 in the making."""

    def update(self, data: bytes | bytearray | memoryview) -> None: ...
    def digest(self) -> bytes: ...
    def copy(self) -> _Engine: ...


class _Libcrypto:
    """SHA-256 by libcrypto's context. Calls release the GIL."""

    __slots__ = ("_context",)
    fresh: Any = None
    """The context of no byte, copied for each: a call into the library would let another thread run."""
    feed: Any = None
    final: Any = None

    def __init__(self) -> None:
        self._context = _Context.from_buffer_copy(self.fresh)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        if type(data) is bytes:
            self.feed(ctypes.byref(self._context), data, len(data))
            return
        buffer = _Buffer()
        _borrow(data, ctypes.byref(buffer), 0)
        try:
            self.feed(ctypes.byref(self._context), buffer.start, buffer.bytes)
        finally:
            _give_back(ctypes.byref(buffer))

    def digest(self) -> bytes:
        out = ctypes.create_string_buffer(32)
        self.final(out, ctypes.byref(self.copy()._context))
        return out.raw

    def copy(self) -> _Libcrypto:
        twin = _Libcrypto.__new__(_Libcrypto)
        twin._context = _Context.from_buffer_copy(self._context)
        return twin

    def export(self, count: int) -> bytes:
        context = self._context
        chaining = struct.pack(">8I", *context.h)
        return _STATE.pack(_STATE_VERSION, count, chaining) + bytes(context.data[: context.pending])

    @classmethod
    def restore(cls, count: int, chaining: bytes, pending: bytes) -> _Libcrypto:
        engine = cls()
        context = engine._context
        context.h[:] = struct.unpack(">8I", chaining)
        context.low = (count << 3) & 0xFFFFFFFF
        context.high = (count >> 29) & 0xFFFFFFFF
        context.data[: len(pending)] = pending
        context.pending = len(pending)
        return engine


class RunningDigest:
    """SHA-256 over bytes that come in order. `count` is how many have come.

    `update` takes any contiguous buffer, copies nothing and releases the GIL. One thread at a time.
    """

    __slots__ = ("_engine", "count")

    def __init__(self) -> None:
        self._engine: _Engine = _Libcrypto() if EXPORTS else hashlib.sha256()
        self.count = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._engine.update(data)
        self.count += data.nbytes if isinstance(data, memoryview) else len(data)

    def hexdigest(self) -> str:
        """Of all that has come so far; more may follow."""
        return self._engine.digest().hex()

    def copy(self) -> RunningDigest:
        twin = RunningDigest.__new__(RunningDigest)
        twin._engine, twin.count = self._engine.copy(), self.count
        return twin

    def export(self) -> bytes | None:
        """The whole state in at most `STATE_BYTES` bytes, the same on every machine: version, count, chaining value, pending
        bytes. None where this process has no libcrypto to ask: then a later writer re-reads the bytes from storage."""
        return self._engine.export(self.count) if isinstance(self._engine, _Libcrypto) else None

    @classmethod
    def restore(cls, state: bytes) -> RunningDigest | None:
        """A digest that goes on where `export` was called. None where it cannot be restored, because this process has no
        libcrypto or the state is of an unknown version: then re-read the bytes from storage."""
        if not EXPORTS or len(state) < _STATE.size or state[0] != _STATE_VERSION:
            return None
        _, count, chaining = _STATE.unpack_from(state)
        pending = state[_STATE.size :]
        if len(pending) != count % _BLOCK:
            return None
        running = cls.__new__(cls)
        running._engine, running.count = _Libcrypto.restore(count, chaining, pending), count
        return running


def _libraries() -> Iterator[ctypes.CDLL]:
    """Where libcrypto may be, the one that hashlib itself uses first: its module's handle finds the symbols of what it links."""
    names: list[str | None] = []
    try:
        import _hashlib

        names.append(getattr(_hashlib, "__file__", None))
    except ImportError:
        pass
    names += ["libcrypto.so.3", "libcrypto.so.1.1"]
    for name in names:
        if name:
            try:
                yield ctypes.CDLL(name)
            except OSError:
                continue
    name = ctypes.util.find_library("crypto")
    if name:
        yield ctypes.CDLL(name)


def _bind(library: ctypes.CDLL) -> bool:
    """Takes SHA-256 from `library`; False where it lacks it or gives a wrong answer."""
    try:
        init, feed, final = library.SHA256_Init, library.SHA256_Update, library.SHA256_Final
    except AttributeError:
        return False
    context = ctypes.POINTER(_Context)
    init.argtypes, feed.argtypes, final.argtypes = (
        (context,),
        (context, ctypes.c_void_p, ctypes.c_size_t),
        (ctypes.c_char_p, context),
    )
    _Libcrypto.fresh, _Libcrypto.feed, _Libcrypto.final = _Context(), feed, final
    init(ctypes.byref(_Libcrypto.fresh))
    return _answers_rightly()


def _answers_rightly() -> bool:
    """Known answers: an export and restore in the middle of a block, at its edges, and past 2^29 bytes (where the count of
    bits needs its second word, which is only written and read, not hashed, here)."""
    sample = bytes(range(256)) * 3
    for cut in (0, 1, 55, 56, 63, 64, 65, 127, 128, 300):
        first = _Libcrypto()
        first.update(sample[:cut])
        exported = first.export(cut)
        _, count, chaining = _STATE.unpack_from(exported)
        second = _Libcrypto.restore(count, chaining, exported[_STATE.size :])
        second.update(memoryview(sample)[cut:])
        if second.digest() != hashlib.sha256(sample).digest() or first.digest() != hashlib.sha256(sample[:cut]).digest():
            return False
    large = _Libcrypto.restore((1 << 32) + 7, bytes(32), bytes(7))._context
    return (large.low, large.high, large.pending) == (56, 8, 7) and ctypes.sizeof(_Context) == 112


EXPORTS = any(_bind(library) for library in _libraries())
"""Whether states can be exported and restored in this process."""


# --- the checksum of one part -------------------------------------------------------------------------------------------------


class _Crc32:
    """CRC-32 as zlib and tusd count it, four bytes, the most significant first."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Checksum(Protocol):
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


_ALGORITHMS: dict[str, Callable[[], _Checksum]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": _Crc32,
}

PART_CHECKSUMS = tuple(_ALGORITHMS)
"""What a part may be checked with (tus 1.0.0 §checksum: sha1 is mandatory)."""


class PartChecksum:
    """The checksum of one part. Raises ChecksumUnknown for an algorithm that is not in `PART_CHECKSUMS`."""

    __slots__ = ("_state", "algorithm")

    def __init__(self, algorithm: str) -> None:
        if algorithm not in _ALGORITHMS:
            raise ChecksumUnknown
        self.algorithm = algorithm
        self._state = _ALGORITHMS[algorithm]()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._state.update(data)

    def matches(self, expected: bytes) -> bool:
        """Whether what has come has this checksum; compared in constant time. A wrong length never matches."""
        return hmac.compare_digest(self._state.digest(), expected)


class PartCheck:
    """What one part is to be: one or several checksums, told before it or, after `expect_later`, when it has come.

    `update` takes the part's bytes in order. Of a checksum that is told later nobody knows the algorithm yet, so that each one
    is counted.
    """

    __slots__ = ("_counted", "_expected", "_later", "_told")

    def __init__(self) -> None:
        self._counted: dict[str, PartChecksum] = {}
        self._expected: list[tuple[str, bytes]] = []
        self._later: frozenset[str] = frozenset()
        self._told = False

    @classmethod
    def of(cls, algorithm: str, expected: bytes) -> PartCheck:
        """One checksum. Raises ChecksumUnknown."""
        check = cls()
        check.expect(algorithm, expected)
        return check

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._expected or self._later)

    def expect(self, algorithm: str, expected: bytes) -> None:
        """The part is to have this checksum, the raw digest. Raises ChecksumUnknown, also for one that was not counted."""
        if self._later:
            if algorithm not in self._later:
                raise ChecksumUnknown
            self._told = True
        elif algorithm not in self._counted:
            self._counted[algorithm] = PartChecksum(algorithm)
        self._expected.append((algorithm, expected))

    def expect_later(self, algorithms: Iterable[str]) -> None:
        """One more `expect` follows when the part has come, with one of these algorithms; without it the part is wrong."""
        self._later = self._later.union(algorithms)
        for algorithm in self._later:
            self._counted.setdefault(algorithm, PartChecksum(algorithm))

    def update(self, data: bytes | bytearray | memoryview) -> None:
        for checksum in self._counted.values():
            checksum.update(data)

    def holds(self) -> bool:
        """Whether what has come is what was expected; compared in constant time."""
        return (self._told or not self._later) and all(
            self._counted[algorithm].matches(expected) for algorithm, expected in self._expected
        )
