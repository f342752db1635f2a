"""Is every changed bar found with both its values, however its files lie, and none that did not change?"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.insight.bars import bars
from ffe_core.insight.overlay import overlay
from ffe_core.insight.restatements import SCHEMA, restatements
from ffe_core.insight.versions import versions
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, Snapshot
from tests.insight.lakes import DAY, HOUR, JANUARY, candles, flat, put
from tests.pace import examples

BTC = Series("BTCUSD", "1h", "coinbase")
OANDA = Series("BTCUSD", "1h", "oanda")


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // MICROS, UTC).replace(microsecond=micros % MICROS)


# --- versions ---


def test_all_versions_of_a_bar_in_order_with_where_they_come_from(lake):
    put(lake, BTC, {JANUARY: (100, 110, 90, 100, 1), JANUARY + HOUR: (1, 1, 1, 1, 1)}, "a")
    put(lake, BTC, {JANUARY: (100, 110, 90, 101, 1)}, "b")
    put(lake, OANDA, {JANUARY: (100, 110, 90, 105, 1)}, "c")
    found = versions(lake, BTC, JANUARY).to_pylist()
    assert [row["version"] for row in found] == [1, 2]
    assert [row["close"] for row in found] == [100, 101]
    assert [row["_ingestion_id"] for row in found] == ["a", "b"]
    assert found[0]["change_bps"] is None
    assert found[1]["change_bps"] == pytest.approx(100)
    assert found[0]["_extracted_at"] < found[1]["_extracted_at"]


def test_a_bar_that_is_not_there_has_no_versions(lake):
    put(lake, BTC, flat([JANUARY]))
    assert versions(lake, BTC, JANUARY + HOUR).num_rows == 0
    with pytest.raises(InputError, match="is not stored"):
        versions(lake, OANDA, JANUARY)


# --- restatements ---


def test_a_restatement_has_both_values_the_change_and_the_ingestion(lake):
    put(lake, BTC, {JANUARY: (100, 110, 90, 100, 1), JANUARY + HOUR: (100, 110, 90, 100, 1)}, "a")
    then = put(lake, BTC, {JANUARY: (100, 110, 81, 101, 1)}, "b")
    put(lake, BTC, {JANUARY + HOUR: (100, 110, 90, 100, 2)}, "c")
    found = restatements(lake, BTC)
    assert found.schema == SCHEMA
    volume, price = found.to_pylist()
    assert (price["asset_pair"], price["timeframe"], price["source_provider"]) == ("BTCUSD", "1h", "coinbase")
    assert (price["close_old"], price["close_new"]) == (100, 101)
    assert price["close_change_bps"] == pytest.approx(100)
    assert price["largest_change_bps"] == pytest.approx(-1000)
    assert (price["previous_ingestion_id"], price["ingestion_id"]) == ("a", "b")
    assert price["restated_at"] == moment(then)
    assert (volume["close_change_bps"], volume["largest_change_bps"]) == (0, 0)
    assert (volume["volume_old"], volume["volume_new"]) == (1, 2)


_BATCH = st.tuples(st.sampled_from([BTC, OANDA]), st.dictionaries(st.integers(0, 8), st.integers(1, 3), min_size=1))


@settings(max_examples=examples(15))
@given(st.lists(_BATCH, min_size=1, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_every_restatement_of_any_history_is_found_and_no_other(tmp_path_factory, batches, compacted, since):
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    known: dict[tuple[Series, int], float] = {}
    wanted = []
    moments = []
    for number, (series, batch) in enumerate(batches):
        bars_ = {JANUARY + slot * 100 * DAY: (float(price),) * 5 for slot, price in batch.items()}
        moments.append(put(lake, series, bars_, str(number)))
        for at, (price, *_) in bars_.items():
            old = known.get((series, at), price)
            if old != price and number >= since:
                wanted.append((series.provider, at, old, price, str(number)))
            known[series, at] = price
        if number == compacted:
            lake.open(BTC.table).optimize.compact()
    after = moments[since - 1] + 1 if 0 < since <= len(moments) else moments[-1] + 1 if since else 0
    found = [
        (row["source_provider"], row["timestamp"].timestamp(), row["close_old"], row["close_new"], row["ingestion_id"])
        for row in restatements(lake, since=moment(after)).to_pylist()
    ]
    assert sorted(found) == sorted(wanted)


def test_two_versions_within_a_millisecond_are_still_found_after_compaction(lake, monkeypatch):
    monkeypatch.setattr("ffe_core.ingestion.enrich.time.time_ns", lambda: JANUARY * 10**9)
    put(lake, BTC, {JANUARY: (1, 1, 1, 1, 1)}, "a")
    put(lake, BTC, {JANUARY: (2, 2, 2, 2, 1)}, "b")
    lake.open(BTC.table).optimize.compact()
    assert restatements(lake, BTC)["ingestion_id"].to_pylist() == ["b"]


def test_files_that_cannot_hold_a_second_version_are_not_read(lake, monkeypatch):
    for day in range(5):
        put(lake, BTC, flat(range(JANUARY + day * DAY, JANUARY + (day + 1) * DAY, HOUR)), str(day))
    monkeypatch.setattr(Snapshot, "rows", lambda *_: pytest.fail("a file was read"))
    assert restatements(lake).num_rows == 0


def test_a_lake_without_rows_has_no_restatements(lake):
    assert restatements(lake).num_rows == 0
    with pytest.raises(InputError, match="is not stored"):
        restatements(lake, BTC)


# --- overlay ---

_BARS = st.dictionaries(st.integers(0, 20), st.integers(1, 4), max_size=15)


def _table(prices):
    return candles({JANUARY + slot * HOUR: (price, price, price, price, 1) for slot, price in prices.items()})


@given(_BARS, _BARS)
def test_an_overlay_has_every_bar_of_either_side_once(a, b):
    found = {int(row.pop("timestamp").timestamp()): row for row in overlay(_table(a), _table(b)).to_pylist()}
    assert list(found) == [JANUARY + slot * HOUR for slot in sorted({*a, *b})]
    for slot in {*a, *b}:
        left, right = a.get(slot), b.get(slot)
        row = found[JANUARY + slot * HOUR]
        assert (row["close_a"], row["close_b"]) == (left, right)
        assert row["is_different"] == (left != right)
        if left is None or right is None:
            assert row["difference_bps"] is None
        else:
            np.testing.assert_allclose(row["difference_bps"], (right - left) / left * 10_000, atol=1e-9)


def test_a_different_volume_is_a_difference_too():
    one, other = candles({JANUARY: (1, 1, 1, 1, 1)}), candles({JANUARY: (1, 1, 1, 1, 2)})
    assert overlay(one, other)["is_different"].to_pylist() == [True]
    assert overlay(one, one)["is_different"].to_pylist() == [False]


def test_two_providers_side_by_side(lake):
    put(lake, BTC, {JANUARY: (100, 100, 100, 100, 1)})
    put(lake, OANDA, {JANUARY: (100, 101, 100, 100.5, 1)})
    both = overlay(*(bars(lake, series, JANUARY, JANUARY + DAY) for series in (BTC, OANDA)))
    assert both["difference_bps"].to_pylist() == [pytest.approx(50)]
