"""Question of a reader: which stored series, which range and which bars are meant by what was typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ffe_core import times
from ffe_core.adjustments.actions import Actions
from ffe_core.adjustments.factors import Steps
from ffe_core.calendars.zones import from_local
from ffe_core.candles import table_name
from ffe_core.errors import InputError
from ffe_core.insight.adjusted import adjustment_of
from ffe_core.insight.aggregate import UTC, BarSize, fits, size_named
from ffe_core.insight.bars import Moment, moment_micros
from ffe_core.insight.stored import is_stored, providers_of, require_stored
from ffe_core.instruments.lists import split_names
from ffe_core.instruments.matching import meant
from ffe_core.locations import lake_address, local_folder
from ffe_core.series import Series
from ffe_core.settings import Config, Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.timeframes import TIMEFRAMES, seconds

Lake = DeltaLakeManager | str | Path


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What to read: series of one table, each once, and the bars of them that open in [start, end), epoch seconds."""

    snapshot: Snapshot
    series: tuple[Series, ...]
    start: int
    end: int
    known_at: int | None
    """Epoch microseconds; None for the current view."""
    size: BarSize | None
    """What to resample to; None for bars as they are stored."""
    adjust: str | None = None
    """What values are adjusted for; None for bars as they were traded."""
    steps: Mapping[Series, Steps] = field(default_factory=dict)
    """What each series is adjusted by."""

    def source_range(self) -> tuple[int, int]:
        """The range in which the stored bars open that these are made of."""
        if self.size is None:
            return self.start, self.end
        first, last = (int(at) for at in self.size.buckets(np.array([self.start, self.end - 1])))
        whole, end = (int(at) for at in self.size.after(np.array([first, last])))
        return (first if first == self.start else whole), end


def asked(
    lake: DeltaLakeManager,
    pairs: str | Iterable[str],
    timeframe: str,
    start: times.Instant | None,
    end: times.Instant | None,
    provider: str | None = None,
    as_known_at: Moment | str | None = None,
    resample: str | None = None,
    zone: str = UTC,
    adjust: str | None = None,
    config: Config | Settings | None = None,
) -> Asked:
    """What is meant. InputError, naming the argument and what there is, for what cannot be read; StorageError.

    Without a start, the larger bar that holds the first stored one counts, although it may open before it. `config`
    says in which data directory the splits and dividends lie that `adjust` is about.
    """
    wanted = [pairs] if isinstance(pairs, str) else list(pairs)
    names = list(dict.fromkeys(name for text in wanted for name in split_names(text)))
    if not names:
        raise InputError("none given; name at least one, for example BTCUSD", field="pairs")
    moment = moment_micros(
        times.parse_moment(as_known_at, "as_known_at") if isinstance(as_known_at, str) else as_known_at
    )
    source, size = _sizes(lake, names, timeframe, (start, end), provider, resample, zone)
    snapshot, series = _stored(lake, names, source, provider)
    first, last = _range(snapshot, series, start, end, zone)
    if start is None and size is not None:
        first = int(size.buckets(np.array([first]))[0])
    return adjusted(Asked(snapshot, series, first, last, moment, size), adjust, config)


def adjusted(question: Asked, adjust: str | None, config: Config | Settings | None) -> Asked:
    """The same question of bars adjusted by the splits and dividends on record in the settings' data directory.

    InputError for an adjustment that there is not, if nothing is on record of it, and as `steps_of`; StorageError.
    """
    if adjust is None:
        return question
    adjustment = adjustment_of(Actions(Settings.load(config).data_dir), adjust)
    assert adjustment is not None
    start, known_at = question.source_range()[0], question.known_at
    steps = {one: adjustment.steps(question.snapshot, one, start, known_at) for one in question.series}
    return replace(question, adjust=adjust, steps=steps)


def lake_of(lake: Lake | None, config: Config | Settings | None) -> DeltaLakeManager:
    """The lake that is meant; the one of the settings if none is named. InputError for a place that cannot be.

    Settings are a quarter of what a year of hourly bars takes, so they are read where they are needed only.
    """
    if isinstance(lake, DeltaLakeManager):
        return lake
    address = Settings.load(config).lake_uri if lake is None else lake_address(lake, "lake")
    if local_folder(address) is not None:
        return _opened(address, None)
    return _opened(address, tuple(sorted(Settings.load(config).store.options(address).items())))


@lru_cache(maxsize=8)
def _opened(address: str, options: tuple[tuple[str, str], ...] | None) -> DeltaLakeManager:
    """One object a lake: it keeps the newest snapshot of each table until a commit follows it."""
    return DeltaLakeManager(address, None if options is None else dict(options))


def _sizes(
    lake: DeltaLakeManager,
    names: Sequence[str],
    timeframe: str,
    span: tuple[times.Instant | None, times.Instant | None],
    provider: str | None,
    resample: str | None,
    zone: str,
) -> tuple[str, BarSize | None]:
    """The stored timeframe to read, and the size to make of it; None where that is the same."""
    if resample is not None:
        if timeframe not in TIMEFRAMES:
            raise InputError(
                f"{timeframe!r} is not stored; give one of {', '.join(TIMEFRAMES)} to resample from", field="timeframe"
            )
        return timeframe, size_named(resample, zone, "resample")
    if timeframe in TIMEFRAMES and zone == UTC:
        return timeframe, None
    size = size_named(timeframe, zone, "timeframe")
    return source_of(lake, names, size, span, provider), size


