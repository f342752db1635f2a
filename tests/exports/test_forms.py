"""Forms of exports: each is what its tool takes, keeps every digit, and comes back by `import` as repeats alone."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.exports.service import FORMS
from ffe_core.files.plan import Target
from ffe_core.ingestion.file_import import FileImport
from ffe_core.insight.bars import LINEAGE
from ffe_core.insight.resample import COUNTS
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import planned
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.stores import Stores
from tests.exports.conftest import BTC, DAYS, EURO, MINUTES, SHARES, Export, times_of, values_of
from tests.insight.lakes import DAY, HOUR, JANUARY, put

Answers = dict[str, Any]
ROUND_TRIPS: list[tuple[str, Series, str, Answers]] = [
    ("freqtrade", BTC, "files:binance", {}),
    ("freqtrade", MINUTES, "files:binance", {}),
    ("lean", BTC, "files:binance", {}),
    ("lean", MINUTES, "files:binance", {}),
    ("lean", DAYS, "files:mine", {}),
    ("lean", SHARES, "files:mine", {}),
    ("nautilus", BTC, "files:binance", {"stamp": "close"}),
    ("nautilus", MINUTES, "files:binance", {"stamp": "close"}),
    ("vectorbt", BTC, "files:binance/BTCUSDT/1h", {"stamp": "open"}),
    ("backtrader", BTC, "files:binance/BTCUSDT/1h", {"zone": "UTC", "stamp": "open"}),
    ("zipline", DAYS, "files:mine/AAPL/1d", {}),
    ("zipline", MINUTES, "files:binance/BTCUSDT/1m", {}),
    ("arrow", BTC, "files:binance/BTCUSDT/1h", {"stamp": "open"}),
    ("parquet", BTC, "files:binance/BTCUSDT/1h", {"stamp": "open"}),
]


@pytest.mark.parametrize(("form", "series", "target", "answers"), ROUND_TRIPS, ids=lambda one: str(one)[:24])
def test_what_was_exported_and_is_imported_again_is_repeats_alone(
    lake: DeltaLakeManager, export: Export, form: str, series: Series, target: str, answers: Answers
) -> None:
    folder, [done] = export(form, series, market="usa" if series.asset_pair == "AAPL" else "")
    count = len(times_of(series))
    assert done.rows == count
    settings = Settings.load()
    plan = planned(ImportRequest((str(folder),), Target.of(target), answers=answers), settings)
    assert plan.questions == []
    [(read, files)] = plan.files.items()
    assert read == series
    report = FileImport(series, Stores(settings, lake)).run(files)
    assert report.error is None
    counts = report.counts
    assert (counts.received, counts.duplicates, counts.stored) == (count, count, 0)


def test_every_form_is_imported_again() -> None:
    assert {form for form, *_ in ROUND_TRIPS} == set(FORMS)


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_freqtrade_gets_names_columns_and_types_of_its_own(export: Export) -> None:
    folder, _ = export("freqtrade", BTC)
    assert files_of(folder) == ["BTC_USDT-1h.feather"]
    table = feather.read_table(folder / "BTC_USDT-1h.feather")
    assert table.schema.names == ["date", *VALUES]
    assert table["date"].type == pa.timestamp("ms", "UTC")
    assert {table[name].type for name in VALUES} == {pa.float64()}
    folder, _ = export("freqtrade", BTC, "months", size="1mo")
    assert files_of(folder) == ["BTC_USDT-1Mo.feather"]


def test_lean_gets_a_zip_a_day_in_the_clock_of_its_market(export: Export) -> None:
    folder, _ = export("lean", SHARES, market="usa")
    assert files_of(folder) == [f"equity/usa/minute/aapl/2024010{day}_trade.zip" for day in (2, 3)]
    with zipfile.ZipFile(folder / "equity/usa/minute/aapl/20240102_trade.zip") as archive:
        assert archive.namelist() == ["20240102_aapl_minute_trade.csv"]
        rows = archive.read(archive.namelist()[0]).decode().split("\n")
    opened, price, *_ = rows[0].split(",")
    assert opened == str((9 * 60 + 30) * 60_000)
    assert float(price) / 10_000 == values_of(SHARES)[times_of(SHARES)[0]][0]
    assert len(rows) == 390
    folder, _ = export("lean", EURO, "fx", market="oanda")
    assert files_of(folder) == ["forex/oanda/hour/eurusd.zip"]
    with zipfile.ZipFile(folder / "forex/oanda/hour/eurusd.zip") as archive:
        first = archive.read("eurusd.csv").decode().split("\n")[0].split(",")
    assert first[0] == "20231231 04:00"
    assert (first[1:5], first[5], first[10]) == (first[6:10], "0", "0")


def test_minutes_of_several_days_are_cut_at_midnight(export: Export) -> None:
    folder, _ = export("lean", MINUTES)
    place = folder / "crypto/binance/minute/btcusdt"
    counts = {}
    for path in sorted(place.iterdir()):
        with zipfile.ZipFile(path) as archive:
            counts[path.name[:8]] = archive.read(archive.namelist()[0]).count(b"\n") + 1
    assert counts == {"20231231": 1200, "20240101": 800}


def test_parquet_is_a_file_a_year_with_every_column(export: Export) -> None:
    folder, _ = export("parquet", BTC)
    assert files_of(folder) == ["BTCUSDT/1h/2023.parquet", "BTCUSDT/1h/2024.parquet"]
    first, last = (pq.read_table(folder / name) for name in files_of(folder))
    assert (first.num_rows, last.num_rows) == (20, 30)
    assert first.column_names == ["timestamp", "asset_pair", "timeframe", *VALUES, *LINEAGE]
    assert set(first["source_provider"].to_pylist()) == {"files:binance"}


def test_larger_bars_are_derived_and_say_what_they_are_made_of(export: Export) -> None:
    folder, [done] = export("arrow", BTC, size="1d")
    table = pa.ipc.open_file(folder / "BTCUSDT-1d.arrow").read_all()
    assert (done.timeframe, done.rows) == ("1d", 3)
    assert [*table.column_names[4:]] == [*VALUES, *COUNTS]
    assert table["sources"].to_pylist() == [20, 24, 6]
    assert table["is_complete"].to_pylist() == [False, True, False]
    assert table["low"].to_pylist()[1] == min(
        values[2] for at, values in values_of(BTC).items() if JANUARY <= at < JANUARY + DAY
    )


def test_derived_bars_are_the_same_however_the_range_is_read_in_pieces(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = export("arrow", MINUTES, "whole", size="8h")
    monkeypatch.setattr("ffe_core.insight.bars._PIECE_ROWS", 1)
    cut, _ = export("arrow", MINUTES, "cut", size="8h")
    assert (
        pa.ipc.open_file(cut / "BTCUSDT-8h.arrow")
        .read_all()
        .equals(pa.ipc.open_file(whole / "BTCUSDT-8h.arrow").read_all())
    )


def test_bars_are_written_as_they_were_known(lake: DeltaLakeManager, export: Export) -> None:
    at = times_of(BTC)[3]
    before = datetime.now(UTC).isoformat()
    put(lake, BTC, {at: (1.0, 2.0, 0.5, 1.5, 9.0)})
    now = pd.read_csv(export("vectorbt", BTC, "now")[0] / "BTCUSDT-1h.csv", index_col=0, parse_dates=True)
    then = pd.read_csv(
        export("vectorbt", BTC, "then", known_at=before)[0] / "BTCUSDT-1h.csv", index_col=0, parse_dates=True
    )
    moment = pd.Timestamp(at, unit="s", tz="UTC")
    assert now.loc[moment, "Close"] == 1.5
    assert then.loc[moment, "Close"] == values_of(BTC)[at][3]


def test_a_range_is_heeded(export: Export) -> None:
    _, [done] = export("backtrader", BTC, span=("2024-01-01", "2024-01-01"))
    assert done.rows == 24


@pytest.mark.parametrize(
    ("form", "series", "more", "said"),
    [
        ("excel", BTC, {}, "'excel' is unknown; use one of freqtrade, lean,"),
        ("lean", BTC, {"size": "4h"}, "lean has no room for 4h; it has 1m, 1h, 1d"),
        ("zipline", BTC, {}, "zipline has no room for 1h; it has 1m, 1d"),
        ("freqtrade", DAYS, {}, "AAPL has none; leave it out"),
        ("lean", BTC, {"market": "../x"}, "'../x' cannot be a market"),
        ("arrow", BTC, {"span": ("2020-01-01", "2020-01-02")}, "has no bars in that range"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_written(
    export: Export, tmp_path: Path, form: str, series: Series, more: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        export(form, series, **more)
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == []


def test_a_number_that_a_nautilus_catalog_has_no_room_for_is_told(lake: DeltaLakeManager, export: Export) -> None:
    put(lake, BTC, {times_of(BTC)[-1] + HOUR: (1e-17, 2e-17, 1e-18, 1e-17, 1.0)})
    with pytest.raises(InputError, match="numbers of 18 decimals, and a Nautilus catalog holds 16"):
        export("nautilus", BTC)
