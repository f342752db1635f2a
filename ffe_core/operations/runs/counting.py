"""Counting of what runs wrote that ended without telling: in a thread, some series at a time, whatever else goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from ffe_core.counts import many
from ffe_core.errors import DatabaseError, StorageError
from ffe_core.operations.runs.outcome import GONE
from ffe_core.operations.runs.written import Writer, Written, with_untold
from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.storage.dead_letters.index import Kept
from ffe_core.storage.leases import name_of
from ffe_core.storage.locks import LEASE
from ffe_core.storage.state.runs import IMPORT, Run, RunSeries, RunStore
from ffe_core.storage.stores import Stores
from ffe_core.threads import Worker

log = logging.getLogger(__name__)
_AGAIN_SECONDS = 30.0
_LONGEST_SECONDS = 86_400.0
"""How long after its end a run is looked at again and again; later by a console that starts alone."""
_AT_ONCE = 50
"""Series that are counted between two writes to the database."""
_LEFT_SECONDS = 90.0
"""How long a machine may go on that has lost its run, if it is cut off; its leases end with it."""


class Counting:
    """Begins when it is woken, and looks again from time to time for what must wait, or was left by another."""

    def __init__(self, runs: RunStore, stores: Stores) -> None:
        self._runs, self._stores = runs, stores
        self._worker = Worker("counting", self._step, _AGAIN_SECONDS)
        self._since = 0.0

    def wake(self) -> None:
        """Count now what there is to count; returns at once."""
        self._worker.start()

    def stop(self) -> None:
        """Count nothing more; what is left is counted by whoever looks next."""
        self._worker.stop()

    def _step(self) -> None:
        try:
            now = time.time()
            for run in self._runs.uncounted(self._since):
                self._run(run)
            self._since = now - _LONGEST_SECONDS
        except (StorageError, OSError) as error:
            log.warning("what interrupted runs have stored cannot be counted now, it is tried again: %s", error)
        except Exception:
            log.exception("what interrupted runs have stored could not be counted")

    def _run(self, run: Run) -> None:
        rows = self._runs.uncounted_series(run.id)
        begun = self._runs.begun_after(run)
        rows = [row for row in rows if row.series not in self._still_held(run, rows, begun)]
        untold = 0
        for at in range(0, len(rows), _AT_ONCE):
            if self._worker.is_stopped:
                return
            untold += self._some(run, rows[at : at + _AT_ONCE], begun)
        if untold:
            self._runs.log(run.id, "info", f"{many(untold, 'record')} more counted that it had kept and not told of")

    def _still_held(self, run: Run, rows: list[RunSeries], begun: dict[Series, float]) -> set[Series]:
        """Series that somebody may still write for the run: a machine that was cut off, as long as it has the lease."""
        if not self._stores.locks.are_for_many:  # death frees what the kernel keeps
            return set()
        names = {name_of(row.series): row.series for row in rows}
        held = {names[name] for name in self._stores.locks.held(LEASE, list(names))}
        is_over = time.time() - (run.ended_at or 0.0) > _LEFT_SECONDS
        return {one for one in held if not (is_over and one in begun)}

    def _some(self, run: Run, rows: list[RunSeries], begun: dict[Series, float]) -> int:
        """Count some series of a run; how many records it had not told of."""
        writer = Writer(run.id, run.owner, run.created_at, run.kind == IMPORT)
        kept = writer.kept(self._stores)
        counted = {row.number: with_untold(row, self._written(writer, row.series, kept, begun)) for row in rows}
        self._runs.counted(run.id, counted)
        told = sum(row.records + row.failed_records for row in rows)
        return sum(int(one["records"] + one["failed_records"]) for one in counted.values()) - told

    def _written(
        self, writer: Writer, series: Series, kept: Mapping[str, Kept], begun: Mapping[Series, float]
    ) -> Written:
        """What was written of a series; nothing, and the run says it, where a damaged file keeps it from being told."""
        try:
            return writer.wrote(self._stores, series, kept, begun.get(series))
        except StorageError as error:
            if error.code in GONE or isinstance(error, DatabaseError):
                raise
            why = redact(f"{series}: what was stored cannot be counted: {error}")
            self._runs.log(writer.run_id, "warning", why)
            return Written(0, 0, 0, 0)
