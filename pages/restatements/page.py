"""Restatements: which stored bars a provider gave other values for later, when, and by how much."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from ffe_core import times
from ffe_core.candles import BY_HAND, VALUES
from ffe_core.insight.lineage import origins
from ffe_core.insight.restatements import restatements
from ffe_core.insight.stored import stored_series
from ffe_core.insight.units import value_text
from ffe_core.instruments.matching import meant
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import micros
from pages.widgets import arrived, from_url, go, keep_in_url, notes, number, one_of, plain, section, service
from pages.widgets.fields import filter_row
from pages.widgets.frame import heading
from pages.widgets.tables import show_table
from pages.widgets.travel import new_backfill

SINCE = {"1": "Last day", "7": "Last 7 days", "30": "Last 30 days", "365": "Last year", "all": "Any time"}
MOST = 2_000


def read_series(text: str, known: list[Series]) -> Series:
    """The stored series that an address names, however its pair is written."""
    pair, *rest = text.rsplit("/", 2)
    alike = {series.asset_pair: series for series in known if [series.timeframe, series.provider] == rest}
    return alike[meant(pair, alike)]


def filters(known: list[Series]) -> None:
    state = st.session_state
    if arrived("restated_since"):
        state.restated_series = from_url("series", lambda text: read_series(text, known), None)
        providers = sorted({series.provider for series in known})
        state.restated_provider = from_url("provider", one_of(providers), None)
        state.restated_since = from_url("since", one_of(SINCE), "30")
    filter_row(
        [
            lambda: st.selectbox(
                "Series",
                known,
                index=None,
                format_func=lambda series: f"{series.asset_pair} {series.timeframe} · {series.provider}",
                key="restated_series",
                placeholder="Any",
            ),
            lambda: st.selectbox(
                "Provider",
                sorted({series.provider for series in known}),
                index=None,
                key="restated_provider",
                placeholder="Any",
            ),
            lambda: st.selectbox("Restated", list(SINCE), format_func=SINCE.__getitem__, key="restated_since"),
        ]
    )
    keep_in_url(
        series=state.restated_series.key if state.restated_series else None,
        provider=state.restated_provider,
        since=state.restated_since if state.restated_since != "30" else None,
    )


def found() -> pa.Table:
    days = st.session_state.restated_since
    since = None if days == "all" else datetime.now(UTC) - timedelta(days=int(days))
    table = restatements(service().lake, st.session_state.restated_series, since)
    provider = st.session_state.restated_provider
    return table.filter(pc.field("source_provider") == provider) if provider else table


def ranges_of(table: pa.Table) -> dict[str, int | None]:
    """Which run brought each new version."""
    moments: dict[Series, dict[str, int]] = {}
    names = ("asset_pair", "timeframe", "source_provider", "ingestion_id")
    keys = zip(*(table[name].to_pylist() for name in names), micros(table["restated_at"]).tolist(), strict=True)
    for pair, timeframe, provider, ingestion, at in keys:
        moments.setdefault(Series(pair, timeframe, provider), {})[ingestion] = at
    console = service()
    return {
        ingestion: origin.run
        for series, rows in moments.items()
        for ingestion, origin in origins(console.lake, console.database, series, rows).items()
    }


def says(table: pa.Table) -> None:
    providers: dict[str, set[tuple[Any, ...]]] = {}
    for row in table.select(["source_provider", "asset_pair", "timeframe", "timestamp", "ingestion_id"]).to_pylist():
        provider, *bar, ingestion_id = row.values()
        who = "By hand" if str(ingestion_id).startswith(BY_HAND) else provider
        providers.setdefault(who, set()).add(tuple(bar))
    period = SINCE[st.session_state.restated_since].lower()
    for provider, bars in sorted(providers.items()):
        many = "" if len(bars) == 1 else "s"
        gave = "corrected" if provider == "By hand" else "gave other values for"
        st.markdown(f"**{plain(provider)}** {gave} **{number(len(bars))} bar{many}** ({period})")


def open_bar() -> None:
    cells = st.session_state.restated_table["selection"]["cells"]
    if cells:
        provider, pair, timeframe, open_, step = st.session_state.restated_rows[cells[0][0]]
        start, end = open_ - 60 * step, open_ + 61 * step
        go("candles", provider=provider, pair=pair, timeframe=timeframe, start=times.iso(start), end=times.iso(end))


def by(ingestion: str, run: int | None) -> str:
    if ingestion.startswith(BY_HAND):
        return "by hand"
    return "not known" if run is None else f"run {run}"


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    runs = ranges_of(table)
    return [
        {
            "Pair": row["asset_pair"],
            "Timeframe": row["timeframe"],
            "Provider": row["source_provider"],
            "Bar (UTC)": row["timestamp"],
            "Restated (UTC)": row["restated_at"],
            "Changed": changed(row),
            "Close, bps": row["close_change_bps"],
            "Largest, bps": row["largest_change_bps"],
            "By": by(row["ingestion_id"], runs.get(row["ingestion_id"])),
            "Ingestion": row["ingestion_id"],
        }
        for row in table.to_pylist()
    ]


def changed(row: Mapping[str, Any]) -> str:
    """Each value that is another one now: what it was and what it is, prices with the decimals of their series."""
    prices = service().formats.of(Series(row["asset_pair"], row["timeframe"], row["source_provider"]))
    return ", ".join(
        f"{name} {value_text(prices, name, old)} → {value_text(prices, name, new)}"
        for name in VALUES
        if (old := row[f"{name}_old"]) != (new := row[f"{name}_new"])
    )


def table_of(table: pa.Table) -> None:
    shown = table.slice(0, MOST)
    st.session_state.restated_rows = [
        (
            row["source_provider"],
            row["asset_pair"],
            row["timeframe"],
            int(row["timestamp"].timestamp()),
            Series(row["asset_pair"], row["timeframe"], row["source_provider"]).step,
        )
        for row in shown.to_pylist()
    ]
    moment = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")
    change = st.column_config.NumberColumn(format="%.2f", width="small")
    show_table(
        rows_of(shown),
        key="restated_table",
        height="content" if shown.num_rows <= 14 else 520,
        on_select=open_bar,
        selection_mode="single-cell",
        column_config={
            "Bar (UTC)": moment,
            "Changed": st.column_config.TextColumn(width=280),
            "Restated (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            "Close, bps": change,
            "Largest, bps": change,
        },
    )
    more = f" The newest {MOST:,} of {table.num_rows:,} are shown." if table.num_rows > MOST else ""
    st.caption(f"Click a cell to see the bar on its chart; both versions are kept for good.{more}")


def page() -> None:
    known = [item.series for item in stored_series(service().lake)]
    if not known:
        st.info("Nothing is stored yet, so nothing can have been restated.", icon=":material/history:")
        new_backfill("restated_new")
        return
    filters(known)
    notes()
    with section("The restatements"):
        table = found()
        if table.num_rows == 0:
            st.info(
                "No bar was restated. Fetch a range again to see whether its provider has changed its mind.",
                icon=":material/history:",
            )
            st.page_link(
                "backfill/page.py",
                label="Fetch a range again",
                icon=":material/refresh:",
                query_params={"mode": "refetch"},
            )
            return
        says(table)
        table_of(table)


heading("Restatements")
with section("The restatements"):
    page()
