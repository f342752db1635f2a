"""Requests of schedules: the series, the trigger and the request that a tick makes, as they are now.

A schedule may name a watchlist instead of series; what is on the list counts when it fires.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from ffe_core.errors import InputError
from ffe_core.ingestion import plan
from ffe_core.ingestion.multi_asset_batch_ingester import every_series
from ffe_core.operations.runs.backfill import BackfillRequest, beginning_of, is_beginning
from ffe_core.operations.schedules.due import asked_range
from ffe_core.operations.schedules.triggers import Trigger, parse
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.watchlists import Watchlist, Watchlists


class Chosen(Protocol):
    """What both a schedule and a draft of one say about series, trigger and range."""

    @property
    def watchlist(self) -> str | None: ...
    @property
    def provider(self) -> str: ...
    @property
    def pairs(self) -> tuple[str, ...]: ...
    @property
    def timeframes(self) -> tuple[str, ...]: ...
    @property
    def mode(self) -> str: ...
    @property
    def trigger(self) -> str: ...
    @property
    def since(self) -> str: ...


class Plans:
    """Reads watchlists and settings on behalf of schedules."""

    def __init__(self, settings: Settings, watchlists: Watchlists) -> None:
        self.settings = settings
        self._watchlists = watchlists

    def series(self, chosen: Chosen) -> tuple[Series, ...]:
        """The series it names now. InputError for a watchlist that is gone, no series, or a bad name."""
        if chosen.watchlist is None:
            return tuple(every_series(chosen.pairs, chosen.timeframes, chosen.provider))
        return tuple(self._watchlist(chosen.watchlist).series())

    def since(self, chosen: Chosen) -> str:
        """Where it begins, as `parse_since` reads it: of "beginning" the first day of which its provider can have
        anything. InputError where it does not say."""
        if not is_beginning(chosen.since):
            return chosen.since
        provider = chosen.provider if chosen.watchlist is None else self._watchlist(chosen.watchlist).provider
        return beginning_of(provider_class(provider), "since")

    def _watchlist(self, name: str) -> Watchlist:
        found = self._watchlists.get(name)
        if found is None:
            raise InputError(
                f"there is no watchlist named {name!r}; choose another or name the pairs", field="watchlist"
            )
        return found

    def trigger(self, chosen: Chosen) -> Trigger:
        """Its trigger; the calendars of its series are only looked at where they matter."""
        needs_series = chosen.trigger.split()[:1] == ["bar"]
        return parse(chosen.trigger, self.series(chosen) if needs_series else (), self.settings)

    def request(self, chosen: Chosen, due: int, now: int, fills_from: int | None = None) -> BackfillRequest:
        """What a tick due at `due` and started `now` asks for; `fills_from` is the first missed one it stands in for.

        InputError for what cannot be asked.
        """
        series = self.series(chosen)
        start, end = asked_range(self.since(chosen), due, now, fills_from)
        if end <= start:
            raise InputError(
                f"{chosen.since} lies in the future; give a date in the past or days like 30d", field="since"
            )
        return BackfillRequest(series[0].provider, series, start, end, plan.check_mode(chosen.mode))


def without(request: BackfillRequest, busy: frozenset[Series]) -> BackfillRequest:
    """The request for just the series that nobody else works on."""
    return replace(request, series=tuple(one for one in request.series if one not in busy))
