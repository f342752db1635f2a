"""Table of the providers: one line each, imported when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING

from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source

if TYPE_CHECKING:
    from ffe_core.providers.base import Provider
    from ffe_core.series import Series


class _Table(MutableMapping[str, "type[Provider]"]):
    """Name of each provider -> its class. Asking for names imports none: what one needs takes long to load."""

    def __init__(self, homes: dict[str, str]) -> None:
        self._homes: dict[str, str | type[Provider]] = {**homes}

    def __getitem__(self, name: str) -> type[Provider]:
        home = self._homes[name]
        if isinstance(home, str):
            module, _, kind = home.partition(":")
            home = self._homes[name] = getattr(import_module(f"{__name__}.{module}"), kind)
        return home

    def loaded(self, name: str) -> type[Provider] | None:
        """The class, if it was imported or put here; None for one that is only named, or unknown."""
        home = self._homes.get(name)
        return None if isinstance(home, str) else home

    def __setitem__(self, name: str, kind: type[Provider]) -> None:
        self._homes[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._homes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


PROVIDERS = _Table(
    {
        "simulated": "simulated:SimulatedProvider",
        "coinbase": "coinbase:CoinbaseDataProvider",
        "oanda": "oanda:OandaDataProvider",
        "alpha_vantage": "alpha_vantage:AlphaVantageProvider",
    }
)
"""Name of each provider -> its class, as module:class; the order is the one that people are shown."""
FLAG_COMPLETION = frozenset({"oanda"})
"""Those of the table with `flags_completion`, so that it is known of them without importing any."""


def has_volume(series: Series) -> bool:
    """Whether a series' records come with volumes; False for a provider that is not in the table.

    A record of a file always holds one: 0 where the file has no such column.
    """
    if is_file_source(series.provider):
        return True
    return series.provider in PROVIDERS and PROVIDERS[series.provider].has_volume(series.asset_pair)


def flags_completion(provider: str) -> bool:
    """Whether each record of a provider says if its bar is closed; False for one that is not in the table.

    Imports none: a look at coverage asks it of every series, and needs nothing else of a provider.
    """
    kind = PROVIDERS.loaded(provider)
    return provider in FLAG_COMPLETION if kind is None else kind.flags_completion


def provider_class(name: str) -> type[Provider]:
    """The class of a provider; InputError listing the known ones for any other name."""
    if isinstance(name, str) and is_file_source(name):
        raise InputError(
            f"{name} holds imported files, which cannot be asked for more: import files again (ffe import)",
            field="provider",
        )
    try:
        return PROVIDERS[name]
    except (KeyError, TypeError):
        raise InputError(f"{name!r} is unknown; use one of {', '.join(PROVIDERS)}", field="provider") from None


def check_source(name: str) -> None:
    """InputError, listing the providers, for a name that is neither one of theirs nor one of imported files."""
    if not is_file_source(name):
        provider_class(name)
