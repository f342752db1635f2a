"""A lake of its own for each test, with series whose numbers are hard to write, and exports of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.exports.service import Exported, export_to
from ffe_core.insight.units import NumberFormat
from ffe_core.reading.asked import asked
from ffe_core.reading.calendars import calendars
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.insight.lakes import DAY, JANUARY, Values, put

BTC = Series("BTCUSDT", "1h", "files:binance")
MINUTES = Series("BTCUSDT", "1m", "files:binance")
DAYS = Series("AAPL", "1d", "files:mine")
SHARES = Series("AAPL", "1m", "files:mine")
EURO = Series("EURUSD", "1h", "files:oanda")
SERIES = (BTC, MINUTES, DAYS, SHARES, EURO)
OPENS = 14 * 3600 + 30 * 60
"""Of New York in winter, seconds of the UTC day."""

Export = Callable[..., tuple[Path, list[Exported]]]


def hard(at: int, decimals: int = 12) -> Values:
    """Numbers of many digits, unlike from bar to bar."""
    low = round(0.1 + 0.2 + (at // 60 % 9973) / 7, decimals)
    whole = round(1234567.891 + at % 977 / 3, min(decimals, 9))
    return low * 1.5, low * 2.0, low, round(low * 1.25, decimals), whole


def times_of(series: Series) -> list[int]:
    """Fifty hours over the end of a year, a day and a bit of minutes, days over a year, a session of minutes."""
    step = series.step
    if series == SHARES:
        return [JANUARY + day * DAY + OPENS + minute * 60 for day in (1, 2) for minute in range(390)]
    count = {3600: 50, 60: 2000, DAY: 400}[step]
    start = JANUARY - 20 * 3600 if step < DAY else JANUARY
    return [start + place * step for place in range(count)]


def values_of(series: Series) -> dict[int, Values]:
    decimals = 4 if series.asset_pair == "AAPL" else 12
    found = {at: hard(at, decimals) for at in times_of(series)}
    if decimals == 12:
        return found
    return {at: tuple(round(value, 4) for value in values) for at, values in found.items()}  # type: ignore[misc]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeltaLakeManager:
    """The lake of the data directory that the environment names, with every series in it."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    made = DeltaLakeManager(tmp_path / "data" / "lake")
    for series in SERIES:
        put(made, series, values_of(series))
    return made


@pytest.fixture
def export(lake: DeltaLakeManager, tmp_path: Path) -> Export:
    """`export(form, series, folder="out", ...)`: what was written, and where."""

    def written(
        form: str,
        series: Series,
        folder: str = "out",
        *,
        size: str | None = None,
        known_at: str | None = None,
        span: tuple[Any, Any] = (None, None),
        adjust: str | None = None,
        **more: Any,
    ) -> tuple[Path, list[Exported]]:
        pair, timeframe = series.asset_pair, series.timeframe
        question = asked(lake, pair, timeframe, *span, series.provider, known_at, size, adjust=adjust)
        place = tmp_path / folder
        with calendars(Settings.load(), is_own_lake=False) as calendar_of:
            done = export_to(place, form, question, calendar_of, lambda _: NumberFormat(2), **more)
        return place, done

    return written
