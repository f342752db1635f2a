"""Is each fault named as what it is, and left alone where it is none?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import calendar_for
from ffe_core.checks.bars import Bars
from ffe_core.checks.chance import surprising_runs
from ffe_core.checks.model import Evidence, Found
from ffe_core.checks.table import CHECKS
from ffe_core.insight.units import NumberFormat
from ffe_core.operations.checks.service import kind_sentence
from ffe_core.series import Series
from tests.checks import faults, markets
from tests.checks.markets import Made
from tests.pace import examples

MONDAY = 1_704_067_200
BTC, EUR = Series("BTCUSD", "1h", "coinbase"), Series("EURUSD", "1h", "oanda")
SHARE = Series("SHAF", "1d", "alpha_vantage")


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def btc(days: int = 120) -> Made:
    return markets.market(rng(), BTC, MONDAY, days, 40_000.0, 2, 0.03, 300.5)


def eur() -> Made:
    return markets.market(rng(), EUR, MONDAY, 120, 1.1, 5, 0.006, 2000.0)


def share() -> Made:
    return markets.market(rng(), SHARE, MONDAY, 900, 150.0, 2, 0.02, 2e7)


def seen(*made: Made, factors: dict[int, float] | None = None) -> dict[Series, Bars]:
    alone = {
        one.series: Bars(
            one.series,
            one.open_times,
            one.columns,
            calendar_for(
                "coinbase" if one.series.provider == "files:x" else one.series.provider, one.series.asset_pair
            ),
            {},
            factors=factors or {},
        )
        for one in made
    }
    for series, bars in alone.items():
        object.__setattr__(bars, "others", {key: other for key, other in alone.items() if key != series})
    return alone


def found(*made: Made, factors: dict[int, float] | None = None) -> list[Found]:
    shown = seen(*made, factors=factors)
    return [one for bars in shown.values() for check in CHECKS.values() for one in check.find(bars)]


def kinds(*made: Made) -> set[str]:
    return {one.kind for one in found(*made)}


@pytest.mark.parametrize("make", [btc, eur, share])
def test_a_market_with_its_habits_is_no_fault(make: Callable[[], Made]) -> None:
    assert found(make()) == []


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (faults.unit, "unit_break"),
        (faults.volume_unit, "volume_break"),
        (faults.identical, "repeated_bar"),
        (faults.doubled, "repeated_bar"),
        (faults.stuck, "stuck_price"),
        (faults.no_volume, "zero_volume"),
        (faults.spike, "spike"),
        (faults.off_tick, "off_tick"),
    ],
)
def test_a_fault_of_one_series_is_named_where_it_is(act: faults.Plant, kind: str) -> None:
    made = btc()
    fault = act(rng(), made, 1500)
    named = [one for one in found(made) if one.kind == kind]
    assert len(named) == 1
    assert named[0].start < fault.end
    assert fault.start < named[0].end
    assert CHECKS[kind].says(named[0].evidence, NumberFormat())


@pytest.mark.parametrize(("act", "kind"), [(faults.edge, "session_edge"), (faults.weekend, "closed_market")])
def test_a_fault_of_hours_is_named(act: faults.Plant, kind: str) -> None:
    made = eur()
    act(rng(), made, 700)
    assert kinds(made) == {kind}


def test_explained_gaps_are_no_finding() -> None:
    made = eur()
    fault = faults.edge(rng(), made, 700)
    [bars] = seen(made).values()
    object.__setattr__(bars, "marked", np.array([[fault.start, fault.end]]))
    assert list(CHECKS["session_edge"].find(bars)) == []


@pytest.mark.parametrize(("act", "kind"), [(faults.coarse_price, "timeframes"), (faults.coarse_volume, "timeframes")])
def test_a_bar_that_is_not_its_parts_is_named(act: faults.Plant, kind: str) -> None:
    fine = btc()
    coarse = markets.coarser(fine, "4h")
    act(rng(), coarse, 300)
    assert kinds(fine, coarse) == {kind}


def test_parts_that_are_missing_are_said_apart() -> None:
    fine = btc()
    coarse = markets.coarser(fine, "4h")
    faults.lost_parts(rng(), fine, 1201)
    assert kinds(fine, coarse) == {"lost_parts"}


def test_minutes_without_trades_are_no_lost_parts() -> None:
    minutes = markets.market(rng(), Series("BTCUSD", "1m", "coinbase"), MONDAY, 4, 40_000.0, 2, 0.03, 3.5)
    fine = markets.thin(rng(), minutes, 0.6)
    assert kinds(fine, markets.coarser(fine, "1h")) == set()


@pytest.mark.parametrize(
    ("act", "kind"),
    [(faults.scale, "provider_scale"), (faults.shift, "provider_shift"), (faults.one_source, "provider_differs")],
)
def test_sources_that_disagree_are_named_by_how(act: faults.Plant, kind: str) -> None:
    one = btc()
    other = markets.another_book(rng(), one, "files:x")
    assert kinds(one, other) == set()
    act(rng(), other, 1000)
    assert kind in kinds(one, other)


def times(made: Made, first: int, end: int | None, factor: float | np.ndarray) -> Made:
    """All prices of some bars by a factor."""
    for name in faults.PRICES:
        made.columns[name][first:end] = np.round(made.columns[name][first:end] * factor, made.decimals)
    return made


def inverse(made: Made, first: int, end: int | None = None) -> Made:
    """The inverse of the prices of some bars, as of USDEUR for EURUSD."""
    own = {name: np.round(1 / made.columns[name][first:end], made.decimals) for name in faults.PRICES}
    for name, column in (own | {"high": own["low"], "low": own["high"]}).items():
        made.columns[name][first:end] = column
    return made


def of_kind(kind: str, *made: Made) -> list[Found]:
    return [one for one in found(*made) if one.kind == kind]


@settings(max_examples=examples(15))
@given(
    st.integers(1, 24),
    st.integers(200, 2_700),
    st.one_of(st.floats(1.05, 3.0), st.floats(0.3, 0.95), st.sampled_from([10.0, 100.0, 0.01])),
)
def test_wrong_bars_in_a_row_beside_another_source_are_one_finding_over_them(
    count: int, first: int, factor: float
) -> None:
    one = btc()
    other = times(markets.another_book(rng(), one, "files:x"), first, first + count, factor)
    [finding] = of_kind("provider_differs", one, other)
    assert (finding.start, finding.bars) == (int(one.open_times[first]), count)
    assert "at files:x" in CHECKS["provider_differs"].says(finding.evidence, NumberFormat())


@pytest.mark.parametrize("count", [5, 20, 24])
def test_pips_added_to_bars_in_a_row_differ(count: int) -> None:
    one = eur()
    other = one.copy_as("files:x")
    for name in faults.PRICES:
        other.columns[name][1_000 : 1_000 + count] += 0.02
    [finding] = of_kind("provider_differs", one, other)
    assert finding.bars == count


@pytest.mark.parametrize("count", [5, 24])
def test_the_newest_bars_differ_too(count: int) -> None:
    one = btc()
    [finding] = of_kind("provider_differs", one, times(one.copy_as("files:x"), -count, None, 1.2))
    assert finding.bars == count


@pytest.mark.parametrize("make", [btc, eur])
@pytest.mark.parametrize("factor", [1.01, 1.02, 1.03, 100.0])
def test_a_small_scale_that_is_fixed_is_named(make: Callable[[], Made], factor: float) -> None:
    one = make()
    other = times(markets.another_book(rng(), one, "files:x"), 0, None, factor)
    [finding] = found(one, other)
    assert finding.kind == "provider_scale"
    assert finding.evidence["factor"] == pytest.approx(
        factor ** (1 if finding.series.provider == "files:x" else -1), rel=1e-3
    )
    said = CHECKS["provider_scale"].says(finding.evidence, NumberFormat())
    assert finding.other is not None
    assert finding.other.provider in said


@settings(max_examples=examples(10))
@given(st.integers(0, 10_000))
def test_a_premium_that_wanders_is_no_scale(seed: int) -> None:
    """A coin worth about a dollar for the dollar; and bid for mid."""
    one, drawn = btc(), np.random.default_rng(seed)
    premium = markets._wandering(drawn, len(one.open_times), 0.998, 0.0003) + 0.002
    assert found(one, times(one.copy_as("files:x"), 0, None, np.exp(premium))) == []
    mid = eur()
    bid = mid.copy_as("files:x")
    for name in faults.PRICES:
        bid.columns[name] = np.round(bid.columns[name] - drawn.uniform(0.00005, 0.0002), bid.decimals)
    assert found(mid, bid) == []


@pytest.mark.parametrize("by", [30, 100])
def test_a_far_shift_is_no_scale(by: int) -> None:
    one = btc()
    other = markets.another_book(rng(), one, "files:x")
    for name, column in other.columns.items():
        other.columns[name] = np.concatenate([column[:by], column[:-by]])
    assert kinds(one, other) == {"provider_differs"}


def test_of_three_sources_the_one_is_blamed_that_disagrees_with_the_others() -> None:
    a = btc()
    b, c = markets.another_book(rng(), a, "files:b"), markets.another_book(np.random.default_rng(5), a, "files:x")
    times(a, 1_000, 1_010, 1.2)
    times(c, 2_000, 2_010, 1.2)
    assert [(one.kind, one.series.provider, one.bars) for one in found(a, b, c) if one.kind != "unit_break"] == [
        ("provider_differs", "coinbase", 10),
        ("provider_differs", "files:x", 10),
    ]
    times(c, 0, None, 100.0)
    assert {one.series.provider for one in found(a, b, c) if one.kind == "provider_scale"} == {"files:x"}


def test_a_shift_says_by_how_many_bars_and_which_way() -> None:
    one = btc()
    other = markets.another_book(rng(), one, "files:x")
    for name, column in other.columns.items():
        other.columns[name] = np.concatenate([column[:3], column[:-3]])
    [shift] = [item for item in found(one, other) if item.kind == "provider_shift"]
    assert (shift.evidence["bars"], shift.evidence["seconds"]) == (-3, -3 * 3600)
    assert "3 whole bars earlier" in CHECKS["provider_shift"].says(shift.evidence, NumberFormat())


def test_what_another_source_shows_too_is_no_spike() -> None:
    one = btc()
    faults.spike(rng(), one, 1000)
    assert "spike" in kinds(one)
    assert "spike" not in kinds(one, markets.another_book(rng(), one, "files:x"))


def test_a_fall_by_half_that_was_real_is_no_fault() -> None:
    """AAPL, 2000-09-29."""
    made = share()
    markets.crash(made, 300)
    assert kinds(made) == set()


def test_a_split_is_proposed_unless_it_is_known() -> None:
    """AAPL, 2014-06-09: 7:1."""
    made = share()
    markets.split(made, 300, 7)
    [split] = found(made)
    assert (split.kind, split.evidence["new"], split.evidence["old"]) == ("split", 7, 1)
    day = int(made.open_times[300])
    assert found(made, factors={day: 7.0}) == []
    assert [one.kind for one in found(made, factors={day: 2.0})] == ["split"]


@settings(max_examples=examples(10))
@given(st.integers(1, 24), st.integers(60, 500), st.sampled_from([0.01, 10.0, 100.0, 1000.0]))
def test_another_unit_that_comes_back_is_one_finding_over_its_bars(count: int, first: int, factor: float) -> None:
    for made in (times(btc(), first, first + count, factor), times(share(), first, first + count, factor)):
        [finding] = [one for one in found(made) if one.kind in ("spike", "unit_break", "split")]
        assert (finding.kind, finding.bars) == ("unit_break" if count > 3 else "spike", count)
        assert finding.start == int(made.open_times[first])


@pytest.mark.parametrize("make", [btc, eur, share])
@pytest.mark.parametrize("count", [1, 3, 5, 10])
def test_another_unit_of_the_newest_and_of_the_first_bars_is_found(make: Callable[[], Made], count: int) -> None:
    [finding] = of_kind("unit_break", times(make(), -count, None, 100.0))
    assert finding.bars == count
    assert f"for {count} bar" in CHECKS["unit_break"].says(finding.evidence, NumberFormat())
    assert len(of_kind("unit_break", times(make(), 0, count, 100.0))) == 1


@pytest.mark.parametrize("factor", [10.0, 100.0, 0.01])
def test_another_unit_after_a_hole_of_days_is_found(factor: float) -> None:
    made = times(btc(), 1_500, None, factor)
    made.drop(np.arange(1_500, 1_500 + 6 * 24))
    assert kinds(made) - {"off_tick"} == {"unit_break"}


def test_the_inverse_of_a_rate_and_a_small_factor_are_found_and_the_stored_price_is_shown() -> None:
    for made in (inverse(eur(), 1_400), times(eur(), 1_400, None, 1.2), inverse(eur(), 1_400, 1_410)):
        [finding] = found(made)
        assert (finding.kind, finding.start) == ("unit_break", int(made.open_times[1_400]))
        assert finding.evidence["before"] == made.columns["close"][1_399]


@settings(max_examples=examples(40))
@given(st.integers(1, 60), st.integers(0, 59), st.integers(1, 10), st.sampled_from([0.01, 1.2, 100.0]))
def test_few_bars_can_be_checked_whatever_they_are(count: int, first: int, wrong: int, factor: float) -> None:
    for made in (btc(), share()):
        made.drop(np.arange(count, len(made.open_times)))
        other = markets.another_book(rng(), made, "files:x")
        assert found(made, other) == []
        found(times(made, first, first + wrong, factor), other)


def test_a_devaluation_is_no_unit() -> None:
    """EURCHF, 2015-01-15: 1.201, as low as 0.85 within minutes and 1.04 at noon; here the bar opens elsewhere too."""
    made = eur()
    for name, price in zip(faults.PRICES, (1.10, 1.12, 0.85, 1.0), strict=True):
        made.columns[name][1_400] = made.columns["close"][1_399] * price / 1.201
    times(made, 1_401, None, 1.04 / 1.201)
    spans = made.columns["high"][1_401:1_440] - made.columns["low"][1_401:1_440]
    made.columns["high"][1_401:1_440] += 9 * spans
    assert "unit_break" not in kinds(made)


def test_large_moves_between_bars_are_no_unit_where_they_are_usual() -> None:
    for seed in range(6):
        drawn = np.random.default_rng(seed)
        minutes = markets.market(drawn, Series("BTCUSD", "1m", "coinbase"), MONDAY, 12, 2_000.0, 3, 0.06, 300.5)
        assert "unit_break" not in kinds(markets.thin(drawn, minutes, 0.6))


RATIOS = [
    "2:1",
    "3:2",
    "4:3",
    "5:4",
    "6:5",
    "7:1",
    "9:1",
    "10:1",
    "20:1",
    "50:1",
    "1:8",
    "1:10",
    "1:20",
    "1:25",
    "1:30",
    "1:50",
]


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_split_is_one_finding_and_none_when_it_is_on_record(ratio: str) -> None:
    new, old = map(int, ratio.split(":"))
    made = share()
    markets.split(made, 300, new / old)
    [finding] = found(made)
    assert (finding.kind, finding.evidence["new"], finding.evidence["old"]) == ("split", new, old)
    assert found(made, factors={int(made.open_times[300]): new / old}) == []


@pytest.mark.parametrize("ratio", [1 / 100, 100])
def test_what_is_on_record_explains_a_jump_to_every_check(ratio: float) -> None:
    made = share()
    made.decimals = 4
    markets.split(made, 300, ratio)
    assert {one.kind for one in found(made)} == {"unit_break"}
    assert found(made, factors={int(made.open_times[300]): ratio}) == []


def test_a_share_that_opens_a_tenth_lower_after_news_is_no_split() -> None:
    """AAPL, 2013-01-24: 514.17, and 460 at the open, near 11:10; 2.6 times the usual shares are traded."""
    made = share()
    markets.split(made, 300, 514.17 / 460)
    made.columns["volume"][300:] *= 460 / 514.17
    made.columns["volume"][300] *= 2.6
    assert kinds(made) == set()


def test_both_clock_changes_are_no_fault() -> None:
    year = markets.market(rng(), EUR, 1_672_531_200, 365, 1.1, 5, 0.006, 2000.0)
    assert kinds(year) == set()


def test_short_sundays_are_no_fault() -> None:
    days = markets.market(rng(), Series("EURUSD", "1d", "oanda"), 1_672_531_200, 700, 1.1, 5, 0.006, 50_000.0)
    assert (days.open_times // 86_400 % 7 == 3).any()  # 1970-01-01 was a Thursday: Sundays are there
    assert kinds(days) == set()


def test_runs_are_judged_by_the_habit_of_their_series() -> None:
    quiet = rng().random(20_000) < 0.5
    assert len(surprising_runs(quiet, 4)) == 0
    quiet[5_000:5_060] = True
    assert len(surprising_runs(quiet, 4)) == 1
    alone = np.zeros(20_000, dtype=bool)
    alone[100:107] = True
    assert surprising_runs(alone, 4).tolist() == [[100, 107]]


@pytest.mark.parametrize(
    ("kind", "evidence", "prices", "told"),
    [
        ("spike", {"side": "high", "price": 1_234_567.5, "beyond": 0.1 + 0.2, "usual": 0, "sources": 0}, 2,
         "high 1,234,567.50 is 0.30 outside its neighbours"),
        ("stuck_price", {"bars": 2_000, "price": 64_250.25}, 1, "2,000 bars in a row stand at 64,250.25,"),
        ("timeframes", {"column": "volume", "columns": [], "here": 12_345_678.5, "finer": "1h", "parts": 0.1 + 0.2}, 2,
         "volume is 12,345,678.5 and its 1h bars come to 0.3"),
        ("provider_differs", {"column": "close", "here": 1.0005, "there": 0.00001234}, 4,
         "close 1.0005 here and 0.00001234 there"),
        ("unit_break", {"factor": 12_345.6, "before": 1_000_000.0}, 0, "12,350 times those before (1,000,000)"),
        ("split", {"new": 4, "old": 1, "before": 40_000.5, "open": 10_000.1}, 2, "40,000.50 before, 10,000.10 at the"),
    ],
)  # fmt: skip
def test_numbers_of_a_sentence_are_whole_and_written_as_those_of_the_instrument(
    kind: str, evidence: Evidence, prices: int, told: str
) -> None:
    assert told in kind_sentence(kind, evidence, NumberFormat(prices))
