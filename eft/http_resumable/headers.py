"""Header fields: case-insensitive, in order, a name may come more than once (RFC 9110 §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import re

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Headers:
    """The fields of one message. Values are text of ISO 8859-1, as they came, without white space at either end."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str, str]] = [(name.lower(), name, value) for name, value in fields]

    def get(self, name: str) -> str | None:
        """The first value of `name`, None where there is none."""
        wanted = name.lower()
        for lower, _, value in self._fields:
            if lower == wanted:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for lower, _, value in self._fields if lower == wanted]

    def tokens(self, name: str) -> list[str]:
        """The comma-separated members of every field of that name, in lower case."""
        return [token for value in self.get_all(name) for part in value.split(",") if (token := part.strip().lower())]

    def add(self, name: str, value: str) -> None:
        self._fields.append((name.lower(), name, value))

    def set(self, name: str, value: str) -> None:
        """This value, and no other of that name."""
        self.remove(name)
        self.add(name, value)

    def set_default(self, name: str, value: str) -> None:
        if name not in self:
            self.add(name, value)

    def remove(self, name: str) -> None:
        wanted = name.lower()
        self._fields = [field for field in self._fields if field[0] != wanted]

    def copy(self) -> Headers:
        twin = Headers()
        twin._fields = list(self._fields)
        return twin

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(lower == name.lower() for lower, _, _ in self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name, as it was written, and value of each field."""
        return ((name, value) for _, name, value in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({[name for _, name, _ in self._fields]})"


def encode(headers: Iterable[tuple[str, str]]) -> str:
    """The fields as lines. Raises ValueError for a name or a value that would split the message."""
    lines = []
    for name, value in headers:
        if not TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header field that cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
