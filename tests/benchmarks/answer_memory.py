"""Measures the memory that hostile answers cost: peak of a run that gets nothing else, against a plain run.

Every request is answered with 500 MB unpacked out of 0.5 MB, with three million records, with a 200 MB error page, or
with a drip that never ends; each provider over real HTTP, the fake exchange in a process of its own. No run may take
longer than the total time-out of its one try, and a little more.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread
from tests.fake_exchanges import (
    AlphaVantageExchange,
    Candles,
    CoinbaseExchange,
    Exchange,
    Fault,
    Market,
    OandaExchange,
    fx_closed,
    generated,
)

GOAL = 1.5
_TOTAL_SECONDS = 10.0
_SPARE_SECONDS = 10.0
"""For starting, planning and counting on a busy machine."""
_KEY = "benchmark-key"
_DAY = 86_400
_START = 1_704_067_200
_DAYS = 400
_SERIES = {
    "coinbase": ("BTCUSD", "BTC-USD", "1h", 3600),
    "oanda": ("EURUSD", "EUR_USD", "1h", 3600),
    "alpha_vantage": ("AAPL", "AAPL", "1d", _DAY),
}


def measure(options: Options) -> Numbers:
    """Peak memory in MB and seconds of one backfill; `failed` is 1 where it ended with an error."""
    pair, _, timeframe, _ = _SERIES[options["provider"]]
    with tempfile.TemporaryDirectory() as folder:
        single = BatchDataIngester(DeltaLakeManager(Path(folder) / "lake"), _config(options, folder))
        began = time.perf_counter()
        asked = (times.iso(_START), times.iso(_START + _DAYS * _DAY), options["provider"])
        result = asyncio.run(single.ingest_historical_data(pair, timeframe, *asked))
        took = time.perf_counter() - began
    return {"peak": peak_mb(), "seconds": took, "failed": float(result["status"] == "error")}


def _config(options: Options, folder: str) -> dict[str, Any]:
    own = {"base_url": options["url"], "requests_per_second": 1000, "api_key": _KEY, "api_token": _KEY}
    return {
        "data_dir": folder,
        "retry": {"attempts": 1, "base_delay_seconds": 0},
        "http": {"total_timeout_seconds": _TOTAL_SECONDS},
        options["provider"]: own,
    }


def faults(megabytes: int) -> Mapping[str, Fault | None]:
    """What every request is answered with, by name."""
    return {
        "plain": None,
        f"{megabytes} MB out of {megabytes / 1000:.1f}": Fault.bomb(megabytes),
        f"{megabytes * 6_000:,} empty records": Fault.many_records(megabytes * 6_000),
        f"{megabytes * 6_000:,} candles": Fault.many_records(megabytes * 6_000, _CANDLE),
        f"an error page of {megabytes * 2 // 5} MB": Fault.huge_page(megabytes * 2 // 5),
        f"a page of {megabytes * 2 // 5} MB": Fault.huge_page(megabytes * 2 // 5, status=200),
        "a drip": Fault.drip(),
    }


_CANDLE = (
    '{"start":"1712192400","low":"66055.14","high":"66331.99","open":"66312.4","close":"66181.6","volume":"355.8"}'
)


def compare(size: int, repetitions: int) -> Verdict:
    """Every answer against a plain one, for every provider."""
    rows, ratios, wrong = [["side", "MB peak", "times", "seconds", "each run"]], [], []
    made = faults(size)
    for provider in _SERIES:
        with _served(provider, made) as urls:
            sides = {name: {"provider": provider, "url": url} for name, url in urls.items()}
            found = sample("tests.benchmarks.answer_memory", sides, repetitions)
        plain = median(found["plain"], "peak")
        for name, numbers in found.items():
            peak, took = median(numbers, "peak"), max(one["seconds"] for one in numbers)
            cells = [f"{peak:.0f}", f"{peak / plain:.2f}", f"{took:.1f}", spread(numbers, "peak", 0)]
            rows.append([f"{provider}: {name}", *cells])
            if {one["failed"] for one in numbers} != {float(name != "plain")}:
                wrong.append(f"{provider}: {name} did not end as it should")
            if took > _TOTAL_SECONDS + _SPARE_SECONDS:
                wrong.append(f"{provider}: {name} took {took:.0f} s")
        worst = max(median(numbers, "peak") for name, numbers in found.items() if name != "plain")
        ratios.append(Ratio(f"{provider}, the worst answer", worst / plain, GOAL))
    return Verdict("Peak memory of runs that get nothing but hostile answers", rows, ratios, wrong)


@contextmanager
def _served(provider: str, made: Mapping[str, Fault | None]) -> Iterator[dict[str, str]]:
    """A fake exchange for each kind of answer, its address by name."""
    running: dict[str, Exchange] = {}
    try:
        for name, fault in made.items():
            running[name] = _exchange(provider).start()
            if fault is not None:
                running[name].fault(fault, times=None)
        yield {name: exchange.url for name, exchange in running.items()}
    finally:
        for exchange in running.values():
            exchange.stop()


def _exchange(provider: str) -> Exchange:
    _, symbol, _, step = _SERIES[provider]
    market = Market({(symbol, step): _candles(provider, step)})
    if provider == "coinbase":
        return CoinbaseExchange(market, rate=None)
    if provider == "oanda":
        return OandaExchange(market, token=_KEY, rate=None)
    return AlphaVantageExchange(market, key=_KEY, premium=True)


def _candles(provider: str, step: int) -> Candles:
    closed = fx_closed if provider == "oanda" else None
    return generated(_START, _START + _DAYS * _DAY, step, closed=closed, volume_decimals=0)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(500, 3), quick=(50, 1))


if __name__ == "__main__":
    main()
