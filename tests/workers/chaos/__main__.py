"""Command line of it: strikes, waits until all has come to its end, and prints one table and the verdict."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.database import Database
from tests import object_store, postgresql
from tests.workers.chaos import exchanges, market
from tests.workers.chaos.exchanges import Exchanges
from tests.workers.chaos.market import Venue
from tests.workers.chaos.parts import KINDS, Parts, planned
from tests.workers.chaos.person import RUNS, SERIES, STALE_SECONDS, UNCOUNTED, Person, RunRow, SeriesRow, batches
from tests.workers.chaos.verdict import Verdict

_STEP_SECONDS = 0.25
_LOOK_SECONDS = 1.0
_SHORT = (12, len(KINDS))
_NEXT = 10
_STANDSTILL_SECONDS = 40.0
"""A blow waits so long for something to be stored after the one before: what does not work cannot be disturbed."""
_PATIENCE_SECONDS = 1_200.0
"""How long the last series may take after the last blow."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything was wrong."""
    parser = ArgumentParser(prog="python -m tests.workers.chaos", description="Kill every part, and count candles.")
    parser.add_argument("--series", type=int, default=500, metavar="N", help="series to backfill (default 500)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="parts killed or cut off (default 200)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="S")
    parser.add_argument("--short", action="store_true", help=f"{_SHORT[0]} series, each kind of blow once")
    parser.add_argument("--keep", action="store_true", help="leave the logs of all parts where they are")
    chosen = parser.parse_args(arguments)
    if chosen.short:
        chosen.series, chosen.kills = _SHORT
    folder = Path(tempfile.mkdtemp(prefix="ffe-chaos-"))
    say(f"seed {chosen.seed}, {os.cpu_count()} processors, logs in {folder}")
    try:
        verdict = run(folder, chosen.series, chosen.kills, chosen.seed)
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for line in (*verdict.lines, *(f"BROKEN: {fault}" for fault in verdict.faults)):
        say(line)
    return int(bool(verdict.faults))


def run(folder: Path, series: int, kills: int, seed: int) -> Verdict:
    """Backfill so many series while so many parts are killed."""
    born = int(time.time())
    venues = market.venues(series, born)
    with (
        postgresql.running() as server,
        object_store.running() as store,
        exchanges.running(series, born, folder) as asked,
    ):
        url = server.database()
        Database(url).close()  # its tables are made before anything dies
        settings = {**store.variables(), "FFE_LAKE_URI": store.address()}
        for venue in venues:
            settings |= venue.settings(asked.urls[venue.provider])
        parts = Parts(folder, server, url, settings)
        try:
            parts.start()
            place = _Place(server, url, settings)
            return _struck(parts, place, venues, asked, kills, random.Random(seed))
        finally:
            left = parts.stop()
            assert not left, left


class _Place:
    """State and store, as whoever judges looks at them."""

    def __init__(self, server: postgresql.Server, url: str, settings: dict[str, str]) -> None:
        self._server, self._database = server, url.rpartition("/")[2]
        self.lake = settings["FFE_LAKE_URI"]
        store = {name.removeprefix("FFE_STORE__").lower(): value for name, value in settings.items()
                 if name.startswith("FFE_STORE__")}  # fmt: skip
        self.options = Settings.load({"store": store}).store.options(self.lake)

    def query(self, statement: str) -> list[tuple[Any, ...]] | None:
        """Its rows; None while the server is gone."""
        import psycopg

        try:
            return self._server.run(statement, self._database)
        except psycopg.OperationalError:
            return None


def _struck(
    parts: Parts, place: _Place, venues: list[Venue], asked: Exchanges, kills: int, luck: random.Random
) -> Verdict:
    blows, pieces, person = planned(kills, luck), batches(venues, kills), Person(place.query)
    struck: Counter[str] = Counter()
    began = looked = last = time.monotonic()
    wished = stored = 0
    while blows or person.left or wished < len(pieces):
        time.sleep(_STEP_SECONDS)
        parts.mend(all_of_it=not blows)
        now = time.monotonic()
        while wished < len(pieces) and wished <= sum(struck.values()) * len(pieces) / kills:
            person.wish(wished, pieces[wished])
            wished += 1
        if now - looked > _LOOK_SECONDS:
            looked = now
            person.step(parts.consoles)
        works = person.stored > stored or not person.left or now - last > _STANDSTILL_SECONDS
        if blows and works and now - last > blows[0].after:
            # What is away cannot be struck: the next that can.
            if (blow := next((one for one in blows[:_NEXT] if parts.strike(one)), None)) is None:
                continue
            blows.remove(blow)
            last, stored = now, person.stored
            struck[blow.kind] += 1
            say(f"{now - began:6.0f} s  {sum(struck.values()):3} {blow.kind} {blow.part}, {person.left} series left")
        if not blows and now - last > _PATIENCE_SECONDS:
            person.faults.append(f"{person.left} series have not come to their end")
            break
    verdict = Verdict([*person.faults, *(f"{name}: two runs were made of one click" for name in sorted(person.twice))])
    _settle(place)
    asked.end()
    _judge(verdict, place, venues, asked)
    _write_down(parts.folder, place)
    told = ", ".join(f"{kind} {struck[kind]}" for kind in KINDS)
    verdict.lines.append(f"{sum(struck.values())} blows in {time.monotonic() - began:.0f} s: {told}")
    verdict.lines.append(f"{person.continued} clicks on continue or retry")
    verdict.lines.append(
        f"{verdict.series} series, {verdict.rows:,} rows and {verdict.dead_letters:,} dead letters, each in a count"
    )
    verdict.lines.append("all is true" if not verdict.faults else f"{len(verdict.faults)} faults")
    return verdict


def _write_down(folder: Path, place: _Place) -> None:
    """Beside the logs of the parts, what the state says of all runs."""
    asked = {
        "runs": RUNS,
        "series": f"{SERIES} ORDER BY asset_pair, run_id",
        "lines": "SELECT run_id, to_timestamp(at), level, text FROM run_log ORDER BY at",
    }
    for name, statement in asked.items():
        rows = place.query(statement) or ()
        (folder / f"{name}.txt").write_text("".join(" | ".join(map(str, row)) + "\n" for row in rows))


def _settle(place: _Place) -> None:
    """Let the runs that are about to end do so, and what they stored and did not tell be counted."""
    until = time.monotonic() + STALE_SECONDS
    while time.monotonic() < until:
        runs = place.query(RUNS)
        ended = runs is not None and not any(RunRow(*row).state in run_states.ACTIVE for row in runs)
        if ended and place.query(UNCOUNTED) == []:
            return
        time.sleep(_STEP_SECONDS)


def _judge(verdict: Verdict, place: _Place, venues: list[Venue], asked: Exchanges) -> None:
    said = [SeriesRow(*row) for row in place.query(SERIES) or ()]
    verdict.of_runs([RunRow(*row) for row in place.query(RUNS) or ()], said)
    verdict.of_lake(venues, place.lake, place.options, said)
    verdict.of_dead_letters(venues, place.lake, place.options, said)
    if place.query(UNCOUNTED):
        verdict.faults.append("what interrupted runs stored has not been counted")
    verdict.of_pace(venues, asked.heard, asked.stalls)
    longest = max((last - first for first, last in asked.stalls), default=0.0)
    verdict.lines.append(f"the exchanges stood still {len(asked.stalls)} times, for {longest:.2f} s at most")


def say(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
