"""Instrument verbs: find what a provider trades, resolve what somebody typed, and read its catalogue anew."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from ffe_core.calendars.hour_grid import offset_of
from ffe_core.errors import FFEError, InputError, RetriableError, StorageError
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import compact, identity_of, normalize_pair, parts_of, split_pair
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.instruments import CatalogueCopy, InstrumentStore

log = logging.getLogger(__name__)
_DAY = 86_400.0
_TRY_AGAIN = 3_600.0
"""Seconds until a catalogue that could not be read is asked for again unasked."""
_NEAREST = 3
_REFRESH_SECONDS = 120.0
_MOST_SUGGESTED = 2_000
_CLOSE_SECONDS = 10.0
Question = Callable[[Provider], Awaitable[list[Instrument]]]
Stored = Callable[[str, str], bool]
"""Whether there are candles of a stored name at a provider."""


class NotResolved(InputError):
    """A name that cannot be asked for as it stands.

    `choices` are names to ask for instead, `said` is the message without what to type on the command line.
    """

    def __init__(self, said: str, choices: Sequence[str] = (), command: str = "") -> None:
        super().__init__(said + command, field="pair")
        self.said, self.choices = said, tuple(choices)


class UnknownInstrument(NotResolved):
    """A name that a whole catalogue lacks; `nearest` are symbols that look like it."""

    code = "unknown_instrument"

    @property
    def nearest(self) -> tuple[str, ...]:
        """The choices."""
        return self.choices


class AmbiguousInstrument(NotResolved):
    """A name that fits several instruments; `names` are theirs."""

    code = "ambiguous_instrument"

    @property
    def names(self) -> tuple[str, ...]:
        """The choices."""
        return self.choices


class SymbolReused(NotResolved):
    """A stored name whose symbol means another instrument at its provider now; the choice is the new one's own name."""

    code = "symbol_reused"


