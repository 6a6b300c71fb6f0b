"""The names that a case's files have in one archive: safe wherever it is unpacked, and each of them once."""

from __future__ import annotations

from collections.abc import Iterable
import unicodedata

from eft.domain.names import COMPONENT_BYTES


class ArchiveNames:
    """Gives each file a name of its own. Names that differ in case alone, or in how an accent is written, are one name to the
    disks that people unpack on. `names`: all that will come, whose directories are kept free. `taken`: a file of the archive's
    own at its top."""

    def __init__(self, names: Iterable[str], taken: str) -> None:
        self._taken = _folded(taken)
        self._used = {self._taken}
        self._directories = {_folded(parent) for name in names for parent in _parents(self._safe(name))}

    def add(self, name: str, version: int) -> str:
        """`name`, for the first that comes with it; then `NAME (version N)` before the suffix. A file that has the name of a
        directory is renamed too."""
        wanted = self._safe(name)
        given, number = _marked(wanted, ""), version
        while _folded(given) in self._used or _folded(given) in self._directories:
            given = _marked(wanted, f" (version {number})")
            number += 1
        self._used.add(_folded(given))
        return given

    def _safe(self, name: str) -> str:
        """Without what an unpacking program could take for a drive or a stream. What names may have at all is `check_name`'s."""
        safe = name.replace(":", "_").replace("\\", "_")
        top, slash, rest = safe.partition("/")
        return f"{top}_{slash}{rest}" if slash and _folded(top) == self._taken else safe


def _marked(name: str, mark: str) -> str:
    """With the mark before the suffix of the last component, which gets no longer than any disk takes: its stem is cut."""
    directory, slash, last = name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    if not stem or len(suffix.encode()) > COMPONENT_BYTES // 4:
        stem, dot, suffix = last, "", ""
    end = f"{mark}{dot}{suffix}"
    room = COMPONENT_BYTES - len(end.encode())
    return f"{directory}{slash}{stem.encode()[:room].decode(errors='ignore')}{end}"


def _parents(name: str) -> list[str]:
    components = name.split("/")
    return ["/".join(components[:count]) for count in range(1, len(components))]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
