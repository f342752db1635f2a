"""Search of the command palette: the series, runs and verbs whose words hold everything that was typed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from ffe_core.file_sources import is_file_source
from ffe_core.insight.aggregate import choices
from ffe_core.instruments.names import compact
from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from ffe_core.storage.state.runs import Run, RunSummary
from pages.widgets.states import kind_of
from pages.widgets.travel import backfill_form, import_form

MOST_FOUND, MOST_RUNS = 20, 50
_OF_CHARTS = "candles open show"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to go to: the page's address and what it asks of it. `words` are what it is found by besides."""

    label: str
    detail: str
    page: str
    params: dict[str, str] = field(default_factory=dict)
    words: str = ""

    def holds(self, typed: Sequence[str]) -> bool:
        """Whether every typed word is a part of one of its own."""
        own = f"{self.label} {self.detail} {self.words}".lower()
        return all(word in own for word in typed)

    def shown(self) -> dict[str, Any]:
        """As the browser gets it."""
        return {name: value for name, value in asdict(self).items() if name != "words"}


VERBS = (
    Entry("New backfill", "Verb", "backfill", words="start fetch download"),
    Entry("Import files", "Verb", "import_files", words="csv parquet upload"),
    Entry("New schedule", "Verb", "schedules", {"new": "1"}, "cron"),
    Entry("Check everything", "Verb", "findings", words="checks findings"),
    Entry("Rules of your own", "Verb", "findings", words="checks sql bounds"),
    Entry("Export candles", "Verb", "candles", words="download csv parquet backtest freqtrade lean nautilus"),
    Entry("Run upkeep", "Verb", "storage", words="compact vacuum optimize"),
    Entry("Test a connection", "Verb", "settings", words="key token provider"),
    Entry("Failed runs", "Verb", "runs", {"state": "failed"}, "errors retry"),
    Entry("Runs under way", "Verb", "runs", {"state": "queued,running,cancelling"}, "active cancel"),
    Entry("Series that are behind", "Verb", "watermarks", {"health": "behind"}, "lag stale bring up to date"),
    Entry("Edit and replay dead letters", "Verb", "dead_letters", words="pending records discard"),
)
"""What leads to where something is done; nothing is done by finding it."""


def found(console: ConsoleService, text: str) -> list[Entry]:
    """The first entries for a typed text: verbs, then runs, then series; nothing for nothing typed but the verbs."""
    typed = text.lower().split()
    named = [word for word in typed if word.isascii() and word.isdigit()]
    everything = (
        (entry for entry in VERBS if entry.holds(typed)),
        _runs(console, typed, named) if typed else (),
        _series(console.coverage.series(), typed) if typed else (),
    )
    return list(islice((entry for kind in everything for entry in kind), MOST_FOUND))


def _runs(console: ConsoleService, typed: Sequence[str], named: Sequence[str]) -> Iterator[Entry]:
    """The newest runs with these words, the one of that number first; a number beside other words may mean no run."""
    numbers = {int(word) for word in named if len(word) < 10}
    numbered = filter(None, (console.runs.get(number) for number in sorted(numbers)))
    yield from (entry for entry in map(_run, numbered) if entry.holds(typed))
    if not set(typed) - {*named, "run", "runs"} and named:
        return
    runs, _ = console.runs.find(limit=MOST_RUNS)
    yield from (entry for entry in map(_run, (run for run in runs if run.id not in numbers)) if entry.holds(typed))


def _run(run: Run | RunSummary) -> Entry:
    words = f"runs {run.kind} {run.provider} {run.actor}"
    return Entry(f"Run {run.id}", f"{kind_of(run)}, {run.state}", "run", {"id": str(run.id)}, words)


def _series(series: Iterable[Series], typed: Sequence[str]) -> Iterator[Entry]:
    """What can be looked at and done with each series: all charts first, as they are what is mostly meant, those of
    stored bars before those of larger ones made of them."""
    matching = [(one, _left(one, typed)) for one in series]
    able = [(one, left) for one, left in matching if left is not None]
    yield from (entry for one, left in able if (entry := _chart(one)).holds(left))
    yield from (entry for one, left in able for entry, rest in _larger(one, left) if entry.holds(rest))
    for make in (_gaps, _update, _watermark):
        yield from (entry for one, left in able if (entry := make(one)).holds(left))


def _left(series: Series, typed: Sequence[str]) -> list[str] | None:
    """The words that say something else than which series; None where they say another series."""
    own = f"{series} {series.asset_pair} {compact(series.asset_pair)}".lower()
    left = [word for word in typed if word not in own and compact(word).lower() not in own]
    return left if len(left) < len(typed) else None


def _chart(one: Series) -> Entry:
    return Entry(str(one), "Chart", "candles", _named(one), _OF_CHARTS)


def _larger(one: Series, left: Sequence[str]) -> Iterator[tuple[Entry, list[str]]]:
    """Charts in a larger timeframe that is among the words, and the words without it."""
    for size in choices(one):
        if size.name in left and size.name != one.timeframe:
            label = f"{one.asset_pair} {size.name} from {one.provider}"
            entry = Entry(
                label, f"Chart, of {one.timeframe}", "candles", {**_named(one), "size": size.name}, _OF_CHARTS
            )
            yield entry, [word for word in left if word != size.name]


def _gaps(one: Series) -> Entry:
    where = {"provider": one.provider, "timeframe": one.timeframe, "pair": one.asset_pair}
    return Entry(str(one), "Gaps", "coverage", where, "coverage missing")


def _update(one: Series) -> Entry:
    if is_file_source(one.provider):
        return Entry(str(one), "Import files again", "import_files", import_form(one), "import files update")
    return Entry(str(one), "Backfill", "backfill", backfill_form(one), "bring up to date fetch update")


def _watermark(one: Series) -> Entry:
    return Entry(str(one), "Watermark", "watermarks", {"series": one.key}, "rewind forget")


def _named(one: Series) -> dict[str, str]:
    return {"provider": one.provider, "pair": one.asset_pair, "timeframe": one.timeframe}
