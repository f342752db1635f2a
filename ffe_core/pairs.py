"""Pair names: one stored name for BTCUSD, BTC-USD and BTC/USD, and what kind of market it is."""

from __future__ import annotations

import re
from typing import Literal

from ffe_core.errors import InputError

AssetClass = Literal["crypto", "fx", "metal", "index", "equity"]

FIAT = frozenset(
    "USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK PLN CZK HUF TRY ZAR MXN SGD HKD CNH CNY INR THB KRW BRL ILS RUB RON"
    " AED SAR PHP IDR MYR TWD CLP COP".split()
)
METALS = frozenset({"XAU", "XAG", "XPT", "XPD", "XCU"})
STABLE = ("USDT", "USDC", "DAI", "PYUSD")
CRYPTO = frozenset(
    "BTC ETH LTC BCH XRP SOL ADA DOGE DOT AVAX LINK UNI MATIC POL XLM ATOM ALGO AAVE NEAR FIL ETC SHIB TRX BNB".split()
)
_COMMODITIES = frozenset({"WTICO", "BCO", "NATGAS", "CORN", "SOYBN", "SUGAR", "WHEAT"})
# Longest first, so that BTCUSDT is BTC and USDT, never BTCU and SDT.
_QUOTES = (*sorted(STABLE, key=len, reverse=True), *sorted(FIAT), "BTC", "ETH")
_NAME = re.compile(r"[A-Z0-9]{1,16}(\.[A-Z0-9]{1,4})?")
_SEPARATORS = re.compile(r"[-_/]")


def normalize_pair(pair: str) -> str:
    """The stored name: upper case, no separators. InputError for what cannot be a pair."""
    name = _SEPARATORS.sub("", pair.strip().upper()) if isinstance(pair, str) else ""
    if len(name) < 1 or not _NAME.fullmatch(name) or name.isdigit():
        raise InputError(
            f"{_shown(pair)} cannot be a pair; use a name like BTCUSD, BTC-USD, EURUSD or AAPL", field="pair"
        )
    return name


def split_pair(pair: str) -> tuple[str, str] | None:
    """Base and quote of a stored pair; None when it has no known quote (a share, for example)."""
    for quote in _QUOTES:
        base = pair.removesuffix(quote)
        if base != pair and len(base) >= 2:
            return base, quote
    return None


def asset_class(pair: str) -> AssetClass:
    """Which kind of market a stored pair trades in."""
    parts = split_pair(pair)
    if parts is None:
        return "equity"
    base, _ = parts
    if base in FIAT:
        return "fx"
    if base in METALS:
        return "metal"
    if base in _COMMODITIES or re.fullmatch(r"[A-Z]+[0-9]+", base):
        return "index"
    return "crypto"


def _shown(pair: object) -> str:
    text = repr(pair)
    return text if len(text) <= 60 else text[:57] + "..."