def source_of(
    lake: DeltaLakeManager,
    names: Sequence[str],
    size: BarSize,
    span: tuple[times.Instant | None, times.Instant | None],
    provider: str | None,
) -> str:
    """The stored timeframe that a size is made of: of those that fit, the one with most of the range, or the largest.

    InputError if one of the pairs is stored in none that fits, or from several providers and none is named.
    """
    fitting = [name for name in TIMEFRAMES if fits(size, name)]
    if provider is None:
        for name in names:
            _require_one_provider(lake, name, fitting)
    held = {name: _held(lake, names, name, span, provider, size.zone) for name in reversed(fitting)}
    best = max(held, key=lambda name: held[name], default=None)
    if best is None or held[best] < 0:
        raise InputError(
            f"{size.name} on the grid of {size.zone} is made of {' or '.join(fitting) or 'bars under 1m'}, and"
            f" {', '.join(names[:5])} is stored in none of these; backfill one of them first",
            field="timeframe",
        )
    return best


def _require_one_provider(lake: DeltaLakeManager, name: str, timeframes: Sequence[str]) -> None:
    """InputError where a pair is stored from several providers: most bars do not say which one is meant."""
    found: set[str] = set()
    for timeframe in timeframes:
        if (snapshot := lake.snapshot(table_name(timeframe))) is not None:
            found.update(providers_of(snapshot, meant(name, snapshot.pairs()), timeframe))
    if len(found) > 1:
        raise InputError(f"{name} is stored from {', '.join(sorted(found))}; name one of them", field="provider")


def _holds(snapshot: Snapshot, name: str, timeframe: str, provider: str | None) -> bool:
    """Whether a table has bars of a pair; InputError as `meant`, which is no "not stored"."""
    if provider is not None and is_stored(snapshot, Series(name, timeframe, provider)):
        return True
    pair = meant(name, snapshot.pairs())
    if provider is None:
        return bool(providers_of(snapshot, pair, timeframe))
    return is_stored(snapshot, Series(pair, timeframe, provider))


def _held(
    lake: DeltaLakeManager,
    names: Sequence[str],
    timeframe: str,
    span: tuple[times.Instant | None, times.Instant | None],
    provider: str | None,
    zone: str,
) -> int:
    """Seconds of the range that the pairs are stored in, added up; -1 if one of them is not stored at all."""
    snapshot = lake.snapshot(table_name(timeframe))
    if snapshot is None or not all(_holds(snapshot, name, timeframe, provider) for name in names):
        return -1
    series = dict.fromkeys(_series(lake, snapshot, name, timeframe, provider) for name in names)
    start, end = _range(snapshot, tuple(series), *span, zone)
    found = (snapshot.files(one) for one in series)
    ends = [(int(files.first.min()), int(files.last.max()) + seconds(timeframe)) for files in found]
    return sum(max(0, min(end, last) - max(start, first)) for first, last in ends)


def _stored(
    lake: DeltaLakeManager, names: Sequence[str], timeframe: str, provider: str | None
) -> tuple[Snapshot, tuple[Series, ...]]:
    """The series that are meant, each once. InputError, listing what there is, for one that is not stored."""
    snapshot = lake.snapshot(table_name(timeframe))
    if snapshot is None:
        require_stored(lake, Series(names[0], timeframe, provider or "any provider"))
        raise AssertionError("a table that is not there holds nothing")
    found = dict.fromkeys(_series(lake, snapshot, name, timeframe, provider) for name in names)
    return snapshot, tuple(found)


def _series(lake: DeltaLakeManager, snapshot: Snapshot, name: str, timeframe: str, provider: str | None) -> Series:
    if provider is not None and is_stored(snapshot, exact := Series(name, timeframe, provider)):
        return exact
    pair = meant(name, snapshot.pairs())
    if provider is not None:
        require_stored(lake, series := Series(pair, timeframe, provider))
        return series
    providers = providers_of(snapshot, pair, timeframe)
    if len(providers) > 1:
        raise InputError(
            f"{pair} {timeframe} is stored from {', '.join(providers)}; name one of them", field="provider"
        )
    if not providers:
        require_stored(lake, Series(pair, timeframe, "any provider"))
    return Series(pair, timeframe, providers[0])


def _range(
    snapshot: Snapshot,
    series: Sequence[Series],
    start: times.Instant | None,
    end: times.Instant | None,
    zone: str,
) -> tuple[int, int]:
    """The range that is meant: a date is that whole day of the zone, and without an end it is all that is stored."""
    files = [snapshot.files(one) for one in series]
    first = min(int(one.first.min()) for one in files) if start is None else _instant(start, zone, "start")
    last = max(int(one.last.max()) for one in files) + 1 if end is None else _instant(end, zone, "end", is_end=True)
    if last <= first:
        shown = "the end of what is stored" if end is None else end
        raise InputError(
            f"{shown} is not after start {start}; give a range such as 2024-01-01 to 2024-01-31", field="end"
        )
    return first, last


def _instant(given: times.Instant, zone: str, field: str, *, is_end: bool = False) -> int:
    at = times.parse_instant(given, field, end=is_end)
    if zone == UTC or not times.is_date(given):
        return at
    return int(from_local(np.array([at]), zone)[0])
