"""Verdict: is each series in the store what its exchange has, and does each run say so and nothing more?"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import table_name
from ffe_core.storage.objects import objects_of
from ffe_core.storage.state import runs as run_states
from tests.workers.chaos.exchanges import Heard
from tests.workers.chaos.market import Venue, most_in_a_second
from tests.workers.chaos.person import RunRow, SeriesRow

_VALUES = ("open", "high", "low", "close", "volume")
_NAMES = ("asset_pair", "source_provider", "timestamp", "_extracted_at", *_VALUES)
_OVER = 1.02
"""A second may have so many times the requests of the rate."""


@dataclass
class Verdict:
    """What was found, in lines for people; `faults` is what must not be."""

    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    rows: int = 0
    series: int = 0
    dead_letters: int = 0

    def of_lake(self, venues: list[Venue], address: str, options: Mapping[str, str], said: list[SeriesRow]) -> None:
        """Each series exact, each bar once, and no run that called it whole before it was."""
        by_series: dict[tuple[str, str], list[SeriesRow]] = defaultdict(list)
        for row in said:
            by_series[row.pair, row.provider].append(row)
        for venue in venues:
            stored = _stored(f"{address}/{table_name(venue.timeframe)}", options)
            for pair in venue.pairs:
                self.series += 1
                self._of_series(venue, pair, stored.get(pair), by_series[pair, venue.provider])
            others = set(stored) - set(venue.pairs)
            if others:
                self.faults.append(f"{venue.provider}: series that nobody asked for: {sorted(others)[:3]}")

    def _of_series(self, venue: Venue, pair: str, found: pa.Table | None, said: list[SeriesRow]) -> None:
        name = f"{venue.provider} {pair}"
        opens, values = venue.wanted(pair)
        if found is None:
            self.faults.append(f"{name}: lost, nothing of it is stored")
            return
        at = found["timestamp"].cast(pa.int64()).to_numpy() // 1_000_000
        self.rows += len(at)
        if len(np.unique(at)) < len(at):
            self.faults.append(f"{name}: doubled, {len(at):,} rows of {len(np.unique(at)):,} bars")
        if len(lost := np.setdiff1d(opens, at)):
            self.faults.append(f"{name}: lost, {len(lost):,} bars, the first at {lost[0]}")
        if len(more := np.setdiff1d(at, opens)):
            self.faults.append(f"{name}: {len(more):,} bars that there are none of, the first at {more[0]}")
        elif not len(lost) and len(at) == len(opens):
            kept = np.column_stack([found[column].to_numpy() for column in _VALUES])
            if len(wrong := np.flatnonzero((kept != values).any(axis=1))):
                self.faults.append(f"{name}: {len(wrong):,} bars with other values, the first {kept[wrong[0]]}")
        self._of_runs(name, len(opens), pc.max(found["_extracted_at"]).cast(pa.int64()).as_py() / 1e6, said)

    def _of_runs(self, name: str, wanted: int, last_stored: float, said: list[SeriesRow]) -> None:
        whole = [row for row in said if row.state == run_states.COMPLETE]
        for row in whole:
            if (row.stored, row.unexplained) != (wanted, 0):
                told = f"{row.stored} stored and {row.unexplained} unexplained instead of {wanted} and 0"
                self.faults.append(f"{name}: run {row.run} says complete with {told}")
            if row.ended_at is not None and row.ended_at < last_stored:
                self.faults.append(f"{name}: run {row.run} said complete before its last candle was fetched")
        if not whole:
            self.faults.append(f"{name}: no run says complete, but {sorted({row.state for row in said})}")
        counted = sum(row.records for row in said)
        if counted != wanted:
            self.faults.append(f"{name}: its runs count {counted:,} new candles, and there are {wanted:,}")

    def of_dead_letters(
        self, venues: list[Venue], address: str, options: Mapping[str, str], said: list[SeriesRow]
    ) -> None:
        """Each record that is no candle kept once, and counted by one run."""
        kept: Counter[tuple[str, str]] = Counter()
        place = objects_of(f"{address}/dlq", dict(options))
        for name in [one.key for one in place.listed() if one.key.endswith(".json") and "/" not in one.key]:
            batch = json.loads(place.get(name))
            kept[batch["context"]["asset_pair"], batch["context"]["provider"]] += len(batch["records"])
        told: Counter[tuple[str, str]] = Counter()
        for row in said:
            told[row.pair, row.provider] += row.failed
        self.dead_letters = kept.total()
        for venue in venues:
            for name in ((pair, venue.provider) for pair in venue.pairs):
                if not told[name] == kept[name] == len(venue.broken):
                    found = f"{told[name]} counted, {kept[name]} kept, {len(venue.broken)} were sent"
                    self.faults.append(f"{' '.join(name)}: dead letters: {found}")

    def of_runs(self, runs: list[RunRow], said: list[SeriesRow]) -> None:
        """No run goes on when all is done, and each is as bad as the worst of its series."""
        states: dict[int, set[str]] = defaultdict(set)
        for row in said:
            states[row.run].add(row.state)
        for run in runs:
            if run.state in run_states.ACTIVE:
                self.faults.append(f"run {run.id} says {run.state} when all is done")
            elif run.state == run_states.COMPLETE and states[run.id] != {run_states.COMPLETE}:
                self.faults.append(f"run {run.id} says complete, its series {sorted(states[run.id])}")
            elif states[run.id] & set(run_states.ACTIVE):
                self.faults.append(f"run {run.id} is {run.state}, its series {sorted(states[run.id])}")

    def of_pace(
        self, venues: list[Venue], heard: Mapping[str, Heard], stalls: Sequence[tuple[float, float]] = ()
    ) -> None:
        """No second over the rate and two in a hundred, as far as what came can tell what was sent."""
        for venue in venues:
            exchange = heard[venue.provider]
            (whole, most), allowed = most_in_a_second(exchange.at, stalls), int(venue.rate * _OVER)
            told = f"{venue.provider}: {len(exchange.at):,} requests, at most {most} sent in a second of {allowed}"
            told += f" ({whole} came within one)" if whole > most else ""
            self.lines.append(f"{told}, {exchange.refused} refused by the exchange")
            if most > allowed:
                self.faults.append(f"{venue.provider}: {most} requests sent within a second, {allowed} are allowed")


def _stored(address: str, options: Mapping[str, Any]) -> dict[str, pa.Table]:
    """The rows of a table by pair, in time."""
    from deltalake import DeltaTable

    table = DeltaTable(address, storage_options=dict(options)).to_pyarrow_table(columns=[*_NAMES])
    table = table.sort_by([("asset_pair", "ascending"), ("timestamp", "ascending")]).combine_chunks()
    pairs = table["asset_pair"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]]) if len(pairs) else np.array([], dtype=int)
    ends = np.r_[starts[1:], len(pairs)]
    return {str(pairs[first]): table.slice(first, last - first) for first, last in zip(starts, ends, strict=True)}