class SameBook(NotResolved):
    """Two names of one order book: storing both would double the market."""

    code = "same_book"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a typed name came to: the stored name, the instrument if the catalogue has it, and what to say about it.

    `is_awaited`: the catalogue is being read behind the scenes and may know the name. `nearest`: symbols that look
    like a name which the catalogue lacks.
    """

    typed: str
    name: str
    instrument: Instrument | None = None
    note: str | None = None
    is_awaited: bool = False
    nearest: tuple[str, ...] = ()


class Instruments:
    """Everything people ask about instruments. Safe to use from any thread."""

    def __init__(
        self, settings: Settings, database: Database, is_stored: Stored = lambda provider, name: False
    ) -> None:
        self._settings = settings
        self.store = InstrumentStore(database)
        self._is_stored = is_stored
        self._asking: dict[str, threading.Thread] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Break off what is read behind the scenes, and begin nothing more: the database may be closed after it."""
        with self._lock:
            self._is_closed = True
            threads = list(self._asking.values())
            for task in self._tasks:
                task.get_loop().call_soon_threadsafe(task.cancel)
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def search(self, text: str, provider: str | None = None, limit: int = 50) -> list[Instrument]:
        """Instruments with every word of a text in symbol or name, the closest first."""
        return self.store.search(provider, text.strip(), limit)

    def known(self, provider: str, name: str) -> Instrument | None:
        """The instrument that is stored under a name, as its provider's catalogue has it."""
        return self.store.get(provider, name)

    def copy_of(self, provider: str) -> CatalogueCopy:
        """When a provider's catalogue was read and tried last."""
        return self.store.copy_of(provider)

    def suggested(self, provider: str) -> list[str]:
        """Stored names to offer before anything is typed; a catalogue that is old or missing is read meanwhile."""
        self.refresh_in_background(provider)
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

    def refresh(self, provider: str) -> CatalogueCopy:
        """Read a provider's catalogue now; what fails is kept beside the old copy, and raised.

        ProviderError, InputError for missing credentials, StorageError. Not from within an event loop.
        """
        try:
            listed = self.ask(provider, lambda opened: opened.catalogue())
        except (FFEError, InputError) as error:
            self.store.failed(provider, redact(str(error)))
            raise
        self.store.replace(provider, listed)
        return self.store.copy_of(provider)

    def ask(self, provider: str, question: Question) -> list[Instrument]:
        """What a provider answers to a question about its instruments, asked now. ProviderError, InputError for missing
        credentials. Not from within an event loop."""
        return asyncio.run(self._asked(provider, question))

    def refresh_in_background(self, provider: str) -> None:
        """Read a catalogue that is old or missing, behind the scenes, at most once an hour."""
        if self._is_due(provider):
            self.start_reading(provider, self._try_to_refresh)

    def read_again(self, provider: str, audit: Audit, actor: str) -> None:
        """Read a catalogue behind the scenes because somebody asks for it; `copy_of` tells what came of it.

        StorageError, and nothing is read, if the act cannot be written down.
        """
        act = ExitStack()

        def read(provider: str) -> None:
            with suppress(FFEError, InputError), act:
                self.refresh(provider)

        act.enter_context(audit.act(actor, "read catalogue", provider))
        if not self.start_reading(provider, read):
            act.close()  # the one that is under way will do

    def is_reading(self, provider: str) -> bool:
        """Whether a catalogue is being read behind the scenes."""
        with self._lock:
            return provider in self._asking

    def start_reading(self, provider: str, read: Callable[[str], None]) -> bool:
        """Read behind the scenes; False where that is under way already, or everything is being closed."""
        named = f"catalogue of {provider}"
        thread = threading.Thread(target=self._quietly, args=(provider, read), name=named, daemon=True)
        with self._lock:
            if provider in self._asking or self._is_closed:
                return False
            self._asking[provider] = thread
            thread.start()
        return True

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
            self._renew_if_old(provider)
        else:
            self.refresh_in_background(provider)
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
        has_copy = self.store.copy_of(provider).read_at is not None
        pool = self._candidates(provider, text, name)
        may_help = not pool and self._may_help(provider, name)
        if may_help and refresh:
            self._try_to_refresh(provider)
            has_copy = self.store.copy_of(provider).read_at is not None
            pool = self._candidates(provider, text, name)
        elif may_help:
            self.start_reading(provider, self._try_to_refresh)
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

    def _may_help(self, provider: str, name: str) -> bool:
        """Whether reading the catalogue may tell what a name is: one it lacks, or one whose form says too little."""
        copy = self.store.copy_of(provider)
        if copy.tried_at is not None and time.time() - copy.tried_at < _TRY_AGAIN:
            return False
        if copy.read_at is not None:
            return copy.age > _DAY
        return provider_class(provider).lists_everything and not identity_of(provider, name).is_pair

    def _renew_if_old(self, provider: str) -> None:
        copy = self.store.copy_of(provider)
        if copy.read_at is not None and self._is_due(provider):
            self._try_to_refresh(provider)

    def _is_due(self, provider: str) -> bool:
        copy = self.store.copy_of(provider)
        if copy.tried_at is not None and time.time() - copy.tried_at < _TRY_AGAIN:
            return False
        return copy.age > provider_class(provider).catalogue_days * _DAY

    def _try_to_refresh(self, provider: str) -> None:
        try:
            self.refresh(provider)
        except (FFEError, InputError) as error:
            log.warning("the catalogue of %s could not be read: %s", provider, error)

    def _quietly(self, provider: str, read: Callable[[str], None]) -> None:
        try:
            read(provider)
        except StorageError as error:
            log.warning("the catalogue of %s could not be kept: %s", provider, error)
        except asyncio.CancelledError:
            log.info("the catalogue of %s was not read to its end: the program ends", provider)
        finally:
            with self._lock:
                self._asking.pop(provider, None)

    @contextmanager
    def _breakable(self) -> Iterator[None]:
        """Lets `close` cancel the task; cancelled at once if everything is being closed already."""
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._is_closed:
                raise asyncio.CancelledError
            self._tasks.add(task)
        try:
            yield
        finally:
            with self._lock:
                self._tasks.discard(task)

    async def _asked(self, provider: str, question: Question) -> list[Instrument]:
        with self._breakable():
            return await self._answered(provider, question)

    async def _answered(self, provider: str, question: Question) -> list[Instrument]:
        try:
            async with asyncio.timeout(_REFRESH_SECONDS), provider_class(provider)(config=self._settings) as opened:
                return await question(opened)
        except TimeoutError:
            raise RetriableError(
                f"{provider} did not send its catalogue, or what was searched for, within {_REFRESH_SECONDS:.0f} s;"
                " try again later"
            ) from None


def names_of(resolved: Collection[Resolved]) -> list[str]:
    """The stored names."""
    return [one.name for one in resolved]
