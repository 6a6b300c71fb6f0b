"""Column types that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, String, TypeDecorator
from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970, exactly. Raises ValueError for a naive time."""
    if instant.tzinfo is None:
        raise ValueError("a time without a time zone")
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_microseconds(count: int) -> datetime:
    """The aware UTC instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=count)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time with microseconds, which compares and sorts in time's order.

    SQLite has no type for it: an integer of microseconds since 1970 there, `timestamptz` on PostgreSQL. A naive time is
    refused with ValueError.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        microseconds = to_microseconds(value)
        return value.astimezone(UTC) if dialect.name == "postgresql" else microseconds

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else from_microseconds(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return partial(self.process_bind_param, dialect=dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        return partial(self.process_result_value, dialect=dialect)


class Choice(TypeDecorator[StrEnum]):
    """A member of a StrEnum, stored as its value; a CHECK on the table names the values."""

    impl = String(24)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)

    # The same by a table, as there are several in each row.

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        stored: dict[Any, str | None] = {None: None, **{member: member.value for member in self.kind}}
        return lambda value: stored[value] if value in stored else self.kind(value).value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], StrEnum | None]:
        members: dict[Any, StrEnum | None] = {None: None, **{member.value: member for member in self.kind}}
        return lambda value: members[value] if value in members else self.kind(value)
