"""Where records that are not candles are kept: one JSON file a batch, whole as received, each record once.

A file holds `timestamp`, `error`, `context`, the raw `records` and, beside them in the same order, `reasons`. It is
written before the commit of its batch, under a name made of its content, so a re-run finds it instead of doubling it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from filelock import FileLock

from ffe_core.errors import StorageError
from ffe_core.series import Series
from ffe_core.storage.dead_letter_index import DeadLetterIndex, batch_id, fingerprint, series_key
from ffe_core.storage.files import strict_json, write_atomically

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a batch: the entry that holds its new records, and how many there were."""

    entry_id: str | None
    saved: int
    repeats: int
    """Records that a dead letter of the same series already holds."""
    places: tuple[int, ...] = ()
    """Which of the given records were saved."""


class DeadLetterQueue:
    """Dead letters below one folder; safe to use from several threads and processes at once."""

    def __init__(self, storage_path: str | Path = "data/dlq") -> None:
        self.storage_path = Path(storage_path)
        try:
            self.storage_path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the dead letter folder {self.storage_path} cannot be made: {error}") from error
        self._lock = FileLock(self.storage_path / ".lock")
        self._index: DeadLetterIndex | None = None

    def save(
        self,
        records: Sequence[Any],
        error: str,
        context: Mapping[str, Any],
        reasons: Sequence[Sequence[str]] | None = None,
    ) -> Saved:
        """Keep failed records as received; a record that the series already has here is counted as a repeat.

        `reasons` names the reason codes of each record, in the same order. Raises StorageError if nothing could be
        written: the batch must then not be committed.
        """
        series = series_key(context)
        try:
            with self._lock:
                fresh = self._fresh(series, [fingerprint(record) for record in records])
                entry_id = self._write(series, fresh, records, error, context, reasons) if fresh else None
        except (OSError, sa.exc.SQLAlchemyError) as failure:
            raise StorageError(f"dead letters cannot be written to {self.storage_path}: {failure}") from failure
        return Saved(entry_id, len(fresh), len(records) - len(fresh), tuple(fresh.values()))

    def opens(self, series: Series, start: int, end: int) -> np.ndarray:
        """Opens in [start, end) of a series' dead letters: sorted unique int64 epoch seconds."""
        try:
            with self._lock:
                return self._refreshed().opens(series.key, start, end)
        except (OSError, sa.exc.SQLAlchemyError) as failure:
            raise StorageError(f"dead letters in {self.storage_path} cannot be read: {failure}") from failure

    def opens_by_series(self, start: int, end: int) -> dict[str, np.ndarray]:
        """The same for every series that has any, by `Series.key`: one look at the folder for all of them."""
        try:
            with self._lock:
                return self._refreshed().opens_by_series(start, end)
        except (OSError, sa.exc.SQLAlchemyError) as failure:
            raise StorageError(f"dead letters in {self.storage_path} cannot be read: {failure}") from failure

    def pending_count(self) -> int:
        """How many records wait for a person."""
        try:
            with self._lock:
                return self._refreshed().pending_count()
        except (OSError, sa.exc.SQLAlchemyError) as failure:
            raise StorageError(f"dead letters in {self.storage_path} cannot be read: {failure}") from failure

    def _fresh(self, series: str, prints: Sequence[str]) -> dict[str, int]:
        """Fingerprint -> place of each record that is not kept yet, the first of equal ones."""
        known = self._refreshed().known(series, prints) if prints else set()
        places: dict[str, int] = {}
        for place, print_ in enumerate(prints):
            if print_ not in known:
                places.setdefault(print_, place)
        return places

    def _write(
        self,
        series: str,
        fresh: Mapping[str, int],
        records: Sequence[Any],
        error: str,
        context: Mapping[str, Any],
        reasons: Sequence[Sequence[str]] | None,
    ) -> str:
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        path = self.storage_path / f"{stamp.replace(':', '-')}_{batch_id(series, fresh)}.json"
        places = list(fresh.values())
        content = {
            "timestamp": stamp,
            "error": error,
            "context": dict(context),
            "records": [records[place] for place in places],
            "reasons": [list(reasons[place]) if reasons else [] for place in places],
        }
        write_atomically(path, strict_json(content, indent=1, wrapping=2) + "\n")
        self._refreshed()
        log.warning("kept %d records that are not candles as dead letter %s", len(places), path.stem)
        return path.stem

    def _refreshed(self) -> DeadLetterIndex:
        if self._index is None:
            self._index = DeadLetterIndex(self.storage_path)
        self._index.refresh()
        return self._index
