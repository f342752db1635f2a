"""Fake exchanges: local HTTP servers that speak the providers' wire formats, limits, errors and faults.

with CoinbaseExchange(Market({("BTC-USD", 3600): generated(start, end, 3600)})) as exchange:
    exchange.fault(Fault.http(500), times=2)
    exchange.break_record("BTC-USD", 3600, open_epoch, "high_below_low")
    ...  # point the product at exchange.url
    assert exchange.count("/candles") == 3
"""

from __future__ import annotations

from .alpha_vantage import REFUSALS, AlphaVantageExchange
from .coinbase import CoinbaseExchange
from .faults import Fault, Script
from .market import Candle, Candles, Market, Record, from_parquet, fx_closed, generated
from .oanda import OandaExchange
from .server import Answer, Exchange, Seen, TokenBucket

__all__ = [
    "REFUSALS",
    "AlphaVantageExchange",
    "Answer",
    "Candle",
    "Candles",
    "CoinbaseExchange",
    "Exchange",
    "Fault",
    "Market",
    "OandaExchange",
    "Record",
    "Script",
    "Seen",
    "TokenBucket",
    "from_parquet",
    "fx_closed",
    "generated",
]
