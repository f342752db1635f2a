"""Findings in files: each form, its columns and why, its first rows beside their text, and the series they make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import streamlit as st

from ffe_core.candles import VALUES
from ffe_core.files.found import Seen
from ffe_core.files.plan import ImportPlan
from ffe_core.insight.units import written
from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.operations.imports.uploads import Uploads
from ffe_core.storage.state.imported_files import ImportedFile
from pages.widgets import many, number, plain, section, service, when
from pages.widgets.alerts import alert
from pages.widgets.tables import show_table
from pages.widgets.text import dated

MOST_FORMS, MOST_NAMED = 5, 12
WHAT = {"zone": "Zone of the clock", "stamp": "A time is"}


def show_plan(plan: ImportPlan) -> None:
    """Draw the series that the files would make, and the files of which nothing comes."""
    if plan.files and not plan.questions:
        st.markdown(f"**{many(plan.count, 'file')}** in {number(len(plan.files))} series")
        rows = [
            {"Pair": one.asset_pair, "Timeframe": one.timeframe, "Source": one.provider, "Files": len(files)}
            for one, files in plan.files.items()
        ]
        show_table(rows)
    if plan.unreadable:
        named = [_unreadable(path, why) for path, why in plan.unreadable[:MOST_NAMED]]
        alert("warning", f"{many(len(plan.unreadable), 'file')} cannot be read:", named)
    if plan.empty:
        st.caption(f"{many(len(plan.empty), 'file')} without a row: {plain(', '.join(plan.empty[:MOST_NAMED]))}")


def _unreadable(path: str, why: str) -> str:
    """What is wrong with a file, which an upload calls by its name alone and the server's folders by its path."""
    name = PurePath(path).name
    told = name if Uploads(service().settings).tokens_of([path]) else path
    return dated(f"{told}{why.removeprefix(name)}" if why.startswith(name) else f"{told}: {why}")


def show_looks(plan: ImportPlan) -> None:
    """Draw how each form is read; one file of each."""
    for look in plan.looks[:MOST_FORMS]:
        with section("A form"):
            _show(look)
    if len(plan.looks) > MOST_FORMS:
        st.caption(f"And {many(len(plan.looks) - MOST_FORMS, 'other form')}.")


def _show(look: Seen) -> None:
    st.subheader(plain(look.name), anchor=False)
    if look.why:
        show_table(
            [
                {"What": WHAT.get(what, what.capitalize()), "Taken for it": column, "Why": why}
                for what, (column, why) in look.why.items()
            ],
            column_config={"Why": st.column_config.TextColumn(width="large")},
        )
    if not look.rows:
        if look.lines:
            st.caption("Its first lines")
            st.code("\n".join(look.lines), language=None)
        return
    st.caption("Its first rows: their text, and as they are read")
    show_table(
        [_row(row) for row in look.rows],
        column_config=dict.fromkeys(("Text", "Wrong"), st.column_config.TextColumn(width="large")),
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name.capitalize(): _value(row.get(name)) for name in VALUES}
    return {
        "Text": row.get("text", ""),
        "Opens (UTC)": dated(row.get("date") or "").removesuffix(" UTC"),
        **values,
        "Wrong": "; ".join(map(in_words, row["reasons"])),
    }


def _value(value: Any) -> str:
    return written(value) if isinstance(value, float) else "" if value is None else str(value)


def show_imported(files: list[ImportedFile]) -> None:
    """Draw what the last files brought."""
    st.subheader("Imported last", anchor=False)
    if not files:
        st.caption("No file was imported yet.")
        return
    rows = [
        {
            "File": PurePath(one.name).name,
            "Series": f"{one.asset_pair} {one.timeframe} {one.provider}",
            "Received": one.received,
            "Stored": one.stored,
            "Dead lettered": one.dead_lettered,
            "Repeats": one.repeats,
            "Restated": one.restated,
            "Run": one.run_id,
            "At": when(one.at, hint=False),
        }
        for one in files
    ]
    show_table(rows)
