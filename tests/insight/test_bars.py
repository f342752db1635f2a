"""Does a range read back as what was stored last, or as what was known then, whatever was done to the files since?"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.candles import VALUES
from ffe_core.errors import InputError, StorageError
from ffe_core.insight.bars import LINEAGE, bars, nearest, pieces
from ffe_core.insight.overlay import overlay
from ffe_core.insight.restatements import restatements
from ffe_core.insight.stored import require_stored, stored_series
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, DamagedTable
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put
from tests.lake_files import StoredPath, lake_path
from tests.pace import examples

BTC = Series("BTCUSD", "1h", "coinbase")
MINUTES = Series("BTCUSD", "1m", "coinbase")
FEBRUARY, MARCH, APRIL = JANUARY + 31 * DAY, JANUARY + 60 * DAY, JANUARY + 91 * DAY


def compact(lake: DeltaLakeManager, series: Series) -> None:
    """Rewrite the small files, and delete them from the disk for good."""
    table = lake.open(series.table)
    assert table is not None
    table.optimize.compact()
    gone = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert gone


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // MICROS, UTC).replace(microsecond=micros % MICROS)


def test_each_moment_is_reproduced_after_two_restatements_compaction_and_vacuum(lake):
    first = flat(range(JANUARY, JANUARY + 3 * DAY, HOUR))
    second = first | flat([JANUARY + 5 * HOUR, JANUARY + 50 * HOUR], 110.0)
    third = second | flat([JANUARY + 5 * HOUR, JANUARY + 6 * HOUR], 120.0) | flat([JANUARY + 72 * HOUR])
    moments = [put(lake, BTC, known, name) for known, name in ((first, "a"), (second, "b"), (third, "c"))]
    compact(lake, BTC)
    tables = [bars(lake, BTC, JANUARY, FEBRUARY, moment(at)) for at in moments]
    for table, known in zip(tables, (first, second, third), strict=True):
        assert as_dict(table) == known
    assert as_dict(bars(lake, BTC, JANUARY, FEBRUARY)) == third
    assert bars(lake, BTC, JANUARY, FEBRUARY, moment(moments[0] - 1)).num_rows == 0
    changed = overlay(tables[0], tables[1]).to_pylist()
    assert [row["timestamp"] for row in changed if row["is_different"]] == [
        datetime(2024, 1, 1, 5, tzinfo=UTC),
        datetime(2024, 1, 3, 2, tzinfo=UTC),
    ]
    assert restatements(lake, BTC, moment(moments[2]))["timestamp"].to_pylist() == [
        datetime(2024, 1, 1, 5, tzinfo=UTC),
        datetime(2024, 1, 1, 6, tzinfo=UTC),
    ]


_SLOTS = st.integers(0, 12)
_BATCHES = st.lists(st.dictionaries(_SLOTS, st.integers(1, 3), min_size=1, max_size=8), min_size=1, max_size=5)


@settings(max_examples=examples(15))
@given(_BATCHES, st.integers(0, 5))
def test_every_moment_of_any_history_reads_back(tmp_path_factory, batches, compact_after):
    """Bars a quarter apart, so that batches touch several partitions in any order."""
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    known: dict[int, tuple[float, ...]] = {}
    history = []
    for number, batch in enumerate(batches):
        batch = {JANUARY + slot * 92 * DAY: (price, price + 1, price - 1, price, 1.0) for slot, price in batch.items()}
        known |= batch
        history.append((put(lake, BTC, batch, str(number)), dict(known)))
        if number == compact_after:
            lake.open(BTC.table).optimize.compact()
    latest = 0
    for at, state in history:
        latest = max(at, latest)
        assert as_dict(bars(lake, BTC, 0, 2**31, moment(latest))) == dict(sorted(state.items()))
    assert as_dict(bars(lake, BTC, 0, 2**31)) == dict(sorted(known.items()))


def test_a_range_is_half_open_and_crosses_partitions(lake):
    open_times = range(JANUARY - DAY, JANUARY + DAY, HOUR)
    put(lake, BTC, flat(open_times))
    found = as_dict(bars(lake, BTC, JANUARY - 2 * HOUR, JANUARY + 2 * HOUR))
    assert list(found) == [JANUARY + hour * HOUR for hour in (-2, -1, 0, 1)]


def test_seconds_count_as_a_moment_too(lake):
    stored = put(lake, BTC, flat([JANUARY]))
    assert bars(lake, BTC, JANUARY, FEBRUARY, stored // MICROS + 1).num_rows == 1
    assert bars(lake, BTC, JANUARY, FEBRUARY, stored // MICROS).num_rows == (stored % MICROS == 0)


def test_only_the_columns_asked_for_come_back(lake):
    put(lake, BTC, flat([JANUARY]), "run-1")
    assert bars(lake, BTC, JANUARY, FEBRUARY, columns=["close"]).column_names == ["timestamp", "close"]
    row = bars(lake, BTC, JANUARY, FEBRUARY, columns=[*VALUES, *LINEAGE]).to_pylist()[0]
    assert row["_ingestion_id"] == "run-1"
    assert row["source_provider"] == "coinbase"
    assert row["_dead_letter_id"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["close", "vwap"]}, r"columns: vwap unknown; a bar has timestamp, open"),
        ({"columns": ["partition_date"]}, r"columns: partition_date unknown"),
        ({"as_known_at": datetime(2024, 1, 1)}, r"as_known_at: 2024-01-01 00:00:00 has no time zone"),  # noqa: DTZ001
    ],
)
def test_bad_arguments_are_named(lake, arguments, message):
    put(lake, BTC, flat([JANUARY]))
    with pytest.raises(InputError, match=message):
        bars(lake, BTC, JANUARY, FEBRUARY, **arguments)


def test_a_reversed_range_is_refused(lake):
    put(lake, BTC, flat([JANUARY]))
    with pytest.raises(InputError, match="end: 2024-01-01T00:00:00"):
        bars(lake, BTC, FEBRUARY, JANUARY)


def test_an_unknown_series_lists_what_there_is_the_same_pair_first(lake):
    with pytest.raises(InputError, match="nothing else is; backfill a series first"):
        bars(lake, BTC, JANUARY, FEBRUARY)
    put(lake, Series("AAPL", "1h", "oanda"), flat([JANUARY]))
    put(lake, Series("BTCUSD", "1h", "oanda"), flat([JANUARY]))
    with pytest.raises(InputError) as raised:
        bars(lake, BTC, JANUARY, FEBRUARY)
    assert str(raised.value) == (
        "series: BTCUSD 1h from coinbase is not stored; there is BTCUSD 1h from oanda, AAPL 1h from oanda"
    )


def test_the_nearest_bars_of_an_empty_range(lake):
    put(lake, BTC, flat([JANUARY, JANUARY + 400 * DAY]))
    snapshot = require_stored(lake, BTC)
    assert nearest(snapshot, BTC, JANUARY + DAY) == (JANUARY, JANUARY + 400 * DAY)
    assert nearest(snapshot, BTC, JANUARY) == (None, JANUARY)
    assert nearest(snapshot, BTC, JANUARY + 401 * DAY) == (JANUARY + 400 * DAY, None)
    assert nearest(snapshot, BTC, JANUARY + DAY, as_known_at=1) == (None, None)


def test_a_long_range_comes_in_pieces_that_join(lake, monkeypatch):
    monkeypatch.setattr("ffe_core.insight.bars._PIECE_ROWS", 3)
    open_times = [JANUARY + month * 31 * DAY for month in range(12)]
    put(lake, MINUTES, flat(open_times))
    found = list(pieces(require_stored(lake, MINUTES), MINUTES, JANUARY - DAY, JANUARY + 400 * DAY))
    assert len(found) == 4
    assert [piece.start for piece in found[1:]] == [piece.end for piece in found[:-1]]
    assert (found[0].start, found[-1].end) == (JANUARY - DAY, JANUARY + 400 * DAY)
    assert [at for piece in found for at in as_dict(piece.bars)] == open_times


# --- several providers of one pair ---


def test_providers_in_one_file_are_read_apart_and_listed(lake):
    oanda = Series("BTCUSD", "1h", "oanda")
    simulated = Series("BTCUSD", "1h", "simulated")
    put(lake, BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    put(lake, oanda, flat(range(JANUARY, JANUARY + DAY, HOUR), 200.0))
    put(lake, simulated, flat(range(JANUARY, JANUARY + 2 * DAY, HOUR), 300.0), is_mock=True)
    assert [summary.rows for summary in stored_series(lake)] == [24, 24, 48]
    assert not any(summary.is_estimate for summary in stored_series(lake))
    compact(lake, BTC)
    for series, price in ((BTC, 100.0), (oanda, 200.0), (simulated, 300.0)):
        found = bars(lake, series, JANUARY, FEBRUARY)
        assert set(found["open"].to_pylist()) == {price}
    summaries = stored_series(lake)
    assert [summary.series for summary in summaries] == [BTC, oanda, simulated]
    assert [summary.last for summary in summaries] == [JANUARY + 23 * HOUR, JANUARY + 23 * HOUR, JANUARY + 47 * HOUR]
    assert all(summary.is_estimate and summary.rows == 32 for summary in summaries)
    with pytest.raises(InputError, match="is not stored"):
        bars(lake, Series("BTCUSD", "1h", "dukascopy"), JANUARY, FEBRUARY)


def test_series_of_all_tables_are_listed_by_pair(lake):
    assert stored_series(lake) == []
    daily = Series("AAPL", "1d", "oanda")
    put(lake, BTC, flat([JANUARY, JANUARY + 400 * DAY]))
    put(lake, daily, flat([JANUARY]))
    first, second = stored_series(lake)
    assert (first.series, first.rows, first.files) == (daily, 1, 1)
    assert (second.series, second.rows, second.files) == (BTC, 2, 2)
    assert (second.first, second.last) == (JANUARY, JANUARY + 400 * DAY)


# --- the snapshot ---


def test_a_snapshot_is_kept_until_somebody_commits(lake):
    put(lake, BTC, flat([JANUARY]))
    kept = lake.snapshot(BTC.table)
    assert lake.snapshot(BTC.table) is kept
    assert kept.marks(BTC) == Watermarks(JANUARY, JANUARY)
    put(DeltaLakeManager(lake.storage_path), BTC, flat([JANUARY + HOUR]))
    assert lake.snapshot(BTC.table) is not kept
    assert len(as_dict(bars(lake, BTC, JANUARY, FEBRUARY))) == 2
    assert lake.snapshot(BTC.table).marks(BTC) == Watermarks(JANUARY + HOUR, JANUARY)


@pytest.mark.of_a_lake_folder("nobody deletes the folder of a table in a store")
def test_a_table_made_anew_is_not_taken_for_the_old_one(lake):
    put(lake, BTC, flat([JANUARY]))
    put(lake, BTC, flat([JANUARY + HOUR]))
    assert bars(lake, BTC, JANUARY, FEBRUARY).num_rows == 2
    shutil.rmtree(lake.table_uri(BTC.table))
    assert lake.snapshot(BTC.table) is None
    put(lake, BTC, flat([JANUARY + 5 * HOUR]))
    put(lake, BTC, flat([JANUARY + 6 * HOUR]))
    assert list(as_dict(bars(lake, BTC, JANUARY, FEBRUARY))) == [JANUARY + 5 * HOUR, JANUARY + 6 * HOUR]


def test_a_log_that_cannot_be_read_is_a_storage_error(lake):
    put(lake, BTC, flat([JANUARY]))
    for commit in (lake_path(lake, BTC.table) / "_delta_log").glob("*.json"):
        commit.write_text("{")
    with pytest.raises(StorageError, match="raw_market_data_1h cannot be read"):
        bars(lake, BTC, JANUARY, FEBRUARY)


# --- damage from outside ---


def file_of(lake: DeltaLakeManager, series: Series, period: str) -> Path | StoredPath:
    folder = lake_path(lake, series.table) / f"partition_date={period}" / f"partition_asset_pair={series.asset_pair}"
    (found,) = folder.glob("*.parquet")
    return found


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:200])])
def test_a_damaged_file_is_named_and_the_rest_still_reads(lake, damage):
    months = {start: flat(range(start, start + DAY, 60)) for start in (JANUARY, FEBRUARY, MARCH)}
    for known in months.values():
        put(lake, MINUTES, known)
    path = file_of(lake, MINUTES, "2024-02-01")
    damage(path)
    with pytest.raises(DamagedTable) as raised:
        bars(lake, MINUTES, JANUARY, APRIL)
    assert raised.value.files == (path.relative_to(lake_path(lake, MINUTES.table)).as_posix(),)
    assert raised.value.readable == ((JANUARY, JANUARY + DAY), (MARCH, MARCH + DAY))
    assert path.name in str(raised.value)
    assert "2024-02-01T00:00:00+00:00 to 2024-02-01T23:59:00+00:00" in str(raised.value)
    for start, end in raised.value.readable:
        assert as_dict(bars(lake, MINUTES, start, end)) == months[start]
    assert isinstance(raised.value, StorageError)


def test_when_every_file_is_gone_nothing_is_called_readable(lake):
    put(lake, BTC, flat([JANUARY]))
    file_of(lake, BTC, "2024-01-01").unlink()
    with pytest.raises(DamagedTable, match="Still readable: nothing") as raised:
        bars(lake, BTC, JANUARY, FEBRUARY)
    assert raised.value.readable == ()


def test_a_lost_restatement_takes_its_own_time_out_of_what_is_readable(lake):
    put(lake, BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    before = set(lake_path(lake, BTC.table).rglob("*.parquet"))
    put(lake, BTC, flat(range(JANUARY + 5 * HOUR, JANUARY + 7 * HOUR, HOUR), 200.0))
    (lost,) = set(lake_path(lake, BTC.table).rglob("*.parquet")) - before
    lost.unlink()
    with pytest.raises(DamagedTable) as raised:
        bars(lake, BTC, JANUARY, FEBRUARY)
    assert raised.value.readable == ((JANUARY, JANUARY + 5 * HOUR), (JANUARY + 7 * HOUR, JANUARY + DAY))
    assert bars(lake, BTC, JANUARY, JANUARY + 5 * HOUR).num_rows == 5
