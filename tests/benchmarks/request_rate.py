"""Measures the share of the allowed request rate that a backfill uses, at 150 ms for an answer of the fake Coinbase.

One request after the other would reach less than seven a second; the published limit is ten. The share is that of the
whole run, from the first look at the marks to the last count, with the provider as it comes: its own rate, its own page
size. A single 429 is a fault, whatever the share.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from typing import NoReturn

from ffe_core.providers.coinbase import BARS_PER_REQUEST, CoinbaseDataProvider
from ffe_core.timeframes import seconds
from tests.benchmarks.candles import START, TIMEFRAME, ingest
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.fake_exchanges import CoinbaseExchange, Market, generated

GOAL = 0.95
_LATENCY_SECONDS = 0.15
_STEP = seconds(TIMEFRAME)


def measure(options: Options) -> Numbers:
    """One backfill of `requests` pages from the exchange at `url`: its requests, retries, seconds and allowed rate."""
    with tempfile.TemporaryDirectory() as folder:
        provider = CoinbaseDataProvider({"base_url": options["url"]}, {"data_dir": folder})
        before = time.monotonic()
        report = asyncio.run(ingest(provider, _end(options["requests"]), folder))
        return {
            "seconds": time.monotonic() - before,
            "requests": report.request_stats.requests,
            "retries": report.request_stats.retries,
            "rate": provider.requests_per_second or 0.0,
        }


def _end(requests: int) -> int:
    return START + requests * BARS_PER_REQUEST * _STEP


def compare(size: int, repetitions: int) -> Verdict:
    """The requests a second that a backfill of `size` pages reaches, against the rate that is allowed."""
    market = Market({("BTC-USD", _STEP): generated(START, _end(size), _STEP)})
    with CoinbaseExchange(market, latency=_LATENCY_SECONDS) as exchange:
        options = {"url": exchange.url, "requests": size}
        found = sample("tests.benchmarks.request_rate", {"backfill": options}, repetitions)["backfill"]
        refused, in_flight = exchange.rate_limited, exchange.max_in_flight
    reached = [{**numbers, "reached": numbers["requests"] / numbers["seconds"]} for numbers in found]
    table = [
        ["requests", "allowed a second", "reached a second", "in flight", "each run"],
        [
            f"{size}",
            f"{median(reached, 'rate'):g}",
            f"{median(reached, 'reached'):.2f}",
            f"{in_flight}",
            spread(reached, "reached", 2),
        ],
    ]
    faults = [f"{refused} requests were answered 429"] if refused else []
    if any(numbers["requests"] != size or numbers["retries"] for numbers in found):
        faults.append(f"{spread(found, 'requests', 0)} requests where {size} would do")
    share = Ratio("of the allowed rate", median(reached, "reached") / median(reached, "rate"), GOAL, at_least=True)
    return Verdict(f"Requests a second, {_LATENCY_SECONDS * 1000:.0f} ms an answer", table, [share], faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(300, 3), quick=(40, 1))


if __name__ == "__main__":
    main()
