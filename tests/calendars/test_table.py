"""The quick form of `python -m tests.calendars.table`, and whether it would notice."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from ffe_core.calendars import calendar_for
from ffe_core.times import parse_instant
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


@pytest.mark.parametrize("name", synthetic.eras("coinbase_weeks"))
def test_a_future_of_each_of_coinbases_calendars_is_whole(name: str) -> None:
    eras = synthetic.eras("coinbase_weeks")[name]
    line = table.future_line(name, eras, table.QUICK_FIRST, table.QUICK_TIMEFRAMES)
    assert (line.unexplained, line.extra) == (0, 0)
    assert line.may_be < 0.25 * line.stored


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


def test_recorded_series_show_their_holes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = [parse_instant("2024-05-01"), parse_instant("2024-05-20")]
    opens = [day + 60 * minute for day in days for minute in range(1440) if minute not in (7, 8)]
    _write(tmp_path / "lean_coinbase_BTC-USD_1m_days.parquet", opens)
    _write(tmp_path / "lean_AAPL_1d_2024.parquet", [parse_instant(f"2024-07-0{day}") for day in (1, 2, 3, 4, 5)])
    share, coin = table.recorded_lines(tmp_path)
    assert (share.calendar, share.stored, share.extra) == ("XNYS", 4, 1)
    assert (coin.calendar, coin.stored, coin.unexplained, coin.extra) == ("crypto", 2876, 4, 0)
    assert "lacks 2 from Mon 2024-05-20 00:07" in capsys.readouterr().out


def _write(file: Path, opens: list[int]) -> None:
    times = pyarrow.array([open_time * 1_000_000 for open_time in opens], pyarrow.timestamp("us", "UTC"))
    parquet.write_table(pyarrow.table({"timestamp": times}), file)
