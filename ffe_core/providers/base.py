"""Provider interface: plans pages, fetches one, and hands over records as they were sent.

Three pure steps and one that touches the network: `pages` plans the requests, `fetch` makes one and maps its body.
docs/extending.md has the steps to add one; the contract tests in tests/providers/ tell its author when it is right.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ffe_core import times
from ffe_core.errors import InputError, PermanentError
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import normalize_pair
from ffe_core.providers.paging import Page as Page
from ffe_core.providers.paging import joined_windows as joined_windows
from ffe_core.providers.paging import windows as windows
from ffe_core.settings import Config, Settings
from ffe_core.threads import run_to_completion
from ffe_core.timeframes import floor, seconds

log = logging.getLogger(__name__)

FirstBarBy = Literal["pages", "days"]
Record = dict[str, Any]
"""One candle as sent: the provider's own fields, plus `date` (bar open, aware ISO 8601), `open`, `high`, `low`,
`close` and, where there is one, `volume`, each with the value as sent. What could not be mapped is left out."""

_QUARTER = 900


@dataclass(slots=True)
class Fetched:
    """What one request gave: records in any order, and the earliest instant the provider can serve, if it says.

    `covers_from` (epoch seconds) lies after the page's start when the provider cannot reach back that far.
    """

    records: Sequence[Record] = field(default_factory=list)
    covers_from: int | None = None
    closed: int | None = None
    """Open from which bars were not closed when the provider was asked, where its clock says other than ours."""
    first_bar: int | None = None
    """Open of the first bar that the provider has (epoch seconds), where the answer holds the whole history."""


class Provider(ABC):
    """An async context manager; use it alone with `get_historical_data`, or let the pipeline drive its pages."""

    name: ClassVar[str]
    is_mock: ClassVar[bool] = False
    flags_completion: ClassVar[bool] = False
    """True when each record says itself, as `complete`, whether its bar is closed; then the clock has no say."""
    sends_whole_bodies: ClassVar[bool] = False
    """True when an answer may hold all there is, whatever was asked; then records outside of the page are expected."""
    max_in_flight: ClassVar[int] = 32
    """Requests under way at once, at most."""
    earliest: ClassVar[str | None] = None
    """The first day of which this provider can have any candle; None where nobody knows."""
    settle_seconds: ClassVar[int] = 600
    """For so long after its close a bar may still change (coinbase-pro-node #258); one that was read before is read
    again. 0 where what is closed is final."""
    lists_everything: ClassVar[bool] = False
    """True when a name that the catalogue lacks is one that this provider does not have."""
    serves_any_name: ClassVar[bool] = False
    """True when there is no name that this provider does not have: its catalogue only suggests some."""
    finds_first_bar: ClassVar[bool] = False
    """True when a page before the first bar of a series is answered empty, so that the first can be found by asking."""
    can_be_searched: ClassVar[bool] = False
    """True when `search` finds instruments that the catalogue lacks."""
    catalogue_days: ClassVar[int] = 1
    """For so long a copy of the catalogue is new enough; longer where it costs requests of a quota."""
    usual_pairs: ClassVar[tuple[str, ...]] = ()
    """Stored names to suggest until `catalogue` has answered."""
    volume_unit: ClassVar[str | None] = None
    """What a volume counts: "base units", "ticks", "shares"; None where the provider sends none."""

    def __init__(self, config: Config | Settings | None = None, credentials: Mapping[str, Any] | None = None) -> None:
        """`credentials` is this provider's own section of the settings, and wins over `config`."""
        settings = Settings.load(config)
        section = (settings.model_extra or {}).get(self.name)
        if credentials:
            named = {key: value for key, value in credentials.items() if value is not None}
            section = {**(section if isinstance(section, Mapping) else {}), **named}
        self.settings = settings.model_copy(update={self.name: section or {}})
        self.said_skew = False
        """Whether somebody has been told how far this computer's clock is off: once is enough for all series."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def now(self) -> int:
        """The present instant in epoch seconds, by the provider's own clock as far as its answers have told it."""
        return times.now()

    @property
    def clock_skew(self) -> float:
        """Seconds by which this computer's clock is ahead of the provider's; 0.0 where they agree or none is known."""
        return 0.0

    @property
    def requests_per_second(self) -> float | None:
        """The rate this provider is asked at; None where there is no limit."""
        return None

    @property
    def requests_per_day(self) -> int | None:
        """How many requests a day this provider allows; None where there is no such limit."""
        return None

    def elsewhere(self) -> Sequence[tuple[str, str]]:
        """Other values of its own settings under which the same credentials may be taken: (setting, value)."""
        return ()

    def first_bar_by(self, pair: str, timeframe: str) -> FirstBarBy | None:
        """How the first bar of a series is looked for: by which "pages" are empty, or from the first of its "days",
        which one daily answer tells. None where it is not: nothing tells it, or the answers themselves do."""
        return "pages" if self.finds_first_bar else None

    def check(self, pair: str, timeframe: str) -> None:
        """Raise PermanentError when this provider cannot offer the series, before any request."""
        seconds(timeframe)

    @classmethod
    def check_start(cls, start: int) -> None:
        """Raise InputError for a start (epoch seconds) before anything there can be, before any request."""
        if cls.earliest is not None and start < times.parse_instant(cls.earliest):
            raise InputError(
                f"{times.iso(start)} lies before anything that {cls.name} can have; start at {cls.earliest} or later",
                field="start",
            )

    @classmethod
    def volume_unit_of(cls, pair: str) -> str | None:
        """What the volumes of a stored pair count; `volume_unit` unless the provider trades several kinds."""
        return cls.volume_unit

    @classmethod
    def has_volume(cls, pair: str) -> bool:
        """Whether every record of a stored pair comes with its volume, so that one without it lacks a field."""
        return cls.volume_unit_of(pair) is not None

    def closed_before(self, timeframe: str, now: int) -> int:
        """Bars that open before this instant (epoch seconds) are closed at `now`, later ones are not.

        An hourly bar may open on the half hour or the quarter (shares do), and then closes on it.
        """
        step = seconds(timeframe)
        spacing = min(step, _QUARTER) if timeframe == "1h" else step
        grace = 0 if self.flags_completion else self.settings.close_grace_seconds
        return floor(now - grace, spacing) - step + spacing

    @abstractmethod
    def pages(self, pair: str, timeframe: str, start: int, end: int) -> Sequence[Page]:
        """The requests that cover the opens in [start, end), oldest first, without overlap."""

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        """The requests that cover the opens in ranges [start, end), ascending and apart; what lies between may come
        with them where that costs fewer requests."""
        return [page for start, end in gaps for page in self.pages(pair, timeframe, start, end)]

    @abstractmethod
    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        """Ask for one page. Raises RetriableError after the last try, PermanentError or QuotaError."""

    async def catalogue(self) -> list[Instrument]:
        """What this provider says that it trades; empty when it has no list. Raises as `fetch`."""
        return []

    async def search(self, text: str) -> list[Instrument]:
        """What this provider finds for a part of a symbol or a name, in one request. Raises as `fetch`."""
        return []

    async def get_historical_data(
        self, asset_pair: str, start: times.Instant, end: times.Instant, timeframe: str
    ) -> list[Record]:
        """All closed candles of a range as sent, oldest first. Raises InputError or ProviderError."""
        pair = normalize_pair(asset_pair, self.name)
        first, last = times.parse_range(start, end)
        self.check_start(first)
        self.check(pair, timeframe)
        last = min(last, self.closed_before(timeframe, self.now()))
        records: list[Record] = []
        for page in self.pages(pair, timeframe, first, last):
            fetched = await self._fetch_page(pair, timeframe, page)
            records += await run_to_completion(list, fetched.records)  # in a thread: they may have to be read first
        if self.clock_skew:  # so the answers have told
            last = min(last, self.closed_before(timeframe, self.now()))
        kept = [record for record in records if self._wanted(record, first, last)]
        return sorted(kept, key=lambda record: str(record.get("date", "")))

    async def _fetch_page(self, pair: str, timeframe: str, page: Page) -> Fetched:
        fetched = await self.fetch(pair, timeframe, page)
        if fetched.covers_from is not None and fetched.covers_from > page.start:
            log.warning(
                "%s reaches back to %s only for %s %s", self.name, times.iso(fetched.covers_from), pair, timeframe
            )
        return fetched

    def _wanted(self, record: Record, first: int, last: int) -> bool:
        if self.flags_completion and record.get("complete") is False:
            return False
        try:
            return first <= times.parse_instant(record["date"]) < last
        except (KeyError, ValueError):
            return True  # an unreadable time is for validation to evaluate, not for us to drop


def records_of(elements: Iterable[Any]) -> list[Record]:
    """The elements themselves; one that is not an object is kept whole as {"raw": element}."""
    return [element if isinstance(element, dict) else {"raw": element} for element in elements]


def dates_of(sent: Sequence[Any]) -> list[Any]:
    """ISO 8601 text for each epoch second given as text or int; anything else stays as sent."""
    try:
        if is_epoch("".join(sent)):
            epochs = np.fromiter(map(int, sent), np.int64, len(sent))
            if epochs.max() < YEAR_10000:
                return [f"{text}+00:00" for text in np.datetime_as_string(epochs.astype("datetime64[s]")).tolist()]
    except (TypeError, ValueError, OverflowError):
        pass  # one of them is something else: take them one by one
    return [_date_of(value) for value in sent]


YEAR_10000 = 253_402_300_800
"""Epoch seconds from which on no date has four digits for its year."""


def _date_of(sent: Any) -> Any:
    whole = isinstance(sent, int) and not isinstance(sent, bool)
    if not whole and not (isinstance(sent, str) and is_epoch(sent)):
        return sent
    try:
        return times.iso(int(sent))
    except (ValueError, OverflowError, OSError):
        return sent


def is_epoch(text: str) -> bool:
    """Whether a text is digits and nothing else; those of other scripts are unreadable, as in prices."""
    return text.isascii() and text.isdecimal()


def not_offered(provider: str, what: str, instead: str) -> PermanentError:
    """A clear refusal before any request: what is not to be had, and what is."""
    return PermanentError(f"{provider} does not offer {what}; {instead}")
