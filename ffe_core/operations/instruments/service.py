"""Instrument verbs: find what a provider trades, resolve what somebody typed, and say whose a stored name is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ffe_core.calendars.hour_grid import offset_of
from ffe_core.errors import InputError
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import compact, identity_of, normalize_pair, parts_of, split_pair
from ffe_core.operations.instruments.catalogues import Catalogues
from ffe_core.operations.instruments.resolved import (
    AmbiguousInstrument,
    Resolved,
    SameBook,
    SymbolReused,
    UnknownInstrument,
)
from ffe_core.providers import provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.instruments import InstrumentStore

log = logging.getLogger(__name__)
_NEAREST = 3
_MOST_SUGGESTED = 2_000
Stored = Callable[[str, str], bool]
"""Whether there are candles of a stored name at a provider."""


class Instruments:
    """Everything people ask about instruments. Safe to use from any thread."""

    def __init__(
        self, settings: Settings, database: Database, is_stored: Stored = lambda provider, name: False
    ) -> None:
        self._settings = settings
        self.store = InstrumentStore(database)
        self._is_stored = is_stored
        self.catalogues = Catalogues(settings, self.store)

    def search(self, text: str, provider: str | None = None, limit: int = 50) -> list[Instrument]:
        """Instruments with every word of a text in symbol or name, the closest first."""
        return self.store.search(provider, text.strip(), limit)

    def known(self, provider: str, name: str) -> Instrument | None:
        """The instrument that is stored under a name, as its provider's catalogue has it."""
        return self.store.get(provider, name)

    def has_name(self, provider: str, text: str) -> bool:
        """Whether a typed text is a symbol or a stored name of a provider's catalogue, as it stands."""
        typed = text.upper()
        return self.store.get(provider, typed) is not None or bool(self.store.by_symbol(provider, typed))

    def suggested(self, provider: str) -> list[str]:
        """Stored names to offer before anything is typed; a catalogue that is old or missing is read meanwhile."""
        self.catalogues.refresh_in_background(provider)
        usual = provider_class(provider).usual_pairs
        if 0 < self.store.count(provider) <= _MOST_SUGGESTED:
            listed = [one.name for one in self.store.search(provider, "", _MOST_SUGGESTED) if one.status == "listed"]
            return [*(name for name in usual if name in listed), *sorted(set(listed) - set(usual))]
        return list(usual)

    def is_listed(self, provider: str, name: str) -> bool | None:
        """Whether a provider's catalogue has a stored name; None where that cannot be said."""
        if self.store.count(provider) == 0 or not provider_class(provider).lists_everything:
            return None
        return self.store.get(provider, name) is not None

    def resolve(
        self, provider: str, texts: Iterable[str], *, allow_same_book: bool = False, refresh: bool = True
    ) -> list[Resolved]:
        """What typed names come to at a provider, each once, in their order.

        A catalogue that is old, or lacks a name, is read anew first; one that cannot be read leaves the copy of before
        in charge, and without any copy names are taken as typed. With `refresh` False nobody is asked here: it is read
        behind the scenes, for the next time. NotResolved (UnknownInstrument, AmbiguousInstrument, SymbolReused,
        SameBook) for a name that cannot be asked for as it stands, InputError for what cannot be a name.
        """
        found: dict[str, Resolved] = {}
        if refresh:
            self.catalogues.renew_if_old(provider)
        else:
            self.catalogues.refresh_in_background(provider)
        for text in texts:
            resolved = self._resolved(provider, text, refresh)
            found.setdefault(resolved.name, resolved)
        if not allow_same_book:
            self.check_books(provider, list(found.values()))
        return list(found.values())

    def check_books(self, provider: str, resolved: Sequence[Resolved]) -> None:
        """SameBook for a name whose other name is asked for too, or stored already while this one is not."""
        names = {one.name for one in resolved}
        for one in resolved:
            for other in one.instrument.same_as if one.instrument else ():
                is_new = self._is_stored(provider, other) and not self._is_stored(provider, one.name)
                if other in names or is_new:
                    raise SameBook(
                        f"{one.name} and {other} are one order book at {provider} under two names; storing both doubles"
                        " the market. Ask for one of them, or say that you want both",
                        command=" (--same-book)",
                    )

    def bind(self, provider: str, resolved: Iterable[Resolved]) -> None:
        """Remember which listing is stored under each name, for those that have none yet."""
        for one in resolved:
            if one.instrument is None or one.instrument.listed is None:
                continue
            if self._bound(provider, one.name) is None:
                self.store.learn(Series(one.name, "", provider), listed=one.instrument.listed)

    def accept_listing(self, provider: str, text: str) -> Instrument:
        """Say that a name's listing day was only corrected: what is stored belongs to the instrument listed now."""
        name = self._stored_name(provider, text)
        instrument = self.store.get(provider, name)
        if instrument is None or instrument.listed is None:
            raise InputError(f"{provider} lists no day for {name}; nothing is to be accepted", field="pair")
        self.store.learn(Series(name, "", provider), listed=instrument.listed)
        return instrument

    def accept_grid(self, provider: str, text: str, grid: str) -> tuple[Series, int, int | None]:
        """Say where in the hour the hourly bars of a share open from now on: "half-hour", "hour", or "session", as
        its market counts them. The series, the offset of now, that of before. InputError for what has no such grid."""
        series = Series.of(self._stored_name(provider, text), "1h", provider)
        if not series.has_hour_grid:
            raise InputError(f"{series.asset_pair} is no share; its hourly bars open on the full hour", field="grid")
        offset = offset_of(self._settings.calendars.market_of(provider, series.asset_pair), grid)
        known = self.store.facts_of(provider, series.asset_pair).get("1h")
        self.store.learn(series, hour_offset=offset)
        return series, offset, known.hour_offset if known else None

    def grid_of(self, provider: str, name: str) -> int | None:
        """Where in the hour the hourly bars of a stored name open, in seconds; None where that is not known yet."""
        known = self.store.facts_of(provider, name).get("1h")
        return known.hour_offset if known else None

    def _stored_name(self, provider: str, text: str) -> str:
        """The name of what is stored, or may be, whose listing or grid is said; InputError where several fit."""
        name = normalize_pair(text, provider)
        pool = [] if self._is_stored(provider, name) else self._candidates(provider, text, name)
        if len(pool) > 1:
            raise self._ambiguous(provider, text, pool)
        return pool[0].name if pool else name

    def _resolved(self, provider: str, text: str, refresh: bool) -> Resolved:
        name = normalize_pair(text, provider)
        if (listed := identity_of(provider, name).listed) is not None:
            return self._of_listing(provider, text, name, listed)
        has_copy = self.catalogues.copy_of(provider).read_at is not None
        pool = self._candidates(provider, text, name)
        may_help = not pool and self.catalogues.may_help(provider, name)
        if may_help and refresh:
            self.catalogues.try_to_refresh(provider)
            has_copy = self.catalogues.copy_of(provider).read_at is not None
            pool = self._candidates(provider, text, name)
        elif may_help:
            self.catalogues.try_in_background(provider)
        if not pool and not has_copy:  # as it was before it was looked up: a list may come at any moment
            return Resolved(text, name, is_awaited=may_help and not refresh)
        if len(pool) > 1:
            raise self._ambiguous(provider, text, pool)
        if pool:
            return self._checked(text, pool[0])
        note, nearest = self._note_or_refusal(provider, text, name)
        return Resolved(text, name, None, note, is_awaited=may_help and not refresh, nearest=nearest)

    def _candidates(self, provider: str, text: str, name: str) -> list[Instrument]:
        """What a text fits: an exact symbol, else a stored name, else the same letters; delisted ones only alone."""
        named = self.store.get(provider, name)
        exact = self.store.by_symbol(provider, " ".join(text.upper().split()))
        if named is not None and (named in exact or not exact):
            return [named]
        pool = exact or self.store.by_compact(provider, text)
        if exact and split_pair(name, provider) and self._is_stored(provider, name):
            return []  # what is stored under the name goes on meaning what it meant
        live = [one for one in pool if one.status != "delisted"] or pool
        return [one for one in live if parts_of(one.symbol) == parts_of(text)] or live

    def _of_listing(self, provider: str, text: str, name: str, listed: str) -> Resolved:
        """What SYMBOL@DAY comes to: the listing of that day, if it is the one that the symbol means now."""
        symbol = identity_of(provider, name).symbol
        listings = self.store.by_symbol(provider, symbol)
        now = next((one for one in listings if one.status != "delisted"), None)
        if now is not None and now.listed != listed:
            raise SymbolReused(
                f"{text}: {symbol} means {now.title or 'another instrument'}, listed {now.listed or 'another day'}, at"
                f" {provider} now; candles of the one listed on {listed} cannot be asked for any more"
            )
        found = now or next((one for one in listings if one.listed == listed), None)
        return Resolved(text, name, replace(found, name=name) if found else None)

    def _note_or_refusal(self, provider: str, text: str, name: str) -> tuple[str | None, tuple[str, ...]]:
        """What to say of a name that no catalogue has, and the nearest symbols; UnknownInstrument where that means that
        there is none."""
        if self.store.count(provider) == 0:
            return None, ()
        known = provider_class(provider)
        if known.serves_any_name:
            return None, ()
        codes = split_pair(name, provider)
        if codes and not known.lists_everything and all(self.store.search(provider, code, 1) for code in codes):
            return None, ()
        nearest = tuple(self._nearest(provider, text))
        hint = f"; the nearest it lists: {', '.join(nearest)}" if nearest else ""
        if known.lists_everything and not self._is_stored(provider, name):
            raise UnknownInstrument(
                f"{provider} lists no {text!r}{hint}",
                nearest,
                f". Look for it with: ffe instruments --provider {provider} TEXT",
            )
        return f"{provider} does not list {text!r}, so it is asked for as typed{hint}", nearest

    def _nearest(self, provider: str, text: str) -> list[str]:
        by_letters = {compact(symbol): symbol for symbol in self.store.symbols_like(provider, text)}
        return [by_letters[near] for near in get_close_matches(compact(text), by_letters, _NEAREST)]

    def _checked(self, text: str, instrument: Instrument) -> Resolved:
        bound = self._bound(instrument.provider, instrument.name)
        if bound is not None and instrument.listed is not None and bound != instrument.listed:
            apart = f"{instrument.name}@{instrument.listed}"
            raise SymbolReused(
                f"{instrument.name} was stored as the instrument listed on {bound}; {instrument.provider} lists"
                f" {instrument.symbol} ({instrument.title or 'no name'}) since {instrument.listed}. Ask for {apart} to"
                f" store the new one apart",
                [apart],
                f", or, if only the day was corrected, say so with: ffe instruments --provider {instrument.provider}"
                f" --accept {instrument.name}",
            )
        note = None
        if instrument.status == "delisted":
            when = f" on {instrument.delisted}" if instrument.delisted else ""
            note = f"{instrument.symbol} was delisted{when}: nothing after that is asked for or missing"
        elif instrument.same_as:
            note = f"{instrument.symbol} is the same order book as {', '.join(instrument.same_as)}"
        return Resolved(text, instrument.name, instrument, note)

    def _ambiguous(self, provider: str, text: str, pool: Sequence[Instrument]) -> AmbiguousInstrument:
        listed = ", ".join(f"{one.symbol} ({one.title or one.kind})" for one in pool)
        names = [one.name for one in pool]
        return AmbiguousInstrument(
            f"{text!r} fits {len(pool)} instruments of {provider}: {listed}; type the one you mean as it is stored:"
            f" {' or '.join(names)}",
            names,
        )

    def _bound(self, provider: str, name: str) -> str | None:
        known = self.store.facts_of(provider, name).get("")
        return known.listed if known else None
