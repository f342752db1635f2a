"""Instruments: the last copy of each provider's catalogue, and what was learned about series."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from ffe_core.instruments.model import Instrument, SeriesFacts
from ffe_core.instruments.names import compact
from ffe_core.series import Series
from ffe_core.storage.rows import portions
from ffe_core.storage.state.database import Database, metadata

_TEXTS = (
    *("symbol", "kind", "title", "base", "quote", "exchange", "volume_unit", "listed", "delisted", "status"),
    *("region", "hours"),
)
instruments = sa.Table(
    "instruments",
    metadata,
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    *(sa.Column(name, sa.String) for name in _TEXTS),
    sa.Column("decimals", sa.Integer),
    sa.Column("same_as", sa.JSON, nullable=False),
    sa.Column("compact", sa.String, nullable=False),
    sa.Column("searched", sa.String, nullable=False),
    sa.Column("found_at", sa.Float),
    sa.Index("instruments_by_compact", "provider", "compact"),
    sa.Index("instruments_by_symbol", "provider", "symbol"),
)
"""`compact` is the symbol without separators, `searched` symbol, name and title in small letters; `found_at` is when a
provider found what its catalogue lacks, empty for what that lists."""
_is_listed = instruments.c.found_at.is_(None)
catalogues = sa.Table(
    "catalogues",
    metadata,
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("read_at", sa.Float),
    sa.Column("tried_at", sa.Float, nullable=False),
    sa.Column("error", sa.String),
)
facts = sa.Table(
    "series_facts",
    metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in ("provider", "asset_pair", "timeframe")),
    sa.Column("first_bar", sa.BigInteger),
    sa.Column("last_bar", sa.BigInteger),
    sa.Column("asked_from", sa.BigInteger),
    sa.Column("asked_at", sa.Float),
    sa.Column("hour_offset", sa.Integer),
    sa.Column("listed", sa.String),
)
_LENGTHS = 2
"""How many letters more or fewer a name may have that was probably meant."""
_FACTS = ("first_bar", "last_bar", "asked_from", "asked_at", "hour_offset", "listed")


@dataclass(frozen=True, slots=True)
class CatalogueCopy:
    """When a provider's catalogue was read last and asked for last, in epoch seconds; `error` of the last try."""

    provider: str
    read_at: float | None = None
    tried_at: float | None = None
    error: str | None = None

    @property
    def age(self) -> float:
        """Seconds since it was read; infinite where there is no copy."""
        return float("inf") if self.read_at is None else max(0.0, time.time() - self.read_at)


