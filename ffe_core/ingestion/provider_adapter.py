"""Provider adapter: drives an object that only has `get_historical_data`, its whole range as one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ffe_core import times
from ffe_core.errors import FFEError, ProviderError
from ffe_core.providers.base import Fetched, Page, Provider
from ffe_core.settings import Settings


class ProviderAdapter(Provider):
    """Wraps any async context manager with `get_historical_data(asset_pair=, start=, end=, timeframe=)`."""

    name = "custom"
    sends_whole_bodies = True

    def __init__(self, name: str, inner: Any, settings: Settings) -> None:
        super().__init__(settings)
        self.name = name  # type: ignore[misc]
        self._inner = inner

    async def __aenter__(self) -> ProviderAdapter:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._inner.__aexit__(*error)

    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        return [Page(start, end)]

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        try:
            records = await self._inner.get_historical_data(
                asset_pair=pair, start=times.iso(page.start), end=times.iso(page.end), timeframe=timeframe
            )
        except FFEError:
            raise
        except Exception as error:
            raise ProviderError(f"{self.name} failed with {type(error).__name__}: {error}") from error
        if not isinstance(records, list | tuple):
            raise ProviderError(f"{self.name} gave {type(records).__name__} instead of a list of records")
        return Fetched(list(records))
