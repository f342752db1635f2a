"""Frames: a table of candles as the tool of whoever asked wants it, and the packages that this needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, get_args

import pyarrow as pa

from ffe_core.errors import InputError, PackageMissing

As = Literal["pandas", "polars", "arrow"]


def checked_as(as_: str) -> str:
    """The name of a tool as given; InputError for one that there is not, PackageMissing if it is not installed."""
    if as_ not in get_args(As):
        raise InputError(f"{as_!r} is unknown; use one of {', '.join(get_args(As))}", field="as_")
    if as_ == "polars":
        package("polars")
    return as_


def frame(table: pa.Table, as_: str) -> Any:
    """The table as a pandas.DataFrame, a polars.DataFrame, or as it is."""
    if as_ == "pandas":
        return table.to_pandas()
    return polars_frame(table) if as_ == "polars" else table


def polars_frame(table: pa.Table) -> Any:
    """The table as a polars.DataFrame; categories by themselves, or each chunk of the rest would bring them along."""
    polars = package("polars")
    is_in_chunks = any(column.num_chunks > 1 for column in table.columns)
    names = [field.name for field in table.schema if is_in_chunks and pa.types.is_dictionary(field.type)]
    found = polars.from_arrow(table.drop_columns(names) if names else table, rechunk=False)
    for name in names:
        category = polars_series(name, table[name].combine_chunks())
        found.insert_column(table.schema.get_field_index(name), category)
    return found


def polars_series(name: str, column: pa.Array) -> Any:
    """A column as a polars.Series."""
    return package("polars").from_arrow(column).alias(name)


def package(name: str) -> Any:
    """An optional package, imported. PackageMissing, with how to install it, if it is not there."""
    try:
        return import_module(name)
    except ImportError as error:
        raise PackageMissing(name) from error
