"""Pair suggestions: a provider's own list, asked for once a day behind the scenes; until then the usual."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from pathlib import Path

from ffe_core.errors import FFEError, InputError
from ffe_core.providers import provider_class
from ffe_core.settings import Settings
from ffe_core.storage.files import write_atomically

log = logging.getLogger(__name__)
_FRESH_SECONDS = 86_400
_USUAL = {
    "coinbase": ("BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD", "DOGEUSD", "ADAUSD", "LTCUSD", "LINKUSD", "AVAXUSD", "BTCEUR"),
    "oanda": ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY", "XAUUSD"),
    "alpha_vantage": ("EURUSD", "GBPUSD", "USDJPY", "BTCUSD", "ETHUSD", "AAPL", "MSFT", "NVDA", "SPY", "IBM"),
    "simulated": ("BTCUSD", "ETHUSD", "SOLUSD", "EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "AAPL", "MSFT"),
}


class PairSuggestions:
    """Names to suggest; never waits for a provider."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def pairs(self, provider: str) -> list[str]:
        """What the provider listed last, or the usual pairs until it has answered."""
        listed, age = self._remembered(provider)
        if age > _FRESH_SECONDS:
            self._ask_in_background(provider)
        return listed or list(_USUAL.get(provider, ()))

    def is_listed(self, provider: str, pair: str) -> bool | None:
        """Whether the provider's own list has the pair; None while there is no list."""
        listed, _ = self._remembered(provider)
        return pair in listed if listed else None

    def _file(self, provider: str) -> Path:
        return self._settings.data_dir / f"pairs-{provider}.json"

    def _remembered(self, provider: str) -> tuple[list[str], float]:
        file = self._file(provider)
        try:
            listed = [str(pair) for pair in json.loads(file.read_text(encoding="utf-8"))]
            return listed, time.time() - file.stat().st_mtime
        except (OSError, ValueError, TypeError):
            return [], float("inf")

    def _ask_in_background(self, provider: str) -> None:
        with self._lock:
            if provider in self._asking:
                return
            self._asking.add(provider)
        threading.Thread(target=self._ask, args=(provider,), name=f"pairs of {provider}", daemon=True).start()

    def _ask(self, provider: str) -> None:
        """One try a process: a provider that is down costs suggestions, nothing else."""

        async def asked() -> list[str]:
            async with provider_class(provider)(config=self._settings) as opened:
                return await opened.list_pairs()

        try:
            if listed := asyncio.run(asked()):
                write_atomically(self._file(provider), json.dumps(listed))
        except (FFEError, InputError, OSError) as error:
            log.info("%s did not list its pairs: %s", provider, error)
