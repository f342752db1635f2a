"""What do tests of operations run? The real service over a lake of its own, at a provider that does what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from ffe_core.errors import PermanentError, ProviderError
from ffe_core.ingestion import chunk
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import PROVIDERS
from ffe_core.providers.base import Fetched, Page
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.ingestion.fakes import FakeProvider, hours, records, stored

DAY_1 = "2024-01-01"
WAIT = 90
"""Seconds, for a machine with much else to do."""


class Market(FakeProvider):
    """In the place of coinbase: any pair, ten bars a page; can refuse a pair, fail it, or stop before a page."""

    def __init__(self, days: int = 20) -> None:
        super().__init__(records(hours(0, 24 * days)))
        self.asked_by_pair: list[tuple[str, Page]] = []
        self.errors: dict[str, ProviderError] = {}
        self.stops_at: int | None = None
        self.reached, self.goes_on = threading.Event(), threading.Event()

    def check(self, pair: str, timeframe: str) -> None:
        if pair == "NOPEUSD":
            raise PermanentError("coinbase has no pair NOPEUSD; choose one that it lists")

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        self.asked_by_pair.append((pair, page))
        if self.stops_at is not None and page.start <= self.stops_at < page.end:
            self.reached.set()
            while not self.goes_on.is_set():
                await asyncio.sleep(0.005)
        if pair in self.errors:
            raise self.errors[pair]
        return await super().fetch(pair, timeframe, page)

    def pairs_asked(self) -> set[str]:
        """Which pairs were asked for at all."""
        return {pair for pair, _ in self.asked_by_pair}


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    """A market that every coinbase provider made in the test is; commits are due after thirty rows."""
    made = Market()

    class Made(Market):
        def __new__(cls, *_: Any, **__: Any) -> Any:
            return made

        def __init__(self, *_: Any, **__: Any) -> None:
            """Made already."""

    monkeypatch.setitem(PROVIDERS, "coinbase", Made)
    monkeypatch.setattr(chunk, "_VALIDATE_RECORDS", 10)
    monkeypatch.setattr(chunk, "_COMMIT_ROWS", 30)
    return made


@contextmanager
def opened(folder: Path, **config: Any) -> Iterator[RunService]:
    """A run service, closed at the end."""
    database = Database(folder / DATABASE_FILE)
    service = RunService(Settings.load({"data_dir": str(folder), **config}), database)
    try:
        yield service
    finally:
        service.close()
        database.close()


def asked(*pairs: str, days: int = 3, start: str = DAY_1, mode: str = "resume") -> BackfillRequest:
    """Hourly candles at coinbase of these pairs over some days of January 2024."""
    first = int(start[-2:])
    return BackfillRequest.of("coinbase", pairs or ("BTCUSD",), ["1h"], start, f"2024-01-{first + days - 1:02}", mode)


def done(service: RunService, request: BackfillRequest, **options: Any) -> int:
    """Run a request to its end; the run's number."""
    run_id = service.start(request, "ann", **options)
    service.wait(run_id, WAIT)
    return run_id


def states_of(service: RunService, run_id: int) -> tuple[str, dict[str, str]]:
    """The state of a run and of its series by pair."""
    run = service.runs.get(run_id)
    assert run is not None
    return run.state, {row.asset_pair: row.state for row in service.runs.series(run_id)}


def lines_of(service: RunService, run_id: int) -> list[str]:
    """The text of a run's log lines."""
    return [line.text for line in service.runs.lines(run_id)]


def kept(folder: Path, pair: str = "BTCUSD") -> list[int]:
    """Opens of every stored row of a pair's hourly series, a bar that is stored twice twice."""
    rows = stored(folder, Series(pair, "1h", "coinbase"))
    mine = rows.filter(pc.equal(rows["asset_pair"], pair))
    return [at // 1_000_000 for at in mine["timestamp"].cast("int64").to_pylist()]
