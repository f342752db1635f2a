"""Rows as a table that Streamlit sends as it is: a list of dicts would go through pandas at every redraw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with the same keys as columns, in the order of the keys."""
    return pa.Table.from_pylist(list(rows))
