"""Typed rows: read the rows of a query as dataclasses, and long lists of values a portion at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa

Row = TypeVar("Row")
Value = TypeVar("Value")
_MOST_VALUES = 500
"""Values in one statement: what any database takes, and a plan that does not grow."""


def columns_of(table: sa.FromClause, row: type[Any], *others: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """The columns of a table that a row dataclass has fields for, in their order, then the others."""
    return [table.c[field.name] for field in fields(row) if field.name in table.c] + list(others)


def read_rows(connection: sa.Connection, row: type[Row], query: sa.Select[Any]) -> list[Row]:
    """The rows of a query whose columns are named like the fields of a dataclass."""
    return [row(**found) for found in connection.execute(query).mappings()]


def portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """The values so many at a time that each portion fits into one statement."""
    return (values[at : at + _MOST_VALUES] for at in range(0, len(values), _MOST_VALUES))
