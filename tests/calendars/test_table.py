"""The quick form of `python -m tests.calendars.table`, and whether it would notice."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from ffe_core.calendars import calendar_for
from tests.calendars import synthetic, table

DAYS = synthetic.oanda_days()
ERAS = synthetic.oanda_eras()
ONE_OF_EACH = {calendar_for("oanda", synthetic.DEFAULTS.get(name, name)).name: name for name in ERAS}


def test_the_tables_hold_every_instrument_of_the_figures() -> None:
    assert len(ERAS) == 59 + 2
    assert set(DAYS) <= set(ERAS)


@pytest.mark.parametrize("name", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_a_synthetic_series_of_each_oanda_calendar_is_whole(name: str) -> None:
    line = table.oanda_line(name, ERAS[name], DAYS, table.QUICK_FIRST, table.QUICK_TIMEFRAMES)
    assert (line.unexplained, line.extra) == (0, 0)
    assert line.may_be < 0.1 * line.stored < line.stored


@pytest.mark.parametrize("name", ["EURUSD", "NZDUSD", "XAUUSD", "HK33HKD", "SPX500USD"])
def test_the_minutes_of_the_weeks_around_a_clock_change_are_whole(name: str) -> None:
    known = "forex:default" if name == "EURUSD" else name
    for first in (date(2021, 11, 1), date(2024, 3, 4), date(2024, 10, 21)):
        line = table.oanda_line(known, ERAS[known], DAYS, first, ("1m",), first + timedelta(20))
        assert (line.unexplained, line.extra) == (0, 0)


@pytest.mark.parametrize("name", [*table.SHARES, *(f"share of {code}" for code in table.NAMED)])
def test_a_share_of_each_exchange_is_whole(name: str) -> None:
    line = table.share_line(name, table.QUICK_FIRST, ("1d",))
    assert (line.unexplained, line.extra) == (0, 0)
    assert line.stored > 1_200


def test_a_bar_too_few_and_a_bar_too_many_are_noticed() -> None:
    days = DAYS["DE30EUR"]
    opened = synthetic.open_times(ERAS["DE30EUR"], days, date(2024, 5, 1), date(2024, 6, 1))
    runs = synthetic.bars(opened, 3600)
    shorter, longer = runs.copy(), runs.copy()
    shorter[3, 0] += 3600
    longer[5, 1] += 3600
    odd = np.vstack((shorter[:4], longer[4:]))
    counted, _ = table.counted(calendar_for("oanda", "DE30_EUR"), "1h", odd, int(runs[0, 0]), int(runs[-1, 1]))
    assert (counted.unexplained, counted.extra) == (1, 1)
