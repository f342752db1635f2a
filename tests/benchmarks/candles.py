"""Where do the measured candles come from, and how do they go in? Made by formula, page by page, into a new lake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ffe_core import BatchDataIngester, DeltaLakeManager
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.providers.base import Fetched, Page, Provider, Record, dates_of, windows
from ffe_core.series import Series
from ffe_core.timeframes import seconds

PAIR, TIMEFRAME = "BTCUSD", "1m"
START = 1_388_534_400
"""2014-01-01: five million minutes from here are all closed."""


def records(start: int, end: int, step: int) -> list[Record]:
    """Valid candles that open in [start, end), newest first, every value a text, as Coinbase's are once mapped."""
    open_times = np.arange(start, end, step)[::-1]
    middle = 40_000 + 9_000 * np.sin(open_times / 4_000_000) + open_times % 977 / 100
    spread = 1 + open_times % 1_009 / 10
    starts = [str(at) for at in open_times.tolist()]
    columns = [
        starts,
        _text(middle - spread, 2),
        _text(middle + spread, 2),
        _text(middle - spread / 3, 2),
        _text(middle + spread / 4, 2),
        _text(0.5 + open_times % 100_003 / 977, 8),
        dates_of(starts),
    ]
    return [
        {"start": start, "low": low, "high": high, "open": open_, "close": close, "volume": volume, "date": date}
        for start, low, high, open_, close, volume, date in zip(*columns, strict=True)
    ]


def _text(values: np.ndarray, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values.tolist()]


class MadeProvider(Provider):
    """Makes each page when it is asked for, or before: `prepare` keeps the work of making them out of a measurement."""

    name = "made"

    def __init__(self, folder: str, page_size: int) -> None:
        super().__init__({"data_dir": folder})
        self._page_size = page_size
        self._prepared: dict[Page, list[Record]] = {}

    def prepare(self, start: int, end: int) -> list[Record]:
        """Make all pages of a range now; the records of all of them, the very same objects."""
        for page in self.pages(PAIR, TIMEFRAME, start, end):
            self._prepared[page] = records(page.start, page.end, seconds(TIMEFRAME))
        return [record for page in self._prepared.values() for record in page]

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        return windows(start, end, seconds(timeframe), self._page_size)

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        made = self._prepared.get(page)
        return Fetched(made if made is not None else records(page.start, page.end, seconds(timeframe)))


async def ingest(provider: Provider, end: int, folder: str, start: int = START) -> SeriesResult:
    """Run the whole pipeline over [start, end) into the lake below `folder`; RuntimeError unless all of it came."""
    ingester = BatchDataIngester(DeltaLakeManager(Path(folder) / "lake"), {"data_dir": folder})
    async with provider:
        report = await ingester.run_series(Series.of(PAIR, TIMEFRAME, provider.name), provider, start, end)
    wanted = (end - start) // seconds(TIMEFRAME)
    if report.error is not None or report.completeness is None or report.completeness.stored != wanted:
        raise RuntimeError(f"not all {wanted} candles came in: {report.error_text or report.completeness}")
    return report
