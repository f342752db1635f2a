"""Does a chart get everything it draws: bars that fit, what is missing and why, closures, restatements, provenance?"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ffe_core.calendars import AlwaysOpen, ExchangeHours, FxWeek
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import aggregate, bar_size
from ffe_core.insight.bars import LINEAGE, bars
from ffe_core.insight.chart import bars_in, chart_view
from ffe_core.insight.gaps import Gap
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.snapshot import MICROS, epochs
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put

BTC = Series("BTCUSD", "1h", "coinbase")
MINUTES = Series("BTCUSD", "1m", "simulated")
EUR = Series("EURUSD", "1h", "oanda")
CRYPTO = AlwaysOpen()
LATER = JANUARY + 400 * DAY


def view(lake, queue, series, start, end, calendar=CRYPTO, **more):
    return chart_view(lake, queue, calendar, series, start, end, until=LATER, **more)


def test_a_range_that_fits_is_shown_bar_by_bar_with_lineage(lake, queue):
    known = flat(range(JANUARY, JANUARY + DAY, HOUR))
    put(lake, BTC, known, "run-7")
    found = view(lake, queue, BTC, JANUARY, JANUARY + DAY)
    assert found.size == bar_size("1h")
    assert as_dict(found.bars) == known
    assert found.bars.column_names == ["timestamp", *VALUES, "sources", "expected", "restated", *LINEAGE]
    assert set(found.bars["_ingestion_id"].to_pylist()) == {"run-7"}
    assert found.bars["sources"].to_pylist() == found.bars["expected"].to_pylist() == [1] * 24
    assert (found.gaps, found.closures, found.nearest) == ([], [], None)
    assert found.counts["expected"] == found.counts["stored"] == 24
    assert (found.volume_unit, found.is_mock) == ("base units", False)


def test_simulated_bars_say_so(lake, queue):
    put(lake, MINUTES, flat([JANUARY]), is_mock=True)
    assert view(lake, queue, MINUTES, JANUARY, JANUARY + DAY).is_mock
    assert view(lake, queue, MINUTES, JANUARY, JANUARY + 300 * DAY).is_mock


def test_a_long_range_is_aggregated_in_whole_bars_and_never_too_many(lake, queue):
    open_times = range(JANUARY, JANUARY + 40 * DAY, 60)
    put(lake, MINUTES, flat(open_times))
    start, end = JANUARY + 30 * 60, JANUARY + 39 * DAY + 30 * 60
    found = view(lake, queue, MINUTES, start, end, most=1000)
    assert found.size == bar_size("1h")
    assert (found.start, found.end) == (JANUARY, JANUARY + 39 * DAY + HOUR)
    whole = aggregate(bars(lake, MINUTES, found.start, found.end), 60, found.size)
    assert as_dict(found.bars) == as_dict(whole)
    assert found.bars["sources"].to_pylist() == [60] * (39 * 24 + 1)
    assert found.bars["expected"].to_pylist() == found.bars["sources"].to_pylist()
    assert "_ingestion_id" not in found.bars.column_names


@pytest.mark.parametrize("size", ["5m", "4h", "1w", "1M"])
def test_pieces_do_not_show(lake, queue, size, monkeypatch):
    open_times = [at for at in range(JANUARY - 3 * DAY, JANUARY + 70 * DAY, 60) if at % 13]
    put(lake, MINUTES, flat(open_times))
    whole = view(lake, queue, MINUTES, JANUARY - 2 * DAY, JANUARY + 65 * DAY, size=size)
    monkeypatch.setattr("ffe_core.insight.bars._PIECE_ROWS", 1)
    found = view(lake, queue, MINUTES, JANUARY - 2 * DAY, JANUARY + 65 * DAY, size=size)
    for name in ("timestamp", "open", "high", "low", "close", "sources", "expected"):
        assert found.bars[name].to_pylist() == whole.bars[name].to_pylist()
    np.testing.assert_allclose(found.bars["volume"], whole.bars["volume"], rtol=1e-12)
    assert (found.counts, found.gaps) == (whole.counts, whole.gaps)


def test_a_bar_says_how_many_of_its_bars_are_missing(lake, queue):
    put(lake, MINUTES, flat([at for at in range(JANUARY, JANUARY + 2 * HOUR, 60) if at % 600]))
    found = view(lake, queue, MINUTES, JANUARY, JANUARY + 2 * HOUR, size="1h")
    assert found.bars["sources"].to_pylist() == [54, 54]
    assert found.bars["expected"].to_pylist() == [60, 60]


def test_a_bar_that_is_not_over_expects_only_what_is_due(lake, queue):
    put(lake, MINUTES, flat(range(JANUARY, JANUARY + 30 * 60, 60)))
    found = chart_view(lake, queue, CRYPTO, MINUTES, JANUARY, JANUARY + HOUR, size="1h", until=JANUARY + 30 * 60)
    assert found.bars["expected"].to_pylist() == [30]
    assert found.gaps == []


def test_every_gap_has_its_kind(lake, queue):
    hour = [JANUARY + place * HOUR for place in range(40)]
    put(lake, BTC, flat([at for place, at in enumerate(hour) if place not in (3, 4, 7, 10, 11) and place < 30]))
    context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
    dead = [{"date": datetime.fromtimestamp(at, UTC).isoformat(), "open": "x"} for at in (hour[7], hour[8])]
    queue.save(dead, "validation_failed", context)
    found = view(lake, queue, BTC, JANUARY - 2 * HOUR, hour[35], marked=[(hour[9], hour[12])])
    assert found.gaps == [
        Gap(JANUARY - 2 * HOUR, JANUARY, 2, "not_ingested"),
        Gap(hour[3], hour[5], 2, "unexplained"),
        Gap(hour[7], hour[8], 1, "dead_lettered"),
        Gap(hour[10], hour[12], 2, "marked"),
        Gap(hour[30], hour[35], 5, "not_ingested"),
    ]
    assert found.dead_letters.tolist() == [hour[7]]
    assert found.counts == {
        "expected": 37,
        "stored": 25,
        "extra": 0,
        "dead_lettered": 1,
        "marked": 2,
        "later": 0,
        "not_ingested": 7,
        "unexplained": 2,
    }


def test_rows_without_marks_are_covered_from_first_to_last(lake, queue):
    put(lake, BTC, flat([JANUARY, JANUARY + 3 * HOUR]))
    rows = bars(lake, BTC, JANUARY, JANUARY + DAY, columns=[*VALUES, "_extracted_at", "_ingestion_id", "is_mock"])
    frame = rows.to_pandas().assign(
        asset_pair="ETHUSD", source_provider="coinbase", partition_date=datetime(2024, 1, 1, tzinfo=UTC).date()
    )
    frame["partition_asset_pair"] = "ETHUSD"
    lake.create_or_update_table(frame, BTC.table, ["partition_date", "partition_asset_pair"])
    ether = Series("ETHUSD", "1h", "coinbase")
    assert lake.marks(ether) == Watermarks()
    assert view(lake, queue, ether, JANUARY - HOUR, JANUARY + 5 * HOUR).gaps == [
        Gap(JANUARY - HOUR, JANUARY, 1, "not_ingested"),
        Gap(JANUARY + HOUR, JANUARY + 3 * HOUR, 2, "unexplained"),
        Gap(JANUARY + 4 * HOUR, JANUARY + 5 * HOUR, 1, "not_ingested"),
    ]


def test_a_weekend_is_cut_out_but_never_a_bar(lake, queue):
    calendar = FxWeek()
    open_times = calendar.expected_open_times("1h", JANUARY, JANUARY + 9 * DAY).tolist()
    odd = JANUARY + 5 * DAY + 12 * HOUR
    put(lake, EUR, flat([*open_times, odd]))
    friday, sunday = JANUARY + 4 * DAY + 22 * HOUR, JANUARY + 6 * DAY + 22 * HOUR
    found = view(lake, queue, EUR, JANUARY + DAY, JANUARY + 9 * DAY, calendar)
    assert found.closures == [(friday, odd), (odd + HOUR, sunday)]
    assert (found.gaps, found.counts["extra"]) == ([], 1)
    daily = view(lake, queue, EUR, JANUARY + DAY, JANUARY + 9 * DAY, calendar, size="1d")
    assert daily.closures == []
    assert view(lake, queue, EUR, JANUARY, JANUARY + 9 * DAY, calendar, size="1w").closures == []


def test_more_bars_than_the_calendar_expects_make_the_view_coarser(lake, queue):
    put(lake, EUR, flat(range(JANUARY, JANUARY + 21 * DAY, HOUR)))
    expected = FxWeek().expected_count("1h", JANUARY, JANUARY + 21 * DAY)
    found = view(lake, queue, EUR, JANUARY, JANUARY + 21 * DAY, FxWeek(), most=expected)
    assert found.size == bar_size("4h")
    assert found.bars.num_rows == 21 * 6
    assert view(lake, queue, EUR, JANUARY, JANUARY + 6 * DAY, FxWeek(), most=5).size == bar_size("1w")


def test_as_known_then_with_what_changed_since(lake, queue):
    open_times = [JANUARY + hour * HOUR for hour in range(6)]
    put(lake, BTC, flat([open_times[0]]))
    then = put(lake, BTC, flat([at for at in open_times[:5] if at != open_times[3]]))
    put(lake, BTC, flat([open_times[1]], 200.0))
    put(lake, BTC, flat([open_times[3], open_times[5]]))
    moment = datetime.fromtimestamp(then // MICROS, UTC).replace(microsecond=then % MICROS)
    found = view(lake, queue, BTC, JANUARY, JANUARY + 6 * HOUR, as_known_at=moment)
    assert as_dict(found.bars) == flat([open_times[0], open_times[1], open_times[2], open_times[4]])
    assert found.restated.tolist() == []
    assert found.restated_since.tolist() == [open_times[1]]
    assert found.gaps == [
        Gap(open_times[3], open_times[4], 1, "later"),
        Gap(open_times[5], open_times[5] + HOUR, 1, "later"),
    ]
    assert found.as_known_at == then
    now = view(lake, queue, BTC, JANUARY, JANUARY + 6 * HOUR)
    assert now.restated.tolist() == [open_times[1]]
    assert now.bars["restated"].to_pylist() == [0, 1, 0, 0, 0, 0]
    assert (now.restated_since.tolist(), now.as_known_at, now.gaps) == ([], None, [])
    assert view(lake, queue, BTC, JANUARY, JANUARY + 6 * HOUR, size="4h").bars["restated"].to_pylist() == [1, 0]


def test_an_empty_range_says_what_is_nearest(lake, queue):
    put(lake, BTC, flat([JANUARY, JANUARY + 30 * DAY]))
    found = view(lake, queue, BTC, JANUARY + DAY, JANUARY + 2 * DAY)
    assert found.bars.num_rows == 0
    assert found.nearest == (JANUARY, JANUARY + 30 * DAY)
    assert found.counts["unexplained"] == 24
    assert view(lake, queue, BTC, JANUARY + DAY, JANUARY + 2 * DAY, size="4h").bars.num_rows == 0


def test_a_single_bar_is_a_view(lake, queue):
    put(lake, BTC, flat([JANUARY]))
    found = view(lake, queue, BTC, JANUARY, JANUARY + 1)
    assert (found.bars.num_rows, found.gaps) == (1, [])


def test_bad_arguments_are_named(lake, queue):
    with pytest.raises(InputError, match="BTCUSD 1h from coinbase is not stored"):
        view(lake, queue, BTC, JANUARY, LATER)
    put(lake, BTC, flat([JANUARY]))
    with pytest.raises(InputError, match="bar size: '7m' is unknown"):
        view(lake, queue, BTC, JANUARY, LATER, size="7m")
    with pytest.raises(InputError, match="1m is smaller than the bars there are"):
        view(lake, queue, BTC, JANUARY, LATER, size="1m")
    with pytest.raises(InputError, match="is not after start"):
        view(lake, queue, BTC, LATER, JANUARY)


def test_a_second_series_comes_in_the_same_size(lake):
    put(lake, MINUTES, flat(range(JANUARY, JANUARY + DAY, 60)))
    found = bars_in(lake, MINUTES, JANUARY + 60, JANUARY + 5 * HOUR, "4h")
    assert as_dict(found) == as_dict(aggregate(bars(lake, MINUTES, JANUARY, JANUARY + 8 * HOUR), 60, bar_size("4h")))
    same = bars_in(lake, MINUTES, JANUARY + 60, JANUARY + 180, "1m")
    assert epochs(same["timestamp"]).tolist() == [JANUARY + 60, JANUARY + 120]


def test_hourly_shares_stay_on_the_half_hour(lake, queue):
    shares = Series("AAPL", "1h", "oanda")
    open_times = ExchangeHours().expected_open_times("1h", JANUARY, JANUARY + 4 * DAY).tolist()
    assert open_times[0] % HOUR == HOUR // 2
    put(lake, shares, flat(open_times))
    start, end = open_times[0], open_times[6] + HOUR
    found = view(lake, queue, shares, start, end, ExchangeHours())
    assert epochs(found.bars["timestamp"]).tolist() == open_times[:7]
    assert found.bars["expected"].to_pylist() == [1] * 7
    assert (found.gaps, found.closures) == ([], [])
    assert epochs(bars_in(lake, shares, start, end, "1h")["timestamp"]).tolist() == open_times[:7]
