"""SQL that SQLite and Postgres write differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Float,
    Integer,
    SQLColumnExpression,
    String,
    case,
    cast,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class json_number(FunctionElement[float]):  # noqa: N801 - written like a function of SQL
    """A value inside a JSON column as a number: true is 1, false is 0, what is no number is NULL."""

    type = Float()
    inherit_cache = True
    name = "json_number"


@compiles(json_number)
def _any(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = element.clauses
    return compiler.process(value.as_float(), **options)


@compiles(json_number, "postgresql")
def _postgres(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    """Postgres refuses the whole query when one row holds something else than a number."""
    (value,) = element.clauses
    kind, text = func.json_typeof(value), value.as_string()
    number = case(
        (kind == literal_column("'number'"), cast(text, Double)),
        (kind == literal_column("'boolean'"), cast(text == literal_column("'true'"), Integer)),
    )
    return compiler.process(number, **options)


def matches(expression: SQLColumnExpression[Any], pattern: str) -> ColumnElement[bool]:
    r"""Compare text with a pattern of LIKE (``%`` and ``_``; ``\`` takes the next one as it is), whatever the case."""
    return expression.ilike(pattern, escape="\\")


class stamp_text(FunctionElement[str]):  # noqa: N801 - written like a function of SQL
    """A moment as XNAT's tables write it, such as ``2026-11-24 17:05:00.123``: text, made by the database."""

    type = String()
    inherit_cache = True
    name = "stamp_text"


@compiles(stamp_text)
def _stamp_of_sqlite(element: stamp_text, compiler: SQLCompiler, **options: Any) -> str:
    """Cut the text that SQLite keeps."""
    (value,) = element.clauses
    return compiler.process(func.substr(cast(value, String), 1, 23), **options)


@compiles(stamp_text, "postgresql")
def _stamp_of_postgres(element: stamp_text, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = element.clauses
    return compiler.process(func.to_char(value, "YYYY-MM-DD HH24:MI:SS.MS"), **options)
