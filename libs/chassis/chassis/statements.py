"""Constant statements without SQLAlchemy's machinery: compiled once, run on the driver itself.

What an ORM statement costs (a greenlet, a cursor, an execution context, a loading for each row)
buys nothing for a `text()` or a Core statement that stands in a module, and the hot paths consist
of these. Measured on one core: 0.11 ms per statement through an AsyncSession, 0.03 ms here.
Anything else goes the ordinary way, on the same connection and in the same transaction.
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
    """A compiled statement: its SQL, and for each place a name, what makes a driver's value of it.

    `given` holds the values of places the statement itself fills; `made` what Python's defaults
    fill when a row does not. `shape` are the columns of the answer, None to take the server's word;
    `read` makes a value of what the driver gives, by the column's place, where these differ.
    """

    sql: str
    names: tuple[str, ...]
    prepare: tuple[Processor | None, ...]
    given: Mapping[str, Any]
    made: Mapping[str, Callable[[], Any]]
    shape: SimpleResultMetaData | None
    read: Mapping[int, Processor]

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """The arguments of one row, in the order of their places."""
        if self.given or self.made:
            row = {**self.given, **{name: make() for name, make in self.made.items()}, **row}
        return [
            row[name] if prepare is None else prepare(row[name])
            for name, prepare in zip(self.names, self.prepare, strict=True)
        ]

    def rows(self, records: Iterable[Any]) -> Iterable[Any]:
        """The rows of an answer, with the values that callers expect."""
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
    """The constant statements of one database, compiled.

    A text is known by its words; one that carries values goes the ordinary way. Any other statement
    is taken for a constant when the very same object comes a second time; one that is built for
    each call never does, and is let go.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._texts: dict[str, Plain | None] = {}
        self._others: WeakKeyDictionary[Executable, dict[tuple[str, ...], Plain | None]] = (
            WeakKeyDictionary()
        )

    def plain(self, statement: Executable, parameters: Parameters) -> Plain | None:
        """The compiled form, or None for a statement that must go the ordinary way."""
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
    """SQLAlchemy gives a default its execution context, which a plain one has no use for."""
    return lambda: made(None)
