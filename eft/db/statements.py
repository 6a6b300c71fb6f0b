"""Statements that are executed for each file or request: put together and compiled once, not at every call.

SQLAlchemy's way from a statement to the driver and back costs ten times what SQLite needs for a row, and the receive path pays
it eight times a file. Here the way is walked once for each dialect; what is left are the driver's call and the columns' own
conversions. Everything else goes on through SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
import sqlite3
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Table, Update, bindparam, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

T = TypeVar("T")
Convert = Callable[[Any], Any] | None
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class _Parameter:
    """`name` in the statement, how its value is converted, and the converted value where the statement has it itself."""

    name: str
    convert: Convert
    fixed: Any
    is_fixed: bool


@dataclass(frozen=True, slots=True)
class _Ready:
    """One statement for one dialect."""

    text: str
    parameters: tuple[_Parameter, ...]
    columns: tuple[Convert, ...]
    positional: bool
    attributes: Any = field(init=False)
    """Gets all parameters of a record, where there are several."""
    conversions: tuple[tuple[int, Callable[[Any], Any]], ...] = field(init=False)
    results: tuple[tuple[int, Callable[[Any], Any]], ...] = field(init=False)
    """Those parameters and columns that are converted at all."""

    def __post_init__(self) -> None:
        names = [each.name.removeprefix("its_") for each in self.parameters]
        converts = [each.convert for each in self.parameters]
        object.__setattr__(self, "attributes", attrgetter(*names) if len(names) > 1 else None)
        object.__setattr__(self, "conversions", tuple((at, convert) for at, convert in enumerate(converts) if convert))
        object.__setattr__(self, "results", tuple((at, convert) for at, convert in enumerate(self.columns) if convert))

    def bound(self, given: Mapping[str, Any]) -> Any:
        converted = [
            each.fixed if each.is_fixed else given[each.name] if each.convert is None else each.convert(given[each.name])
            for each in self.parameters
        ]
        return (
            converted if self.positional else {each.name: value for each, value in zip(self.parameters, converted, strict=True)}
        )

    def bound_of(self, record: object) -> Any:
        """Of a statement with several parameters, all of them given."""
        values = list(self.attributes(record))
        for index, convert in self.conversions:
            values[index] = convert(values[index])
        return values if self.positional else {each.name: value for each, value in zip(self.parameters, values, strict=True)}

    def converted(self, row: Row) -> Row:
        if not self.results:
            return row
        values = list(row)
        for index, convert in self.results:
            values[index] = convert(values[index])
        return values


class Statement:
    """One statement. What it does not say itself are its `bindparam`s; an INSERT takes the `keys` of its table, all without.

    Raises what SQLAlchemy would raise; KeyError for a parameter that was not given.
    """

    def __init__(self, query: Select[Any] | Insert | Update | Delete, *, keys: Sequence[str] | None = None) -> None:
        self._query = query
        self._keys = keys
        self._ready: dict[str, _Ready] = {}

    def rows(self, conn: Connection, given: Mapping[str, Any]) -> list[Row]:
        """All rows, each with its columns' values in order."""
        ready = self._ready.get(conn.dialect.name) or self._prepare(conn.dialect)
        return [ready.converted(row) for row in self._execute(conn, ready, given).fetchall()]

    def row(self, conn: Connection, given: Mapping[str, Any]) -> Row | None:
        """The one row, None where there is none; for what is looked up by a key."""
        ready = self._ready.get(conn.dialect.name) or self._prepare(conn.dialect)
        found = self._execute(conn, ready, given).fetchall()
        return ready.converted(found[0]) if found else None

    def run(self, conn: Connection, given: Mapping[str, Any]) -> int:
        """How many rows it changed."""
        ready = self._ready.get(conn.dialect.name) or self._prepare(conn.dialect)
        changed: int = self._execute(conn, ready, given).rowcount
        return changed

    def run_of(self, conn: Connection, record: object) -> int:
        """The same, where each parameter is an attribute of the record, or named `its_` and that."""
        ready = self._ready.get(conn.dialect.name) or self._prepare(conn.dialect)
        changed: int = self._carry_out(conn, ready, ready.bound_of(record)).rowcount
        return changed

    def _execute(self, conn: Connection, ready: _Ready, given: Mapping[str, Any]) -> Any:
        return self._carry_out(conn, ready, ready.bound(given))

    def _carry_out(self, conn: Connection, ready: _Ready, bound: Any) -> Any:
        if ready.positional:
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            try:
                return driver.execute(ready.text, bound)
            except sqlite3.Error as error:
                raise DBAPIError.instance(
                    ready.text, None, error, sqlite3.Error, hide_parameters=True, dialect=conn.dialect
                ) from error
        return conn.exec_driver_sql(ready.text, bound, _KEEP_COUNT)

    def _prepare(self, dialect: Dialect) -> _Ready:
        compiled = self._query.compile(dialect=dialect, column_keys=self._keys)
        assert isinstance(compiled, SQLCompiler)
        by_name = {name: parameter for parameter, name in compiled.bind_names.items()}
        names = list(compiled.positiontup) if compiled.positiontup is not None else list(by_name)
        parameters = []
        for name in names:
            parameter = by_name[name]
            convert = _bind(parameter.type, dialect)
            is_fixed = not parameter.required
            fixed = parameter.effective_value if is_fixed else None
            parameters.append(_Parameter(name, convert, convert(fixed) if is_fixed and convert else fixed, is_fixed))
        columns = self._query.selected_columns if isinstance(self._query, Select) else ()
        results = tuple(_result(column.type, dialect) for column in columns)
        ready = _Ready(str(compiled), tuple(parameters), results, compiled.positiontup is not None)
        return self._ready.setdefault(dialect.name, ready)


class Records(Generic[T]):
    """A SELECT of all columns of a table, read as the records that its rows stand for."""

    def __init__(self, kind: type[T], query: Select[Any]) -> None:
        self._kind = kind
        self._statement = Statement(query)
        self._names = tuple(column.name for column in query.selected_columns)

    def one(self, conn: Connection, given: Mapping[str, Any]) -> T | None:
        fields = self.fields(conn, given)
        return None if fields is None else self._kind(**fields)

    def fields(self, conn: Connection, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The columns of the one row by name, for a record that needs more than them."""
        row = self._statement.row(conn, given)
        return None if row is None else dict(zip(self._names, row, strict=True))

    def all(self, conn: Connection, given: Mapping[str, Any]) -> list[T]:
        return [self._kind(**fields) for fields in self.all_fields(conn, given)]

    def all_fields(self, conn: Connection, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The columns of all rows by name."""
        names = self._names
        return [dict(zip(names, row, strict=True)) for row in self._statement.rows(conn, given)]


class Inserting:
    """An INSERT of a record into its table."""

    def __init__(self, table: Table) -> None:
        self._statement = Statement(table.insert())

    def run(self, conn: Connection, record: object) -> None:
        self._statement.run_of(conn, record)


class Saving:
    """An UPDATE of every column of a record's row but `id`, which finds it."""

    def __init__(self, table: Table) -> None:
        changed = {column.name: bindparam(column.name, type_=column.type) for column in table.columns if column.name != "id"}
        self._statement = Statement(update(table).where(table.c.id == bindparam("its_id")).values(changed))

    def run(self, conn: Connection, record: object) -> bool:
        """Whether there was a row."""
        return self._statement.run_of(conn, record) == 1


_KEEP_COUNT = {"preserve_rowcount": True}


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
