"""Command line of the fake exchanges: serves one for trying the product by hand.

    python -m tests.fake_exchanges coinbase --port 9001 --parquet FILE --symbol BTC-USD --step 3600
    python -m tests.fake_exchanges oanda --port 9002 --symbol EUR_USD --step 3600 --symbol EUR_USD --step 86400

Without --parquet the candles are generated, for --days back from now and two days ahead.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import AlphaVantageExchange, CoinbaseExchange, Exchange, Fault, Market, OandaExchange
from .market import Candles, from_parquet, fx_closed, generated

DAY = 86400


EXCHANGES: dict[str, Callable[..., Exchange]] = {
    "coinbase": lambda options, **server: CoinbaseExchange(**server),
    "oanda": lambda options, **server: OandaExchange(token=options.token, **server),
    "alpha_vantage": lambda options, **server: AlphaVantageExchange(key=options.key, premium=options.premium, **server),
}
"""Name of each provider -> its fake exchange, made of the options and what all have."""


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_exchanges", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("exchange", choices=list(EXCHANGES))
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--symbol", action="append", required=True, help="may be repeated, each with a --step")
    parser.add_argument("--step", action="append", type=int, required=True, help="seconds a candle lasts")
    parser.add_argument("--parquet", action="append", type=Path, default=[], help="one for each --symbol, in order")
    parser.add_argument("--days", type=int, default=30, help="how far back generated candles reach")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--fail-every", type=int, default=0, help="answer every n-th request with 503")
    parser.add_argument("--token", default="practice-token", help="OANDA's")
    parser.add_argument("--key", default="av-key", help="Alpha Vantage's")
    parser.add_argument("--premium", action="store_true", help="whether Alpha Vantage's key is a paid one")
    options = parser.parse_args(arguments)
    if len(options.symbol) != len(options.step):
        parser.error(f"{len(options.symbol)} --symbol and {len(options.step)} --step: give one step for each symbol")
    if len(options.parquet) > len(options.symbol):
        parser.error(f"{len(options.parquet)} --parquet for {len(options.symbol)} --symbol")
    return options


def held(options: argparse.Namespace) -> Market:
    """The market asked for: from files as far as they were given, generated beyond."""
    market = Market()
    files = [*options.parquet, *[None] * (len(options.symbol) - len(options.parquet))]
    for symbol, step, path in zip(options.symbol, options.step, files, strict=True):
        market.add(symbol, step, made_up(options, symbol, step) if path is None else from_parquet(path))
    return market


def made_up(options: argparse.Namespace, symbol: str, step: int) -> Candles:
    now = int(time.time())
    style: dict[str, Any] = {"seed": symbol}
    if options.exchange == "oanda":
        style |= {"price": 1.1, "decimals": 5, "volume_decimals": 0, "closed": fx_closed}
    return generated(now - options.days * DAY, now + 2 * DAY, step, **style)


def fake_exchange(options: argparse.Namespace) -> Exchange:
    """The server asked for, not yet started."""
    return EXCHANGES[options.exchange](options, market=held(options), port=options.port, latency=options.latency)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    exchange = fake_exchange(options)
    if options.fail_every:
        exchange.fault(Fault.maintenance(), times=None, when=lambda seen: seen.number % options.fail_every == 0)
    with exchange:
        print(f"{options.exchange} at {exchange.url}, Ctrl+C stops it", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(exchange.requests)} requests, {exchange.rate_limited} over the limit")


if __name__ == "__main__":
    main()
