"""Compiles constant statements once, to run them on the driver without SQLAlchemy.

A greenlet, a cursor, an execution context and row loading are overhead for a `text()` or a constant
Core statement, and the hot paths consist of these. Measured on one core: 0.11 ms per statement with
an AsyncSession, 0.03 ms here. Other statements use SQLAlchemy, on the same connection and in the
same transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Delete, Executable, Insert, Select, TextClause, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.result import SimpleResultMetaData

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Plain:
    """A compiled statement.

    names, prepare: the parameter of each placeholder, and the conversion to the driver's value.
    given: values of the statement itself; made: Python-side defaults for parameters not passed.
    shape: the columns of the result, None to use the server's; read: conversions of the driver's
    values, by column position.
    """

    sql: str
    names: tuple[str, ...]
    prepare: tuple[Processor | None, ...]
    given: Mapping[str, Any]
    made: Mapping[str, Callable[[], Any]]
    shape: SimpleResultMetaData | None
    read: Mapping[int, Processor]

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """The arguments of one row, in the order of the placeholders."""
        if self.given or self.made:
            row = {**self.given, **{name: make() for name, make in self.made.items()}, **row}
        return [
            row[name] if prepare is None else prepare(row[name])
            for name, prepare in zip(self.names, self.prepare, strict=True)
        ]

    def rows(self, records: Iterable[Any]) -> Iterable[Any]:
        """The rows of a result, with converted values."""
        if not self.read:
            return records
        return [
            tuple(
                self.read[place](value) if place in self.read else value
                for place, value in enumerate(record)
            )
            for record in records
        ]


class Statements:
    """The compiled constant statements of one database.

    A `text()` is cached by its SQL, unless it has bound values. Another statement counts as
    constant when the same object is executed again; one that is built for each call is not cached.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._texts: dict[str, Plain | None] = {}
        self._others: WeakKeyDictionary[Executable, dict[tuple[str, ...], Plain | None]] = (
            WeakKeyDictionary()
        )

    def plain(self, statement: Executable, parameters: Parameters) -> Plain | None:
        """The compiled statement, or None for one that SQLAlchemy must execute."""
        if type(statement) is TextClause:
            if statement.text not in self._texts:
                self._texts[statement.text] = self._compile(statement, ())
            return self._texts[statement.text]
        if not isinstance(statement, Select | Insert | Update | Delete):
            return None
        known = self._others.get(statement)
        if known is None:
            self._others[statement] = {}
            return None
        first = parameters if isinstance(parameters, Mapping) else (parameters or ({},))[0]
        columns = tuple(first)
        if columns not in known:
            known[columns] = self._compile(statement, columns)
        return known[columns]

    def _compile(self, statement: Any, columns: tuple[str, ...]) -> Plain | None:
        if statement._propagate_attrs.get("compile_state_plugin") == "orm":  # noqa: SLF001
            return None
        keys = sorted(columns) if isinstance(statement, Insert | Update) else None
        compiled: Any = statement.compile(dialect=self._dialect, column_keys=keys)
        made: dict[str, Callable[[], Any]] = {}
        for column in getattr(compiled, "insert_prefetch", ()):
            if not column.default.is_callable:
                return None
            made[column.key] = _default(column.default.arg)
        if compiled.post_compile_params or getattr(compiled, "update_prefetch", ()):
            return None
        names = tuple(compiled.positiontup or ())
        given = {
            name: compiled.binds[name].effective_value
            for name in names
            if name not in columns and name not in made and not compiled.binds[name].required
        }
        prepare = tuple(
            compiled.binds[name].type.dialect_impl(self._dialect).bind_processor(self._dialect)
            for name in names
        )
        if isinstance(statement, TextClause):
            if given:
                return None
            return Plain(compiled.string, names, prepare, {}, {}, None, {})
        columns_out = compiled._result_columns  # noqa: SLF001
        shape = SimpleResultMetaData([column.keyname for column in columns_out])
        read = {
            place: process
            for place, column in enumerate(columns_out)
            if (process := _reads(column.type, self._dialect)) is not None
        }
        return Plain(compiled.string, names, prepare, given, made, shape, read)


def _reads(kind: Any, dialect: Dialect) -> Processor | None:
    process: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return process


def _default(made: Callable[[Any], Any]) -> Callable[[], Any]:
    """A default without SQLAlchemy's execution context, which plain defaults ignore."""
    return lambda: made(None)
