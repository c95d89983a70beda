"""Prepared statements: SQLAlchemy words them once, and SQLite's driver is told them as they stand.

SQLAlchemy's own way to a statement takes some twenty times as long as SQLite does with it. Every other statement, and
every other database, goes that way.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, Executable
from sqlalchemy.exc import DBAPIError

S = TypeVar("S", bound=Executable)
_Values = Mapping[str, Any]
_Change = Callable[[Any], Any] | None  # of a value on its way to the driver or back

_CHUNK = 512


def prepared(statement: S) -> S:
    """``statement``, which is made once, lives as long as the process and is executed often."""
    _PREPARED[statement] = {}
    return statement


class SqliteEngine(Engine):
    """An engine whose connections know what is prepared."""

    def connect(self) -> SqliteConnection:
        """A connection of its pool."""
        return SqliteConnection(self)


class SqliteConnection(Connection):
    """Tells SQLite's driver what is prepared, and SQLAlchemy everything else."""

    @property
    def driver(self) -> sqlite3.Connection:
        """SQLite's own connection."""
        found: sqlite3.Connection = self.connection.dbapi_connection  # type: ignore[assignment]
        return found

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """As SQLAlchemy does it, but what is prepared answers with `Rows`."""
        known = _PREPARED.get(statement)
        if known is None:
            return super().execute(statement, parameters, execution_options=execution_options)
        if not self.driver.in_transaction:
            self.begin()
        many = isinstance(parameters, list)
        first = parameters[0] if many else parameters or {}
        found = known.get(names := tuple(first))
        if found is None:
            found = known[names] = _Prepared(statement, names, self.dialect)
        words = found.words(first)
        return found.rows(self.tell(words.sql, words.lines(parameters) if many else words.line(first), many=many))

    def tell(self, sql: str, values: Sequence[Any] = (), *, many: bool = False) -> list[Any]:
        """Whatever SQLite answers to ``sql``, with ``values`` for each of its marks or ``many`` of them; SQLAlchemy's errors."""
        cursor = self.driver.cursor()
        try:
            if many:
                cursor.executemany(sql, values)
            else:
                cursor.execute(sql, values)
            return list(cursor.fetchall())
        except sqlite3.Error as error:
            raise DBAPIError.instance(sql, None, error, sqlite3.Error) from error
        finally:
            cursor.close()

    def leave(self) -> None:
        """Undo what is not committed; SQLAlchemy's books are closed as well, if a statement opened them."""
        if self.driver.in_transaction:
            self.tell("ROLLBACK")
        if self.in_transaction():
            self.rollback()


class Rows(list[Any]):
    """Rows whose columns have names, asked as SQLAlchemy's result is."""

    def first(self) -> Any:
        """The first, or None."""
        return self[0] if self else None

    def all(self) -> Rows:
        """All of them."""
        return self

    def scalars(self) -> Rows:
        """The first column of all."""
        return Rows(row[0] for row in self)

    def scalar(self) -> Any:
        """The first column of the first, or None."""
        return self[0][0] if self else None

    def scalar_one(self) -> Any:
        """The only column of the only one."""
        ((found,),) = self
        return found


class _Prepared:
    """A statement that takes values of certain names."""

    def __init__(self, statement: Any, names: Sequence[str], dialect: Dialect) -> None:
        self._dialect, self._compiled = dialect, statement.compile(dialect=dialect, column_keys=list(names))
        self._lists = [name for name in names if self._compiled.binds[name].expanding]
        self._words: dict[tuple[int, ...], _Words] = {}  # by how many members the lists have
        columns = list(getattr(statement, "exported_columns", ()))
        row = namedtuple("Row", [column.name for column in columns])  # type: ignore[misc]  # noqa: PYI024 - known only here
        self._make = row._make
        changes = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._changes = changes if any(changes) else None

    def words(self, values: _Values) -> _Words:
        """The SQL for lists as long as those in ``values``."""
        lengths = tuple(_length(values[name]) for name in self._lists)
        found = self._words.get(lengths)
        if found is None:
            example = {**values, **{name: _padded(values[name]) for name in self._lists}}
            found = self._words[lengths] = _Words(self._compiled, example, self._lists, self._dialect)
        return found

    def rows(self, found: Iterable[Sequence[Any]]) -> Rows:
        """Rows of the driver in this house's types."""
        make, changes = self._make, self._changes
        if changes is None:
            return Rows(map(make, found))
        return Rows(
            make([x if change is None else change(x) for x, change in zip(row, changes, strict=True)]) for row in found
        )


class _Words:
    """SQL whose lists have so many members each, and how values become what the driver takes for its marks."""

    def __init__(self, compiled: Any, example: _Values, lists: Sequence[str], dialect: Dialect) -> None:
        worded = compiled.construct_expanded_state(example)
        self.sql: str = worded.statement
        members = worded.parameter_expansion
        origins = {member: name for name, of_it in members.items() for member in of_it}
        types = {name: compiled.binds[origins.get(name, name)].type for name in worded.positiontup or ()}
        self._marks: list[tuple[str, _Change]] = [
            (name, types[name].dialect_impl(dialect).bind_processor(dialect)) for name in worded.positiontup or ()
        ]
        self._members = [(name, members[name]) for name in lists if members[name]]
        given = {*example, *(member for _, of_it in self._members for member in of_it)}
        self._fixed = {name: worded.parameters[name] for name in types if name not in given}  # the statement's own

    def line(self, values: _Values) -> list[Any]:
        """One value for each mark."""
        if self._fixed:
            values = {**self._fixed, **values}
        for name, members in self._members:
            values = {**values, **dict(zip(members, _padded(values[name]), strict=True))}
        return [values[name] if change is None else change(values[name]) for name, change in self._marks]

    def lines(self, rows: Sequence[_Values]) -> list[Any]:
        """The same for many, none of which has lists."""
        if self._fixed:
            return [self.line(values) for values in rows]
        columns = ([row[name] for row in rows] for name, _ in self._marks)
        changed = (_changed(column, change) for column, (_, change) in zip(columns, self._marks, strict=True))
        return list(zip(*changed, strict=True))


def _changed(column: list[Any], change: _Change) -> list[Any]:
    """Each value as the driver takes it; rows that are written together have most of theirs in common."""
    if change is None:
        return column
    last: Any = change  # no value of a column
    found, made = [], None
    for value in column:
        if value is not last:
            last, made = value, change(value)
        found.append(made)
    return found


def _length(members: Collection[Any]) -> int:
    """Few lengths are enough for all lists: up to the next power of two, and from a chunk on to the next chunk."""
    count = len(members)
    return -(-count // _CHUNK) * _CHUNK if count > _CHUNK else 1 << (count - 1).bit_length() if count else 0


def _padded(members: Collection[Any]) -> list[Any]:
    """``members``, the last as often as it takes to be so many: that changes nothing of what is in a list."""
    found = [*members]
    return found + found[-1:] * (_length(found) - len(found))


_PREPARED: dict[Any, dict[tuple[str, ...], _Prepared]] = {}
