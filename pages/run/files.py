"""Files of a run that imports: what each brought, `received = stored + dead lettered + repeats`."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import streamlit as st

from ffe_core.storage.state.runs import RunSeries
from pages.widgets import many
from pages.widgets.tables import height_of, show_table


def table(rows: list[RunSeries]) -> None:
    """Draw a line a file; nothing before a series has ended."""
    found = [(row, one) for row in rows for one in (row.result or {}).get("files", ())]
    if not found:
        return
    st.subheader("Files", anchor=False)
    total = sum((row.result or {}).get("files_total", 0) for row in rows)
    if total > len(found):
        st.caption(f"{many(len(found), 'file')} of {total:,} are listed; the counts of the series are of all.")
    lines = [_line(row, one) for row, one in found]
    kept = [name for name in lines[0] if any(line[name] not in ("", 0) for line in lines) or name in _ALWAYS]
    show_table(lines, column_order=kept, key="run_files", height=height_of(len(lines), 12))


_ALWAYS = ("Received", "Stored", "Dead lettered", "Repeats")


def _line(row: RunSeries, one: dict[str, Any]) -> dict[str, Any]:
    return {
        "File": PurePath(one["file"]).name,
        "Series": f"{row.asset_pair} {row.timeframe}",
        "Received": one["received"],
        "Stored": one["stored"],
        "Dead lettered": one["dead_lettered"],
        "Repeats": one["repeats"],
        "Restated": one["restated"],
        "Not closed yet": one["unfinished"],
        "Left out": one["left_out"],
        "Note": one.get("error") or ("the same file as before" if one["known"] else ""),
    }
