"""Appends of rows to a Bronze table: in data files of our own, or by delta-rs where the table asks for more."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from ffe_core.errors import StorageError
from ffe_core.storage.lake import data_files
from ffe_core.storage.lake.writing import APPEND_HOOKS

COMMIT_RETRIES = 100
"""How often delta-rs moves an append past those of other series."""


def append(table: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """Append candles in one commit, with data files of our own where the table takes them."""
    wide = as_wide(table, rows)
    if data_files.fit(table):
        data_files.commit(table, data_files.write(table, wide), properties)
    else:
        let_delta_rs_write(table, wide, properties)


def let_delta_rs_write(table: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """Append rows, or marks alone, in one commit; the handle moves to its version.

    delta-rs 1.6 takes a partition's value from plain text alone.
    """
    write_deltalake(
        table,
        rows.cast(_plain(rows.schema)),
        mode="append",
        writer_properties=data_files.FOR_DELTA_RS,
        commit_properties=properties,
        post_commithook_properties=APPEND_HOOKS,
    )


def as_wide(table: DeltaTable, rows: pa.Table) -> pa.Table:
    """The rows with null in each column that another tool has added to the table; they stay as they are otherwise."""
    fields = table.schema().fields
    if len(fields) == rows.num_columns:
        return rows
    held = pa.schema(table.schema().to_arrow())
    needed = [field.name for field in held if field.name not in rows.column_names and not field.nullable]
    if needed:
        raise StorageError(
            f"the table in {table.table_uri} has columns that must not be empty and are none of a candle"
            f" ({', '.join(needed)}); allow null in them, or drop them with the tool that added them"
        )
    for column in held:
        if column.name not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
    return rows.select(held.names)


def joined(rows: Sequence[pa.Table]) -> pa.Table:
    """Rows of several series, of which some may hold a text for all rows once."""
    return rows[0] if len(rows) == 1 else pa.concat_tables([some.cast(_plain(some.schema)) for some in rows])


def _plain(schema: pa.Schema) -> pa.Schema:
    kinds = ((one.type.value_type if pa.types.is_dictionary(one.type) else one.type, one.name) for one in schema)
    return pa.schema([pa.field(name, kind) for kind, name in kinds])