class InstrumentStore:
    """Reads and writes catalogues and what was learned. StorageError as `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, provider: str, listed: Iterable[Instrument]) -> None:
        """Keep a catalogue that was read now, instead of the copy of before; what was found beside it stays."""
        rows = [_row(instrument) for instrument in listed]
        own = instruments.c.provider == provider
        with self._database.write() as connection:
            connection.execute(instruments.delete().where(own, _is_listed))
            found = set(connection.scalars(sa.select(instruments.c.name).where(own)))
            _remove(connection, own, found & {row["name"] for row in rows})
            if rows:
                connection.execute(instruments.insert(), rows)
            _note(connection, provider, read_at=time.time(), error=None)

    def add_found(self, provider: str, found: Iterable[Instrument]) -> None:
        """Keep what a provider found for somebody, beside its catalogue; what that lists already stays as listed."""
        rows, own = {one.name: _row(one) for one in found}, instruments.c.provider == provider
        with self._database.write() as connection:
            _remove(connection, own & ~_is_listed, rows)
            listed = set(connection.scalars(sa.select(instruments.c.name).where(own, instruments.c.name.in_(rows))))
            if new := [{**row, "found_at": time.time()} for name, row in rows.items() if name not in listed]:
                connection.execute(instruments.insert(), new)

    def failed(self, provider: str, error: str) -> None:
        """Keep what a catalogue could not be read for; the copy of before stays."""
        with self._database.write() as connection:
            _note(connection, provider, error=error)

    def copy_of(self, provider: str) -> CatalogueCopy:
        """When the catalogue was read and tried last."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(catalogues).where(catalogues.c.provider == provider)).first()
        return CatalogueCopy(**row._mapping) if row else CatalogueCopy(provider)

    def get(self, provider: str, name: str) -> Instrument | None:
        """The instrument that is stored under a name."""
        return next(iter(self._where(instruments.c.provider == provider, instruments.c.name == name)), None)

    def of_names(self, provider: str, names: Collection[str]) -> dict[str, Instrument]:
        """The instruments among these stored names."""
        found: dict[str, Instrument] = {}
        for portion in portions(list(names)):
            rows = self._where(instruments.c.provider == provider, instruments.c.name.in_(portion))
            found |= {instrument.name: instrument for instrument in rows}
        return found

    def by_symbol(self, provider: str, symbol: str) -> list[Instrument]:
        """Those that the provider calls exactly so."""
        return self._where(instruments.c.provider == provider, instruments.c.symbol == symbol)

    def by_compact(self, provider: str, text: str) -> list[Instrument]:
        """Those whose symbol has the same letters and digits."""
        return self._where(instruments.c.provider == provider, instruments.c.compact == compact(text))

    def search(self, provider: str | None, text: str, limit: int) -> list[Instrument]:
        """Those with every word of a text in symbol or title: the closest symbols first, delisted ones last."""
        words, letters = text.lower().split(), compact(text)
        wanted = [instruments.c.searched.contains(word, autoescape=True) for word in words]
        said = sa.and_(*wanted) if wanted else sa.true()
        if letters:
            said = sa.or_(said, instruments.c.compact.startswith(letters, autoescape=True))
        closeness = sa.case(
            (instruments.c.symbol == text.upper(), 0),
            (instruments.c.compact == letters, 1),
            (instruments.c.compact.startswith(letters, autoescape=True), 2),
            else_=3,
        )
        order = (instruments.c.status == "delisted", closeness, sa.func.length(instruments.c.symbol))
        where = [said] if provider is None else [said, instruments.c.provider == provider]
        return self._where(*where, order=order, limit=limit)

    def count(self, provider: str) -> int:
        """How many instruments the copy has; what was found beside it is not counted."""
        query = (
            sa.select(sa.func.count()).select_from(instruments).where(instruments.c.provider == provider, _is_listed)
        )
        with self._database.read() as connection:
            return int(connection.scalar(query) or 0)

    def symbols_like(self, provider: str, text: str) -> list[str]:
        """Symbols of about the length of a text that begin as it does, separators aside."""
        letters, length = compact(text), sa.func.length(instruments.c.compact)
        query = sa.select(instruments.c.symbol).where(
            instruments.c.provider == provider,
            length.between(len(letters) - _LENGTHS, len(letters) + _LENGTHS),
            instruments.c.compact.startswith(letters[:1], autoescape=True),
        )
        with self._database.read() as connection:
            return [str(symbol) for symbol in connection.scalars(query)]

    def learn(self, series: Series, **known: Any) -> None:
        """Keep what was learned about a series; what is not named stays."""
        key = {"provider": series.provider, "asset_pair": series.asset_pair, "timeframe": series.timeframe}
        with self._database.write() as connection:
            where = sa.and_(*(facts.c[name] == value for name, value in key.items()))
            if connection.execute(facts.update().where(where).values(**known)).rowcount == 0:
                connection.execute(facts.insert().values(**key, **known))

    def facts_of(self, provider: str, asset_pair: str) -> dict[str, SeriesFacts]:
        """What is known about each timeframe of a pair."""
        query = sa.select(facts).where(facts.c.provider == provider, facts.c.asset_pair == asset_pair)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.timeframe: SeriesFacts(**{name: getattr(row, name) for name in _FACTS}) for row in rows}

    def all_facts(self) -> dict[tuple[str, str], dict[str, SeriesFacts]]:
        """What is known of every provider's pairs and their timeframes."""
        found: dict[tuple[str, str], dict[str, SeriesFacts]] = {}
        with self._database.read() as connection:
            for row in connection.execute(sa.select(facts)):
                known = SeriesFacts(**{name: getattr(row, name) for name in _FACTS})
                found.setdefault((row.provider, row.asset_pair), {})[row.timeframe] = known
        return found

    def _where(self, *wanted: Any, order: Sequence[Any] = (), limit: int | None = None) -> list[Instrument]:
        query = sa.select(instruments).where(*wanted)
        if order:
            query = query.order_by(*order, "symbol", "name").limit(limit)
        with self._database.read() as connection:
            found = [_instrument(row) for row in connection.execute(query)]
        # SQLite would go through all symbols of a provider in their order rather than look up a few and sort them.
        return found if order else sorted(found, key=lambda one: (one.symbol, one.name))


def _note(connection: sa.Connection, provider: str, **values: Any) -> None:
    values["tried_at"] = time.time()
    if connection.execute(catalogues.update().where(catalogues.c.provider == provider).values(**values)).rowcount == 0:
        connection.execute(catalogues.insert().values(provider=provider, **values))


def _remove(connection: sa.Connection, where: sa.ColumnElement[bool], names: Collection[str]) -> None:
    for some in portions(list(names)):
        connection.execute(instruments.delete().where(where, instruments.c.name.in_(some)))


def _row(instrument: Instrument) -> dict[str, Any]:
    searched = f"{instrument.symbol} {instrument.name} {instrument.title}".lower()
    same_as = list(instrument.same_as)
    return {**asdict(instrument), "same_as": same_as, "compact": compact(instrument.symbol), "searched": searched}


def _instrument(row: sa.Row[Any]) -> Instrument:
    values = {name: getattr(row, name) for name in ("provider", "name", *_TEXTS, "decimals")}
    return Instrument(**{**values, "title": values["title"] or "", "same_as": tuple(row.same_as)})
