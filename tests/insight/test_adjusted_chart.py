"""Are charts of adjusted bars right across ex-days, at every size and moment, and are raw ones left alone by them?"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe_core import load_candles
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.calendars import AlwaysOpen
from ffe_core.errors import InputError
from ffe_core.insight import adjusted, parts
from ffe_core.insight.adjusted import Adjustment, adjustment_of
from ffe_core.insight.aggregate import aggregate, bar_size
from ffe_core.insight.chart import ChartView, bars_in, chart_view
from ffe_core.insight.indicators import indicator
from ffe_core.insight.units import NumberFormat
from ffe_core.insight.window import Over, window, with_indicators
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put
from tests.reading.test_adjusted import APPLE, REAL, at

MINUTES = Series("ACME", "1m", "files:lean")
END = JANUARY + 100 * DAY
SIZES = ("5m", "15m", "1h", "4h", "1d", "1w", "1M")


@pytest.fixture
def actions(tmp_path: Path) -> Actions:
    """Two splits and two dividends of ACME in a hundred days, one split and one dividend of AAPL."""
    kept = Actions(tmp_path)
    kept.add(
        [
            action(SPLIT, "ACME", "2024-01-17", Fraction(7), "said"),
            action(SPLIT, "ACME", "2024-02-20", Fraction(3, 2), "said"),
            action(DIVIDEND, "ACME", "2024-02-07", Fraction("2.5"), "said"),
            action(DIVIDEND, "ACME", "2024-03-14", Fraction("1.25"), "said"),
            action(SPLIT, "AAPL", "2014-06-09", Fraction(7), "announced"),
            action(DIVIDEND, "AAPL", "2014-05-08", Fraction("3.29"), "announced"),
        ]
    )
    return kept


@pytest.fixture
def minutes(lake: DeltaLakeManager) -> int:
    """A hundred days of minutes with holes, ten of them restated; the moment (epoch microseconds) before that."""
    opens = [at for at in range(JANUARY, END, 60) if at % 1021]
    before = put(lake, MINUTES, flat(opens))
    put(lake, MINUTES, flat(opens[50_000:50_010], 200.0), "again")
    return before


def here(actions: Actions) -> dict[str, str]:
    return {"data_dir": str(actions.folder)}


def view(lake, queue, size="1d", start=JANUARY, end=END, series=MINUTES, **more) -> ChartView:
    return chart_view(lake, queue, AlwaysOpen(), series, start, end, size=size, until=END, **more)


def test_a_week_across_a_split_and_a_dividend_is_that_of_adjusted_days(lake, queue, actions):
    put(lake, APPLE, {at(day): values for day, values in REAL.items()})
    for name in ("splits", "all"):
        found = view(
            lake, queue, "1w", at("2014-05-05"), at("2014-06-16"), APPLE, adjustment=adjustment_of(actions, name)
        )
        read = load_candles(
            "AAPL", "1d", "2014-05-05", "2014-06-15", resample="1w", as_="arrow", adjust=name, config=here(actions)
        )
        assert as_dict(found.bars) == as_dict(read)
        assert found.adjustment is not None
        assert found.adjustment.name == name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [False, True])
def test_every_size_is_made_of_adjusted_bars(lake, queue, actions, minutes, size, known):
    moment = minutes // 1_000_000 if known else None
    stamp = None if moment is None else datetime.fromtimestamp(moment, UTC)
    span = (JANUARY + 9 * DAY, JANUARY + 80 * DAY)
    for _ in range(2):
        found = view(lake, queue, size, *span, as_known_at=moment, adjustment=adjustment_of(actions, "all"))
        bars = load_candles(
            "ACME", "1m", found.start, found.end, as_known_at=stamp, as_="arrow", adjust="all", config=here(actions)
        )
        made = aggregate(bars.append_column("sources", [np.ones(len(bars), np.int64)]), 60, bar_size(size))
        close(as_dict(found.bars), as_dict(made))


def close(one, other) -> None:
    assert list(one) == list(other)
    np.testing.assert_allclose(np.array(list(one.values())), np.array(list(other.values())), rtol=1e-12)


@given(st.integers(0, 70 * 24), st.integers(1, 30 * 24), st.sampled_from(SIZES), st.sampled_from(["splits", "all"]))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_kept_of_one_view_is_no_part_of_another(lake, queue, actions, minutes, first, hours, size, name):
    """Raw and adjusted views of any ranges in turn, against those of an empty memory."""
    adjustment = adjustment_of(actions, name)
    start = JANUARY + first * HOUR
    span = (start, min(END, start + hours * HOUR))
    found = [view(lake, queue, size, *span, adjustment=one) for one in (adjustment, None, adjustment)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "_BASES", ())
        anew = [view(lake, queue, size, *span, adjustment=one) for one in (adjustment, None, adjustment)]
    for one, other in zip(found, anew, strict=True):
        close(as_dict(one.bars), as_dict(other.bars))


def test_parts_that_no_action_touches_are_kept_once(lake, queue, actions, minutes, monkeypatch):
    view(lake, queue)
    reads: list[int] = []
    original = parts._read
    monkeypatch.setattr(parts, "_read", lambda *given: reads.append(given[3]) or original(*given))
    view(lake, queue, adjustment=adjustment_of(actions, "splits"))
    assert [at for at in reads if at < JANUARY + 91 * DAY] == [JANUARY, JANUARY + 31 * DAY], (
        "March has no ex-day after it"
    )
    reads.clear()
    view(lake, queue, adjustment=adjustment_of(actions, "splits"))
    view(lake, queue)
    assert [at for at in reads if at < JANUARY + 91 * DAY] == []


def test_closes_before_dividends_are_read_once_and_again_when_their_files_change(
    lake, queue, actions, minutes, monkeypatch
):
    reads: list[list[int]] = []
    original = adjusted._read
    monkeypatch.setattr(adjusted, "_read", lambda *given: reads.append(list(given[2])) or original(*given))
    first = as_dict(view(lake, queue, adjustment=adjustment_of(actions, "all")).bars)
    view(lake, queue, adjustment=adjustment_of(actions, "all"))
    assert reads == [[at("2024-02-07"), at("2024-03-14")]]
    put(lake, MINUTES, {at("2024-03-14") - 60: (50.0, 52.0, 48.0, 50.0, 1.0)}, "corrected")
    changed = as_dict(view(lake, queue, adjustment=adjustment_of(actions, "all")).bars)
    assert reads[1:] == [[at("2024-03-14")]]
    assert changed[JANUARY][0] < first[JANUARY][0], "the dividend is a larger share of the lower close"


def test_a_moment_knows_the_ex_days_and_the_bars_of_then(lake, queue, actions, minutes):
    adjustment = adjustment_of(actions, "splits")
    raw = as_dict(view(lake, queue).bars)[JANUARY][0]

    def first_open(known: str | None) -> float:
        moment = None if known is None else datetime.fromisoformat(known)
        return as_dict(view(lake, queue, as_known_at=moment, adjustment=adjustment).bars)[JANUARY][0]

    assert first_open(None) == pytest.approx(raw / 10.5)
    actions.add([action(SPLIT, "ACME", "2999-01-04", Fraction(2), "planned")])
    adjustment = adjustment_of(actions, "splits")
    assert first_open(None) == pytest.approx(raw / 10.5), "what is only planned has no effect yet"
    assert first_open("3000-01-01T00:00+00:00") == pytest.approx(raw / 21)


def test_marks_of_what_is_missing_and_restated_stay(lake, queue: DeadLetterQueue, actions, minutes):
    context = {"asset_pair": "ACME", "timeframe": "1m", "provider": "files:lean"}
    queue.save([{"date": datetime.fromtimestamp(1021 * 1_669_020, UTC).isoformat()}], "validation_failed", context)
    raw, found = view(lake, queue), view(lake, queue, adjustment=adjustment_of(actions, "all"))
    assert (found.counts, found.gaps) == (raw.counts, raw.gaps)
    assert found.restated.tolist() == raw.restated.tolist() != []
    assert found.dead_letters.tolist() == raw.dead_letters.tolist()
    assert found.bars["restated"].to_pylist() == raw.bars["restated"].to_pylist()


def test_indicators_and_what_is_laid_over_are_adjusted_too(lake, queue, actions, minutes):
    adjustment = adjustment_of(actions, "splits")
    whole = view(lake, queue, adjustment=adjustment)
    late = view(lake, queue, "1d", at("2024-02-21"), END, adjustment=adjustment)
    laid = window(lake, late, [Over(MINUTES)])
    assert laid.columns["over:0"].tolist() == laid.columns["close"].tolist()
    found = with_indicators(lake, laid, [indicator("SMA 20")]).columns["sma20:line"]
    closes = whole.bars["close"].to_numpy()
    first = (at("2024-02-21") - JANUARY) // DAY
    assert found[0] == pytest.approx(closes[first - 19 : first + 1].mean()), "across the split of the day before"
    raw = bars_in(lake, MINUTES, JANUARY, END, "1d")
    assert as_dict(bars_in(lake, MINUTES, JANUARY, END, "1d", None, adjustment)) == as_dict(whole.bars) != as_dict(raw)


def test_prices_are_written_with_more_decimals_the_more_they_were_split(actions):
    adjustment = adjustment_of(actions, "splits")
    assert adjustment is not None
    assert adjustment.prices(MINUTES, NumberFormat(2)) == NumberFormat(2, most=4)
    assert adjustment.prices(MINUTES, NumberFormat(2)).text(100 / 10.5) == "9.5238"
    assert adjustment.prices(Series("BTCUSD", "1h", "coinbase"), NumberFormat(2)) == NumberFormat(2)


def test_it_says_what_counts(actions):
    adjustment = adjustment_of(actions, "all")
    assert adjustment is not None
    assert adjustment.said("ACME") == "On record of ACME with an ex-day that had come by now: 2 splits and 2 dividends."
    then = adjustment.said("ACME", at("2024-01-20") * 1_000_000)
    assert then == "On record of ACME with an ex-day that had come by that moment: 1 split."
    assert adjustment.said("BTCUSD").endswith(": none.")


def test_nothing_on_record_is_refused(tmp_path):
    assert adjustment_of(Actions(tmp_path), None) is None
    for name in ("splits", "all", "yes"):
        with pytest.raises(InputError) as refused:
            adjustment_of(Actions(tmp_path), name)
        assert refused.value.field == "adjust"


def test_its_stamp_changes_with_what_is_on_record(actions):
    before = adjustment_of(actions, "all")
    assert isinstance(before, Adjustment)
    actions.add([action(SPLIT, "ACME", "2024-03-01", Fraction(2), "said")])
    after = adjustment_of(actions, "all")
    assert after is not None
    assert after.stamp != before.stamp == before.stamp
