"""What do answers cost that are in hand already? Bodies as providers send them, and providers that are handed them.

The bodies are made before the clock starts. They go in where the HTTP client has received one: what is measured begins
with its bytes, and is neither the network's nor httpx's nor that of waiting for a turn. The market is taken to be
always open, so that every page is full, and its first bar is known, so that nothing is asked for beside the pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.providers.base import Page
from ffe_core.providers.coinbase import CoinbaseDataProvider
from ffe_core.providers.http import HttpClient
from ffe_core.providers.http_provider import HttpProvider
from ffe_core.providers.oanda import OandaDataProvider
from ffe_core.series import Series
from ffe_core.timeframes import seconds
from tests.benchmarks.candles import START, TIMEFRAME

STEP = seconds(TIMEFRAME)
PAIR = {"oanda": "EURUSD", "coinbase": "BTCUSD"}
Bodies = dict[int, bytes]
"""The body of each page by its first open."""


def oanda_body(page: Page) -> bytes:
    """A page of OANDA, oldest first."""
    opens = np.arange(page.start, page.end, STEP)
    middle = 1.1 + 0.1 * np.sin(opens / 4_000_000) + opens % 977 / 1e6
    spread = 1e-5 + opens % 1_009 / 1e7
    columns = [
        np.datetime_as_string(opens.astype("datetime64[s]")).tolist(),
        *((middle + spread * part).tolist() for part in (-1 / 3, 1, -1, 1 / 4)),
        (1 + opens % 99_991).tolist(),
    ]
    candles = (
        f'{{"complete":true,"volume":{volume},"time":"{stamp}.000000000Z",'
        f'"mid":{{"o":"{open_:.5f}","h":"{high:.5f}","l":"{low:.5f}","c":"{close:.5f}"}}}}'
        for stamp, open_, high, low, close, volume in zip(*columns, strict=True)
    )
    return f'{{"instrument":"EUR_USD","granularity":"M1","candles":[{",".join(candles)}]}}'.encode()


def coinbase_body(page: Page) -> bytes:
    """A page of Coinbase, newest first."""
    opens = np.arange(page.start, page.end, STEP)[::-1]
    middle = 40_000 + 9_000 * np.sin(opens / 4_000_000) + opens % 977 / 100
    spread = 1 + opens % 1_009 / 10
    columns = [
        opens.tolist(),
        *((middle + spread * part).tolist() for part in (-1, 1, -1 / 3, 1 / 4)),
        (0.5 + opens % 100_003 / 977).tolist(),
    ]
    candles = (
        f'{{"start":"{start}","low":"{low:.2f}","high":"{high:.2f}","open":"{open_:.2f}","close":"{close:.2f}",'
        f'"volume":"{volume:.8f}"}}'
        for start, low, high, open_, close, volume in zip(*columns, strict=True)
    )
    return f'{{"candles":[{",".join(candles)}]}}'.encode()


BODY: Mapping[str, Callable[[Page], bytes]] = {"oanda": oanda_body, "coinbase": coinbase_body}
_FIRST = {"oanda": lambda params: times.parse_instant(params["from"]), "coinbase": lambda params: int(params["start"])}


class _HandedBodies(HttpClient):
    """A client that has every answer in hand, and reads it as ever."""

    bodies: Bodies
    first: Callable[[Mapping[str, str]], int]

    async def ask(self, path: str, params: Mapping[str, str], parse: Any) -> Any:
        body = self.bodies[self.first(params)]
        return await self._reading(parse, body)


def provider_of(name: str, folder: str) -> HttpProvider:
    """A provider that may ask as fast as it likes, in a market that never closes."""
    own = {"requests_per_second": 10_000}
    settings = {"data_dir": folder, "calendars": {"overrides": {f"{name}/{PAIR[name]}": "crypto"}}}
    if name == "oanda":
        return OandaDataProvider({**own, "api_token": "benchmark-token"}, settings)
    return CoinbaseDataProvider(own, settings)


def bodies_of(provider: HttpProvider, candles: int) -> Bodies:
    """The bodies of all pages of so many candles."""
    pages = provider.pages(PAIR[provider.name], TIMEFRAME, START, START + candles * STEP)
    return {page.start: BODY[provider.name](page) for page in pages}


def hand(provider: HttpProvider, bodies: Bodies) -> None:
    """Let a provider answer itself, out of `bodies`."""
    client = provider._http
    client.__class__ = _HandedBodies
    client.bodies, client.first = bodies, _FIRST[provider.name]  # type: ignore[attr-defined]


def ingester_of(provider: HttpProvider, folder: str) -> BatchDataIngester:
    """An ingester with a new lake below `folder`, which knows where the history of the series begins."""
    ingester = BatchDataIngester(DeltaLakeManager(Path(folder) / "lake"), provider.settings)
    series = Series.of(PAIR[provider.name], TIMEFRAME, provider.name)
    ingester.stores.instruments.learn(series, first_bar=START, asked_from=0, asked_at=time.time())
    return ingester


async def ingest(provider: HttpProvider, ingester: BatchDataIngester, candles: int) -> SeriesResult:
    """The whole pipeline over so many candles; RuntimeError unless all of them came."""
    series = Series.of(PAIR[provider.name], TIMEFRAME, provider.name)
    async with provider:
        report = await ingester.run_series(series, provider, START, START + candles * STEP)
    if report.error is not None or report.completeness is None or report.completeness.stored != candles:
        raise RuntimeError(f"not all {candles} candles came in: {report.error_text or report.completeness}")
    return report
