"""What a provider is: it names its pages, fetches one, and hands over records as they were sent.

Three pure steps and one that touches the network: `pages` plans the requests, `fetch` makes one and maps its body.
A new provider is one file with a subclass and one line in the table of `ffe_core.providers`; the contract tests in
tests/providers/ tell its author when it is right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field

from ffe_core import times
from ffe_core.errors import PermanentError
from ffe_core.pairs import normalize_pair
from ffe_core.settings import Config, Settings
from ffe_core.timeframes import TIMEFRAMES, ceil, seconds

Record = dict[str, Any]
"""One candle as sent: the provider's own fields, plus `date` (bar open, aware ISO 8601), `open`, `high`, `low`,
`close` and, where there is one, `volume`, each with the value as sent. What could not be mapped is left out."""


class ProviderSettings(BaseModel):
    """Settings every provider has; a provider's own subclass adds its keys and its defaults."""

    base_url: str = ""
    requests_per_second: float = Field(1.0, gt=0)


@dataclass(frozen=True, slots=True)
class Page:
    """One request: the bars that open in [start, end), epoch seconds."""

    start: int
    end: int


@dataclass(slots=True)
class Fetched:
    """What one request gave: records in any order, and the earliest instant the provider can serve, if it says.

    `covers_from` (epoch seconds) lies after the page's start when the provider cannot reach back that far.
    """

    records: list[Record] = field(default_factory=list)
    covers_from: int | None = None


class Provider(ABC):
    """An async context manager; use it alone with `get_historical_data`, or let the pipeline drive its pages."""

    name: ClassVar[str]
    is_mock: ClassVar[bool] = False
    flags_completion: ClassVar[bool] = False
    """True when each record says itself, as `complete`, whether its bar is closed; then the clock has no say."""
    max_in_flight: ClassVar[int] = 32
    """Requests under way at once, at most."""
    volume_unit: ClassVar[str | None] = None
    """What a volume counts: "base units", "ticks", "shares"; None where the provider sends none."""

    def __init__(self, config: Config | Settings | None = None) -> None:
        self.settings = Settings.load(config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def requests_per_second(self) -> float | None:
        """The rate this provider is asked at; None where there is no limit."""
        return None

    def check(self, pair: str, timeframe: str) -> None:
        """Raise PermanentError when this provider cannot offer the series, before any request."""
        seconds(timeframe)

    def closed_before(self, timeframe: str, now: int) -> int:
        """Bars that open before this instant (epoch seconds, on the grid) are closed at `now`."""
        grace = 0 if self.flags_completion else self.settings.close_grace_seconds
        return now - grace - (now - grace) % seconds(timeframe)

    @abstractmethod
    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        """The requests that cover the opens in [start, end), oldest first, without overlap."""

    @abstractmethod
    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        """Ask for one page. Raises RetriableError after the last try, PermanentError or QuotaError."""

    async def list_pairs(self) -> list[str]:
        """Stored names of the pairs this provider offers, for suggestions; empty when it has no list."""
        return []

    async def get_historical_data(
        self, asset_pair: str, start: times.Instant, end: times.Instant, timeframe: str
    ) -> list[Record]:
        """All closed candles of a range as sent, oldest first. Raises InputError or ProviderError."""
        pair = normalize_pair(asset_pair)
        first, last = times.parse_range(start, end)
        self.check(pair, timeframe)
        last = min(last, self.closed_before(timeframe, times.now()))
        records: list[Record] = []
        for page in self.pages(pair, timeframe, ceil(first, _grid(timeframe)), last):
            records += (await self.fetch(pair, timeframe, page)).records
        kept = [record for record in records if self._wanted(record, first, last)]
        return sorted(kept, key=lambda record: str(record.get("date", "")))

    def _wanted(self, record: Record, first: int, last: int) -> bool:
        if self.flags_completion and record.get("complete") is False:
            return False
        try:
            return first <= times.parse_instant(record["date"]) < last
        except (KeyError, ValueError):
            return True  # an unreadable time is for validation to judge, not for us to drop


def _grid(timeframe: str) -> int:
    return min(seconds(timeframe), TIMEFRAMES["15m"])


def windows(start: int, end: int, step: int, size: int) -> list[Page]:
    """[start, end) cut into pages of at most `size` bars of `step` seconds."""
    return [Page(at, min(at + step * size, end)) for at in range(start, end, step * size)]


def not_offered(provider: str, what: str, instead: str) -> PermanentError:
    """A clear refusal before any request: what is not to be had, and what is."""
    return PermanentError(f"{provider} does not offer {what}; {instead}")
