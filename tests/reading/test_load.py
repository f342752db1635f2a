"""Loading tests: what is asked for in words comes back, each bar once, in the frame that was named."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ffe_core import load_candles, scan_candles
from ffe_core.candles import VALUES
from ffe_core.errors import InputError, PackageMissing
from ffe_core.insight.bars import LINEAGE
from ffe_core.insight.resample import COUNTS
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put

BTC, ETH, MINE = (
    Series("BTCUSD", "1h", "coinbase"),
    Series("ETHUSD", "1h", "coinbase"),
    Series("ETHUSD", "1h", "files:mine"),
)
HOURS = list(range(JANUARY, JANUARY + 10 * DAY, HOUR))


@pytest.fixture
def filled(lake: DeltaLakeManager) -> list[int]:
    """Ten days of BTC and ETH, an hour of BTC restated; moments after each commit, epoch microseconds."""
    moments = [put(lake, BTC, flat(HOURS)), put(lake, ETH, flat(HOURS, 10.0))]
    return [*moments, put(lake, BTC, flat([JANUARY + 5 * HOUR], 500.0))]


def test_a_date_is_a_whole_day_and_a_time_is_taken_as_given(filled) -> None:
    days = load_candles("BTCUSD", "1h", "2024-01-02", "2024-01-03")
    assert list(days.columns) == ["timestamp", "asset_pair", *VALUES]
    assert days["timestamp"].tolist() == list(pd.date_range("2024-01-02", periods=48, freq="h", tz="UTC"))
    assert str(days["timestamp"].dtype) == "datetime64[us, UTC]"
    assert set(days["asset_pair"]) == {"BTCUSD"}
    hours = load_candles("BTCUSD", "1h", "2024-01-02T06:00+01:00", datetime(2024, 1, 2, 7, tzinfo=UTC))
    assert [moment.hour for moment in hours["timestamp"]] == [5, 6]


def test_without_ends_it_is_all_that_is_stored(filled) -> None:
    assert len(load_candles("BTCUSD", "1h")) == 240
    assert len(load_candles(["BTCUSD", "ETHUSD"], "1h", date(2024, 1, 10))) == 48


def test_pairs_come_in_the_order_given_each_once_however_they_are_written(filled) -> None:
    found = load_candles(["eth-usd", "BTC/USD", "ETHUSD"], "1h", "2024-01-01", "2024-01-01")
    assert found["asset_pair"].tolist() == ["ETHUSD"] * 24 + ["BTCUSD"] * 24
    assert not found.duplicated(["timestamp", "asset_pair"]).any()


@pytest.mark.both_servers
def test_the_current_view_and_each_moment_before_it(filled) -> None:
    def low(known: object) -> list[float]:
        found = load_candles("BTCUSD", "1h", "2024-01-01", "2024-01-01", as_known_at=known)
        return found.loc[found["timestamp"] == pd.Timestamp("2024-01-01T05:00Z"), "low"].tolist()

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first, last = (epoch + timedelta(microseconds=moment) for moment in (filled[0], filled[2]))
    assert low(None) == low(last) == low(last.isoformat()) == [498.0]
    assert low(first) == low(last - timedelta(microseconds=1)) == [98.0]
    assert low(first - timedelta(microseconds=1)) == []


def test_columns_are_those_asked_for(filled) -> None:
    found = load_candles("BTCUSD", "1h", columns=["close", "timestamp", *LINEAGE], as_="arrow")
    assert found.column_names == ["timestamp", "asset_pair", "close", *LINEAGE]
    assert set(found["source_provider"].to_pylist()) == {"coinbase"}


def test_each_tool_gets_its_frame_with_the_same_bars(filled) -> None:
    asked = (["BTCUSD", "ETHUSD"], "1h", "2024-01-02", "2024-01-04")
    frames = {as_: load_candles(*asked, as_=as_) for as_ in ("pandas", "polars", "arrow")}
    assert isinstance(frames["pandas"], pd.DataFrame)
    assert isinstance(frames["polars"], pl.DataFrame)
    assert isinstance(frames["arrow"], pa.Table)
    rows = frames["arrow"].to_pylist()
    assert frames["polars"].to_dicts() == rows
    assert frames["pandas"].assign(timestamp=[row["timestamp"] for row in rows]).to_dict("records") == rows
    assert frames["polars"].filter(pl.col("asset_pair") == "ETHUSD").height == 72


def test_a_pair_of_several_providers_is_asked_which(lake, filled) -> None:
    put(lake, MINE, flat(HOURS[:5], 11.0))
    with pytest.raises(InputError, match="provider: ETHUSD 1h is stored from coinbase, files:mine; name one of them"):
        load_candles("ETHUSD", "1h")
    assert len(load_candles("ETHUSD", "1h", provider="files:mine")) == 5


@pytest.mark.parametrize("minutes_of", ["coinbase", "oanda"])
def test_a_derived_timeframe_of_several_providers_is_asked_which_too(lake, filled, minutes_of: str) -> None:
    """However few bars are stored of the one table that does not leave it open."""
    put(lake, MINE, flat(HOURS[:5], 11.0))
    with pytest.raises(InputError, match="provider: ETHUSD is stored from coinbase, files:mine; name one of them"):
        load_candles("ETHUSD", "2h")
    put(lake, Series("ETHUSD", "1m", minutes_of), flat(range(JANUARY, JANUARY + HOUR, 60)))
    with pytest.raises(InputError, match=r"provider: ETHUSD is stored from coinbase, files:mine.*; name one of them"):
        load_candles("ETHUSD", "2h")
    assert len(load_candles("ETHUSD", "2h", provider="files:mine")) == 3


def test_one_provider_a_table_is_no_answer_to_which_is_meant(lake, filled) -> None:
    put(lake, Series("BTCUSD", "1m", "files:mine"), flat(range(JANUARY, JANUARY + HOUR, 60)))
    with pytest.raises(InputError, match="provider: BTCUSD is stored from coinbase, files:mine; name one of them"):
        load_candles("BTCUSD", "2h")
    assert len(load_candles("BTCUSD", "2h", provider="coinbase")) == 120


def test_a_name_that_fits_several_is_not_told_as_not_stored(lake, filled) -> None:
    for name in ("BRK-B", "BRK.B"):
        put(lake, Series(name, "1h", "files:mine"), flat(HOURS[:5]))
    with pytest.raises(InputError, match=r"pairs: 'BRKB' fits BRK-B, BRK\.B; name one of them"):
        load_candles("BRKB", "2h", provider="files:mine")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pairs": []}, "pairs: none given"),
        ({"pairs": "DOGEUSD"}, "DOGEUSD 1h from any provider is not stored; there is BTCUSD 1h from coinbase"),
        ({"provider": "oanda"}, "BTCUSD 1h from oanda is not stored; there is BTCUSD 1h from coinbase"),
        ({"timeframe": "1d"}, "BTCUSD 1d from any provider is not stored"),
        ({"timeframe": "7m"}, "timeframe: '7m' is unknown; use one of 1m, 3m, 5m"),
        ({"timeframe": "30m"}, "30m on the grid of UTC is made of 1m or 5m or 15m, and BTCUSD is stored in none"),
        ({"timeframe": "30m", "resample": "1h"}, "timeframe: '30m' is not stored; give one of 1m, 5m"),
        ({"resample": "90s"}, "resample: '90s' is unknown; use one of"),
        ({"resample": "15m"}, "resample: 15m is smaller than 1h"),
        ({"resample": "1d", "zone": "Nowhere"}, "zone: 'Nowhere' is no time zone"),
        ({"resample": "1d", "zone": "Asia/Kolkata"}, "cuts bars of BTCUSD 1h"),
        ({"end": "2023-01-01", "start": "2023-02-01"}, "end: 2023-01-01 is not after start 2023-02-01"),
        ({"start": "2024-01-01 12:00"}, "has no time zone"),
        ({"as_known_at": "2024-01-01"}, "as_known_at: '2024-01-01' is a day; give a time with a zone"),
        ({"columns": ["vwap"]}, "columns: vwap unknown; a bar has timestamp, open"),
        ({"columns": "close"}, r"columns: 'close' is one text; give a list, for example \['close'\]"),
        ({"columns": ["is_mock"], "resample": "1d"}, "columns: is_mock cannot be had of resampled bars"),
        ({"as_": "numpy"}, "as_: 'numpy' is unknown; use one of pandas, polars, arrow"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(filled, given, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_candles(**{"pairs": "BTCUSD", "timeframe": "1h", **given})


def test_an_empty_lake_says_what_to_do(lake) -> None:
    with pytest.raises(InputError, match="is not stored, and nothing else is; backfill a series first"):
        load_candles("BTCUSD", "1h")


def test_a_package_that_is_not_there_is_told_with_how_to_get_it(filled, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        PackageMissing, match=r"polars is not installed; install it with: pip install 'ffe-console\[read\]'"
    ):
        load_candles("BTCUSD", "1h", as_="polars")
    assert len(load_candles("BTCUSD", "1h")) == 240


def test_another_lake_than_that_of_the_settings_is_read_where_it_is_named(filled, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "other"))
    with pytest.raises(InputError, match="nothing else is"):
        load_candles("BTCUSD", "1h")
    for named in (
        {"lake": tmp_path / "lake"},
        {"lake": DeltaLakeManager(tmp_path / "lake")},
        {"config": {"data_dir": str(tmp_path)}},
    ):
        assert len(load_candles("BTCUSD", "1h", **named)) == 240


def test_reading_leaves_nothing_behind(filled, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    load_candles("BTCUSD", "1h", resample="1d")
    assert sorted(tmp_path.rglob("*")) == before


def test_bars_that_were_committed_since_are_seen(lake, filled) -> None:
    assert len(load_candles("BTCUSD", "1h")) == 240
    put(lake, BTC, flat([JANUARY + 10 * DAY]))
    assert len(load_candles("BTCUSD", "1h")) == 241


# -- resampled


def test_resampled_bars_are_those_that_open_in_the_range_each_whole(filled) -> None:
    found = load_candles("BTCUSD", "1h", "2024-01-02T03:00Z", "2024-01-04T01:00Z", resample="1d")
    assert list(found.columns) == ["timestamp", "asset_pair", *VALUES, *COUNTS]
    assert [day.day for day in found["timestamp"]] == [3, 4]
    assert found["sources"].tolist() == [24, 24]
    assert found["is_complete"].all()
    hours = load_candles("BTCUSD", "1h", "2024-01-03", "2024-01-03")
    assert found["high"].iloc[0] == hours["high"].max()
    assert found["close"].iloc[0] == hours["close"].iloc[-1]


def test_without_a_start_the_first_larger_bar_is_there_though_it_began_before(lake) -> None:
    put(lake, BTC, flat(range(JANUARY - 3 * DAY, JANUARY + 2 * DAY, HOUR)))
    found = load_candles("BTCUSD", "1w")
    assert found["sources"].tolist() == [72, 48]
    assert found["is_complete"].tolist() == [False, False]


def test_a_range_within_one_larger_bar_has_none(filled) -> None:
    found = load_candles("BTCUSD", "1h", "2024-01-02T03:00Z", "2024-01-02T09:00Z", resample="1d")
    assert len(found) == 0
    assert list(found.columns) == ["timestamp", "asset_pair", *VALUES, *COUNTS]


def test_days_of_a_zone_are_asked_for_as_such(filled) -> None:
    found = load_candles("BTCUSD", "1h", "2024-01-02", "2024-01-03", resample="1d", zone="Asia/Tokyo", as_="arrow")
    assert [moment.isoformat() for moment in found["timestamp"].to_pylist()] == [
        "2024-01-01T15:00:00+00:00",
        "2024-01-02T15:00:00+00:00",
    ]
    assert found["sources"].to_pylist() == [24, 24]


def test_a_derived_timeframe_is_made_of_the_stored_one_with_most_of_the_range(lake, filled) -> None:
    minutes = Series("BTCUSD", "15m", "coinbase")
    put(lake, minutes, flat(range(JANUARY - 20 * DAY, JANUARY + DAY, 900)))
    new = load_candles("BTCUSD", "2h", "2024-01-05", "2024-01-06")
    assert new["sources"].tolist() == [2] * 24
    old = load_candles("BTCUSD", "2h", "2023-12-15", "2023-12-16")
    assert old["sources"].tolist() == [8] * 24
    assert load_candles("BTCUSD", "30m", "2024-01-01", "2024-01-01")["sources"].tolist() == [2] * 48
    assert load_candles("BTCUSD", "1h", "2024-01-05", "2024-01-05", zone="Asia/Kolkata")["timestamp"].empty


def test_a_resampled_bar_goes_by_what_was_known_at_the_moment(filled) -> None:
    def low(known_at: int) -> float:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=known_at)
        return float(
            load_candles("BTCUSD", "1d", "2024-01-01", "2024-01-01", as_known_at=moment, zone="Etc/GMT+0")["high"].iloc[
                0
            ]
        )

    assert (low(filled[0]), low(filled[2])) == (102.0, 502.0)


def test_what_is_due_goes_by_what_this_data_directory_has_learned(lake, tmp_path) -> None:
    """A pair that was listed at noon lacks nothing before it."""
    from ffe_core.settings import Settings
    from ffe_core.storage.state.instruments import InstrumentStore
    from ffe_core.storage.state.opening import open_state

    put(lake, BTC, flat(HOURS[12:48]))
    first = load_candles("BTCUSD", "1h", "2024-01-01", "2024-01-02", resample="1d")
    assert first["is_complete"].tolist() == [False, True]
    database = open_state(Settings.load())
    InstrumentStore(database).learn(BTC, first_bar=JANUARY + 12 * HOUR)
    database.close()
    then = load_candles("BTCUSD", "1h", "2024-01-01", "2024-01-02", resample="1d")
    assert then["expected"].tolist() == [12, 24]
    assert then["is_complete"].tolist() == [True, True]
    elsewhere = load_candles("BTCUSD", "1h", "2024-01-01", "2024-01-02", resample="1d", lake=tmp_path / "lake")
    assert elsewhere["expected"].tolist() == [24, 24]


def test_an_incomplete_bar_says_why(lake, tmp_path) -> None:
    """Of six hours each: one dead-lettered, one marked, one never asked for, one known later, and a whole one."""
    from ffe_core.settings import Settings
    from ffe_core.storage.dead_letters.queue import DeadLetterQueue
    from ffe_core.storage.state.acknowledged_gaps import AcknowledgedGaps
    from ffe_core.storage.state.opening import open_state

    dead, marked, lost, late = (HOURS[place] for place in (1, 7, 13, 19))
    known = put(lake, BTC, flat([at for at in HOURS[:46] if at not in (dead, marked, lost, late)]))
    put(lake, BTC, flat([late]))
    context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
    broken = {"date": datetime.fromtimestamp(dead, UTC).isoformat(), "open": 1, "high": 0, "low": 1, "close": 1}
    DeadLetterQueue(tmp_path / "dlq").save([broken], "test", context)
    database = open_state(Settings.load())
    AcknowledgedGaps(database).add(BTC, [(marked, marked + HOUR, 1)], "venue outage", "", "ann")
    database.close()
    asked = ("BTCUSD", "6h", "2024-01-01", "2024-01-02")
    found = load_candles(*asked, columns=["close", "missing"])
    assert list(found.columns) == ["timestamp", "asset_pair", "close", *COUNTS, "missing"]
    whys = ["1 dead_lettered", "1 marked", "1 unexplained", None, None, None, None, "2 not_ingested"]
    assert found["missing"].astype(object).where(found["missing"].notna(), None).tolist() == whys
    assert found["is_complete"].tolist() == [why is None for why in whys]
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=known)
    then = load_candles(*asked, as_known_at=moment, columns=["missing"], as_="arrow")["missing"].to_pylist()
    assert then == [*whys[:3], "1 later", *whys[4:]]
    lazy = scan_candles(*asked, columns=["missing"]).filter(pl.col("missing").is_not_null()).collect()
    assert lazy["missing"].to_list() == [why for why in whys if why]
    elsewhere = load_candles(*asked, columns=["missing"], lake=tmp_path / "lake", as_="arrow")["missing"].to_pylist()
    assert elsewhere[:2] == ["1 unexplained", "1 unexplained"]


def test_what_has_not_ended_is_still_to_come(lake) -> None:
    from ffe_core import times

    today = times.now() // DAY * DAY
    put(lake, BTC, flat([today]))
    [row] = load_candles("BTCUSD", "1d", columns=["missing"], as_="arrow", zone="Etc/UTC").to_pylist()
    assert row["is_complete"] is False
    assert "to_come" in row["missing"] or times.now() // DAY * DAY != today


def test_a_state_on_a_server_is_asked_as_the_file_is(lake, monkeypatch) -> None:
    from ffe_core.errors import StorageError
    from ffe_core.storage.state import opening

    asked: list[str] = []

    def unreachable(settings: object) -> None:
        asked.append(settings.database.url)  # type: ignore[attr-defined]
        raise StorageError("not there")

    monkeypatch.setenv("FFE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setattr(opening, "open_state", unreachable)
    put(lake, BTC, flat(HOURS[:24]))
    assert load_candles("BTCUSD", "1d", zone="Etc/UTC")["is_complete"].tolist() == [True]
    assert len(asked) == 1
