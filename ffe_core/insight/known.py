"""Known series: all that are stored or were read, and what of them there is of a provider or a timeframe."""

from __future__ import annotations

from functools import cached_property

from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES


class KnownSeries(tuple[Series, ...]):
    """Series in their order, never changed: what follows from them is worked out once, as there may be thousands."""

    def __hash__(self) -> int:
        return self._hash

    def __contains__(self, series: object) -> bool:
        return series in self._members

    @cached_property
    def providers(self) -> list[str]:
        """Every provider by name, not to be changed."""
        return sorted({provider for provider, _ in self._parts})

    def timeframes(self, provider: str) -> list[str]:
        """Those of a provider, the shortest first."""
        return [timeframe for timeframe in TIMEFRAMES if (provider, timeframe) in self._parts]

    def of(self, provider: str, timeframe: str) -> KnownSeries:
        """Those of a provider at a timeframe; the very same ones each time."""
        return self._parts.get((provider, timeframe), _NONE)

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    @cached_property
    def _members(self) -> frozenset[Series]:
        return frozenset(self)

    @cached_property
    def _parts(self) -> dict[tuple[str, str], KnownSeries]:
        found: dict[tuple[str, str], list[Series]] = {}
        for series in self:
            found.setdefault((series.provider, series.timeframe), []).append(series)
        return {key: KnownSeries(some) for key, some in found.items()}


_NONE = KnownSeries()
