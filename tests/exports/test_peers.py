"""Exports opened by the tools that they are for: freqtrade, Nautilus, vectorbt, backtrader.

Each runs in an environment of its own below `.peers/`, which `make peers` makes; without it these tests are skipped,
but not where `CI` is set.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ffe_core.series import Series
from tests.exports.conftest import BTC, DAYS, MINUTES, Export, times_of, values_of

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

FREQTRADE = """
import json, sys
from pathlib import Path
from freqtrade.data.history.datahandlers import get_datahandler
from freqtrade.enums import CandleType, TradingMode
handler = get_datahandler(Path(sys.argv[1]), "feather")
found = handler.ohlcv_get_available_data(Path(sys.argv[1]), TradingMode.SPOT)
assert found == [("BTC/USDT", sys.argv[2], CandleType.SPOT)], found
frame = handler.ohlcv_load("BTC/USDT", sys.argv[2], CandleType.SPOT, fill_missing=False, drop_incomplete=False)
seconds = [int(moment.timestamp()) for moment in frame["date"]]
print(json.dumps([seconds, frame[["open", "high", "low", "close", "volume"]].values.tolist()]))
"""
NAUTILUS = """
import json, sys
from nautilus_trader.persistence.catalog import ParquetDataCatalog
bars = ParquetDataCatalog(sys.argv[1]).bars([sys.argv[2]])
rows = [[str(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)] for bar in bars]
assert all(bar.ts_event == bar.ts_init for bar in bars)
print(json.dumps([[bar.ts_event // 10**9 for bar in bars], [[float(value) for value in row] for row in rows]]))
"""
VECTORBT = """
import json, sys
import pandas as pd
import vectorbt as vbt
frame = pd.read_csv(sys.argv[1], index_col=0, parse_dates=True)
data = vbt.Data.from_data({"BTCUSDT": frame}, tz_localize="UTC", tz_convert="UTC", download_kwargs={})
columns = [data.get(name) for name in ("Open", "High", "Low", "Close", "Volume")]
seconds = [int(moment.timestamp()) for moment in columns[0].index]
assert vbt.MA.run(data.get("Close"), 3).ma.notna().sum() == len(frame) - 2
print(json.dumps([seconds, [list(row) for row in zip(*(column.tolist() for column in columns))]]))
"""
BACKTRADER = """
import json, sys
from datetime import timezone
import backtrader as bt
class Seen(bt.Strategy):
    rows, seconds = [], []
    def next(self):
        line = self.data
        self.seconds.append(round(line.datetime.datetime(0).replace(tzinfo=timezone.utc).timestamp()))
        self.rows.append([line.open[0], line.high[0], line.low[0], line.close[0], line.volume[0]])
cerebro = bt.Cerebro()
cerebro.adddata(bt.feeds.GenericCSVData(dataname=sys.argv[1], timeframe=bt.TimeFrame.Minutes, compression=60))
cerebro.addstrategy(Seen)
cerebro.run()
print(json.dumps([Seen.seconds, Seen.rows]))
"""


def opened(peer: str, script: str, *arguments: object) -> Any:
    """What a script says in a tool's environment, as JSON."""
    python = ROOT / ".peers" / peer / "bin" / "python"
    if not python.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the tools are not installed: make peers")
    command = [str(python), "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def expected(series: Series, shift: int = 0) -> list[Any]:
    values = values_of(series)
    return [[at + shift for at in times_of(series)], [list(values[at]) for at in times_of(series)]]


@pytest.mark.parametrize("series", [BTC, MINUTES], ids=str)
def test_freqtrade_loads_every_candle(export: Export, series: Series) -> None:
    folder, _ = export("freqtrade", series)
    assert opened("freqtrade", FREQTRADE, folder, series.timeframe) == expected(series)


def test_freqtrade_loads_derived_candles(export: Export) -> None:
    folder, _ = export("freqtrade", MINUTES, size="30m")
    seconds, rows = opened("freqtrade", FREQTRADE, folder, "30m")
    values = values_of(MINUTES)
    first = [values[at] for at in times_of(MINUTES)[:30]]
    assert seconds[:2] == [times_of(MINUTES)[0], times_of(MINUTES)[30]]
    assert rows[0][:4] == [first[0][0], max(v[1] for v in first), min(v[2] for v in first), first[-1][3]]


@pytest.mark.parametrize("series", [BTC, MINUTES], ids=str)
def test_nautilus_reads_every_bar_of_the_catalog(export: Export, series: Series) -> None:
    folder, _ = export("nautilus", series)
    step = "1-HOUR" if series == BTC else "1-MINUTE"
    found = opened("nautilus", NAUTILUS, folder, f"BTCUSDT.BINANCE-{step}-LAST-EXTERNAL")
    assert found == expected(series, series.step)


def test_nautilus_reads_days_and_derived_months(export: Export) -> None:
    folder, _ = export("nautilus", DAYS, market="xnas")
    assert opened("nautilus", NAUTILUS, folder, "AAPL.XNAS-1-DAY-LAST-EXTERNAL") == expected(DAYS, DAYS.step)
    folder, _ = export("nautilus", DAYS, "months", size="1mo", market="xnas")
    closes, rows = opened("nautilus", NAUTILUS, folder, "AAPL.XNAS-1-MONTH-LAST-EXTERNAL")
    assert (closes[0], rows[0][0]) == (1_706_745_600, values_of(DAYS)[times_of(DAYS)[0]][0])


def test_vectorbt_takes_the_frame(export: Export) -> None:
    folder, _ = export("vectorbt", BTC)
    assert opened("backtesters", VECTORBT, folder / "BTCUSDT-1h.csv") == expected(BTC)


def test_backtrader_takes_the_file_by_default(export: Export) -> None:
    folder, _ = export("backtrader", BTC)
    assert opened("backtesters", BACKTRADER, folder / "BTCUSDT-1h.csv") == expected(BTC)
