"""Fake provider: serves candles from memory, with scripted failures and gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from ffe_core.candles import SCHEMA
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.providers.base import Fetched, Page, Provider, Record, windows
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.locks import Locks
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.stores import Stores

HOUR = 3600
START = 1_704_067_200
"""2024-01-01 00:00 UTC."""
BTC = Series("BTCUSD", "1h", "coinbase")


def record(open_epoch: int, price: float = 100.0, **changes: Any) -> Record:
    """A valid candle as a provider sends it; `changes` replace fields."""
    prices = {"open": price, "high": price + 2, "low": price - 2, "close": price + 1}
    values = {name: f"{value:.2f}" for name, value in prices.items()}
    return {"date": times.iso(open_epoch), **values, "volume": "1.5", **changes}


def records(open_times: Iterable[int]) -> dict[int, Record]:
    """A candle for each open, every one with other prices."""
    return {at: record(at, 100 + at // 60 % 997) for at in open_times}


def hours(first: int, last: int) -> range:
    """Hourly opens, `first` and `last` in hours from START, the last excluded."""
    return range(START + first * HOUR, START + last * HOUR, HOUR)


class FakeProvider(Provider):
    """Serves what is in `held`, any record by its open, and remembers which pages were asked."""

    name = "coinbase"
    max_in_flight = 4

    def __init__(self, held: Mapping[int, Record], page_bars: int = 10, step: int = HOUR) -> None:
        super().__init__()
        self.held = dict(held)
        self.extra: list[Any] = []
        """Sent with every page that lies over START, whatever was asked."""
        self.asked: list[Page] = []
        self.faults: list[tuple[Callable[[Page], bool], BaseException]] = []
        self.empty_once: set[int] = set()
        """Opens whose page comes back empty the first time."""
        self.reaches_from: int | None = None
        self._page_bars, self._step = page_bars, step

    def fail(self, error: BaseException, at: int | None = None) -> None:
        """From now on fail the page that holds the open `at`, or every page."""
        self.faults.append((lambda page: at is None or page.start <= at < page.end, error))

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        return windows(start, end, self._step, self._page_bars)

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        self.asked.append(page)
        await asyncio.sleep(0)
        for matches, error in self.faults:
            if matches(page):
                raise error
        quiet = {at for at in self.empty_once if page.start <= at < page.end}
        if quiet:
            self.empty_once -= quiet
            return Fetched()
        reach = self.reaches_from
        covers_from = reach if reach is not None and reach > page.start else None
        found = [self.held[at] for at in sorted(self.held, reverse=True) if page.start <= at < page.end]
        return Fetched([*found, *(self.extra if page.start <= START < page.end else [])], covers_from)


def ingester(folder: Path, **config: Any) -> BatchDataIngester:
    """An ingester with its data directory in `folder`, and its lake too unless this process is told of another."""
    given = {"data_dir": str(folder), **config}
    return BatchDataIngester(DeltaLakeManager.of(Settings.load(given)), given)


def locks_of(folder: Path) -> Locks:
    """Those that every process with its data directory there heeds."""
    settings = Settings.load({"data_dir": str(folder)})
    return Stores(settings, DeltaLakeManager.of(settings), Database(folder / DATABASE_FILE)).locks


def run(
    folder: Path | BatchDataIngester, provider: Provider, start: int, end: int, series: Series = BTC, **options: Any
) -> SeriesResult:
    """One run of one series over [start, end)."""
    single = folder if isinstance(folder, BatchDataIngester) else ingester(folder)
    return asyncio.run(single.run_series(series, provider, start, end, **options))


def stored(folder: Path, series: Series = BTC) -> pa.Table:
    """Every row of the series' table, all versions of a bar, by time."""
    table = DeltaLakeManager(folder / "lake").open(series.table)
    if table is None:
        return SCHEMA.empty_table()
    rows = pa.RecordBatchReader.from_stream(table.scan()).read_all().select(SCHEMA.names).cast(SCHEMA)
    return rows.sort_by([("timestamp", "ascending"), ("_extracted_at", "ascending")])


def open_times(folder: Path, series: Series = BTC) -> list[int]:
    """Opens of every stored row, a bar that is stored twice twice."""
    return [at // 1_000_000 for at in stored(folder, series)["timestamp"].cast("int64").to_pylist()]


def adds_up(report: SeriesResult) -> bool:
    """The promise: received = stored + dead lettered + identical repeats."""
    counts = report.counts
    return counts.received == counts.stored + counts.dead_lettered + counts.duplicates
