"""Adjustment on read: real days of AAPL around two splits and a dividend, larger bars, moments, and what is refused.

The days are those of LEAN's sample data (QuantConnect/Lean, Data/equity/usa/daily/aapl.zip, Apache-2.0).
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from ffe_core import load_candles, price_matrix, scan_candles
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.times import parse_instant
from tests.insight.lakes import Values, flat, put

APPLE = Series("AAPL", "1d", "files:lean")
MINE = Series("BTCUSD", "1d", "coinbase")
REAL: dict[str, Values] = {
    "2014-05-06": (601.62, 604.40, 594.41, 594.41, 12348031.0),
    "2014-05-07": (595.10, 597.29, 587.75, 592.33, 9790289.0),
    "2014-05-08": (588.25, 595.32, 586.40, 588.12, 7956963.0),
    "2014-06-05": (646.25, 649.35, 642.61, 647.35, 10445282.0),
    "2014-06-06": (650.00, 651.25, 644.48, 645.57, 12116671.0),
    "2014-06-09": (92.69, 93.88, 91.75, 93.70, 72875948.0),
    "2014-06-10": (94.64, 95.05, 93.57, 94.25, 60833696.0),
    "2020-08-27": (508.50, 509.94, 495.33, 500.04, 37351071.0),
    "2020-08-28": (504.00, 505.77, 498.31, 499.23, 44109029.0),
    "2020-08-31": (127.67, 131.00, 126.25, 129.04, 210024091.0),
    "2020-09-01": (132.91, 134.80, 130.53, 134.18, 142927370.0),
}


def at(day: str) -> int:
    return parse_instant(f"{day}T00:00:00Z")


@pytest.fixture
def actions(lake: DeltaLakeManager, tmp_path: Path) -> Actions:
    """The lake with these days, and what is on record of AAPL."""
    put(lake, APPLE, {at(day): values for day, values in REAL.items()})
    kept = Actions(tmp_path)
    kept.add(
        [
            action(SPLIT, "AAPL", "2014-06-09", Fraction(7), "announced"),
            action(SPLIT, "AAPL", "2020-08-31", Fraction(4), "announced"),
            action(DIVIDEND, "AAPL", "2014-05-08", Fraction("3.29"), "announced"),
        ]
    )
    return kept


def day_of(bars: pd.DataFrame, day: str) -> list[float]:
    [row] = bars.loc[bars["timestamp"] == pd.Timestamp(day, tz="UTC"), list(VALUES)].to_numpy().tolist()
    return list(row)


def test_splits_are_exact_and_what_is_stored_stays_raw(actions: Actions) -> None:
    bars = load_candles("AAPL", "1d", adjust="splits")
    for day, divisor in {"2014-06-06": 28, "2014-06-09": 4, "2020-08-28": 4, "2020-08-31": 1}.items():
        assert day_of(bars, day) == [*(price / divisor for price in REAL[day][:4]), REAL[day][4] * divisor]
    assert bars["adjustment"].tolist() == ["splits"] * len(REAL)
    raw = load_candles("AAPL", "1d")
    assert [tuple(row) for row in raw[list(VALUES)].to_numpy().tolist()] == list(REAL.values())
    assert "adjustment" not in raw


def test_dividends_lower_what_was_before_them_by_their_share_of_the_close(actions: Actions) -> None:
    bars = load_candles("AAPL", "1d", adjust="all")
    before = day_of(bars, "2014-05-07")
    kept = 1 - 3.29 / 592.33
    assert before[:4] == [price / 28 * kept for price in REAL["2014-05-07"][:4]]
    assert before[4] == REAL["2014-05-07"][4] * 28, "volume follows the splits alone"
    assert day_of(bars, "2014-05-08")[:4] == [price / 28 for price in REAL["2014-05-08"][:4]]
    change = day_of(bars, "2014-05-08")[3] / before[3]
    assert change == pytest.approx(588.12 / (592.33 - 3.29), rel=1e-15), "as if the money had not been paid out"
    assert set(bars["adjustment"]) == {"all"}


def test_larger_bars_are_made_of_adjusted_ones(actions: Actions) -> None:
    days = load_candles("AAPL", "1d", adjust="all").set_index("timestamp")
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    weeks = days.resample("W-MON", closed="left", label="left").agg(rules).dropna()
    found = load_candles("AAPL", "1d", resample="1w", adjust="all").set_index("timestamp")
    pd.testing.assert_frame_equal(found[list(VALUES)], weeks, check_freq=False)
    assert set(found["adjustment"]) == {"all"}
    assert found.loc["2014-06-02", "sources"] == 2


def test_a_moment_knows_only_the_ex_days_before_it(actions: Actions, lake: DeltaLakeManager) -> None:
    def close(known: str) -> list[float]:
        found = load_candles("AAPL", "1d", "2014-06-06", "2014-06-06", as_known_at=known, adjust="splits")
        return found["close"].tolist()

    stored = datetime.now(UTC).isoformat()
    assert close(stored) == [645.57 / 28]
    future = action(SPLIT, "AAPL", "2999-01-04", Fraction(2), "planned")
    actions.add([future])
    assert close(stored) == [645.57 / 28], "what is only planned has no effect yet"
    assert close("3000-01-01T00:00Z") == [645.57 / 56]


def test_every_way_of_reading_says_the_same(actions: Actions) -> None:
    table = load_candles("AAPL", "1d", adjust="all", as_="arrow")
    lazy = scan_candles("AAPL", "1d", adjust="all")
    assert (
        lazy.collect().to_dicts()
        == table.to_pylist()
        == load_candles("AAPL", "1d", adjust="all", as_="polars").to_dicts()
    )
    late = lazy.filter(pl.col("close") > 126).select("close", "adjustment").collect()
    assert late.to_dicts() == [{"close": 129.04, "adjustment": "all"}, {"close": 134.18, "adjustment": "all"}]
    relation = scan_candles("AAPL", "1d", adjust="all", as_="duckdb")
    assert relation.project("close, adjustment").fetchall() == [
        (row["close"], row["adjustment"]) for row in table.select(["close", "adjustment"]).to_pylist()
    ]
    matrix = price_matrix("AAPL", "1d", adjust="all")
    assert matrix["AAPL"].tolist() == table["close"].to_pylist()
    assert matrix.attrs == {"adjustment": "all"}
    assert price_matrix("AAPL", "1d", adjust="all", as_="arrow").schema.metadata == {b"adjustment": b"all"}


def test_columns_are_chosen_and_the_label_stays(actions: Actions) -> None:
    found = load_candles("AAPL", "1d", columns=["close", "source_provider"], adjust="splits")
    assert list(found.columns) == ["timestamp", "asset_pair", "close", "source_provider", "adjustment"]


def test_pairs_without_actions_are_as_they_were(actions: Actions, lake: DeltaLakeManager) -> None:
    put(lake, MINE, flat([at("2014-06-06"), at("2014-06-09")]))
    both = load_candles(["AAPL", "BTCUSD"], "1d", adjust="all")
    raw = load_candles("BTCUSD", "1d")
    assert both.loc[both["asset_pair"] == "BTCUSD", "close"].tolist() == raw["close"].tolist()


def test_a_lazy_scan_goes_by_what_is_on_record_when_it_is_run(actions: Actions) -> None:
    lazy = scan_candles("AAPL", "1d", adjust="splits")
    actions.remove(SPLIT, "AAPL", at("2020-08-31"))
    assert lazy.collect()["close"][0] == 594.41 / 7


def test_a_dividend_without_a_close_before_it_is_refused_unless_nobody_can_know_it(actions: Actions) -> None:
    actions.add(
        [
            action(DIVIDEND, "AAPL", "2013-02-07", Fraction("2.65"), "before the first bar"),
            action(DIVIDEND, "AAPL", "2021-02-05", Fraction("0.205"), "after the last bar"),
        ]
    )
    assert day_of(load_candles("AAPL", "1d", adjust="all"), "2020-09-01")[3] == 134.18
    actions.add([action(DIVIDEND, "AAPL", "2016-02-04", Fraction("0.52"), "in a gap")])
    with pytest.raises(InputError, match="adjust: the close before the dividend of AAPL on 2016-02-04 is not stored"):
        load_candles("AAPL", "1d", adjust="all")
    assert len(load_candles("AAPL", "1d", "2020-01-01", adjust="all")) == 4, "it changes nothing after it"


def test_raw_prices_are_never_called_adjusted(lake: DeltaLakeManager, tmp_path: Path) -> None:
    put(lake, APPLE, {at(day): values for day, values in REAL.items()})
    with pytest.raises(InputError, match=r"adjust: no split is on record, as there is no .*splits.csv"):
        load_candles("AAPL", "1d", adjust="splits")
    Actions(tmp_path).add([action(SPLIT, "AAPL", "2014-06-09", Fraction(7), "announced")])
    with pytest.raises(InputError, match="adjust: no dividend is on record"):
        load_candles("AAPL", "1d", adjust="all")
    with pytest.raises(InputError, match="adjust: 'yes' is unknown; use splits or all"):
        load_candles("AAPL", "1d", adjust="yes")
