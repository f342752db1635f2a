"""Table of the providers: one line each."""

from __future__ import annotations

from ffe_core.errors import InputError
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.base import Provider
from ffe_core.providers.coinbase import CoinbaseDataProvider
from ffe_core.providers.oanda import OandaDataProvider
from ffe_core.providers.simulated import SimulatedProvider
from ffe_core.series import Series

PROVIDERS: dict[str, type[Provider]] = {
    SimulatedProvider.name: SimulatedProvider,
    CoinbaseDataProvider.name: CoinbaseDataProvider,
    OandaDataProvider.name: OandaDataProvider,
    AlphaVantageProvider.name: AlphaVantageProvider,
}
"""Name of each provider -> its class; the order is the one that people are shown."""


def has_volume(series: Series) -> bool:
    """Whether a series' records come with volumes; False for a provider that is not in the table."""
    return series.provider in PROVIDERS and PROVIDERS[series.provider].has_volume(series.asset_pair)


def provider_class(name: str) -> type[Provider]:
    """The class of a provider; InputError listing the known ones for any other name."""
    try:
        return PROVIDERS[name]
    except (KeyError, TypeError):
        raise InputError(f"{name!r} is unknown; use one of {', '.join(PROVIDERS)}", field="provider") from None
