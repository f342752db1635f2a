"""Tables as the console shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import streamlit as st


def show_table(rows: Any, **options: Any) -> Any:
    """`st.dataframe` without an index, with a dash for what there is none of; what it returns."""
    return st.dataframe(rows, hide_index=True, placeholder="–", **options)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with the same keys as columns, in the order of the keys, as Streamlit sends them without a detour: a list
    of dicts would go through pandas at every redraw."""
    return pa.Table.from_pylist(list(rows))


def digest(values: Sequence[Any]) -> str:
    """Names what a table shows, for its key: Streamlit keeps the ticks of a key, whatever rows it shows by now."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]
