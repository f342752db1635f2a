"""Import of files into one series: read -> validate -> dead letters -> guarded commit, chunk by chunk.

Rows are columns all the way; a record is made of what fails alone. Each file keeps its own counts, and each row bears
the ingestion id of its file and of how that was read, so that the same file read the same way is known again.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import SCHEMA
from ffe_core.completeness import completeness
from ffe_core.errors import CommitConflict, FFEError, FileRefused, GridChanged, InputError
from ffe_core.files.opening import Opened
from ffe_core.files.plan import PlannedFile
from ffe_core.files.reader import Rows
from ffe_core.ingestion.enrich import enrich
from ffe_core.ingestion.hour_grid import hour_grid_of
from ffe_core.ingestion.listing import saw
from ffe_core.ingestion.series_result import Progress, SeriesResult
from ffe_core.rules.sift import rules_of, sifted
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.storage.state.imported_files import ImportedFile, ImportedFiles
from ffe_core.storage.stores import Stores
from ffe_core.validation import UNREADABLE, Failure, validate_columns

_COMMIT_ROWS = 400_000
_COMMIT_SECONDS = 20.0
_MOST_FAILURES = 20_000
_REPLANS = 20
_NAMESPACE = uuid.UUID("8f2c4a52-6a6e-4d57-9f0b-0c3f5ad5d1a7")
_CHECKSUMS = (".CHECKSUM", ".sha256", ".SHA256")


@dataclass(slots=True)
class FileResult:
    """What one file brought: `received = stored + dead_lettered + repeats`."""

    path: Path
    sha256: str = ""
    size: int = 0
    ingestion_id: str = ""
    received: int = 0
    stored: int = 0
    restated: int = 0
    dead_lettered: int = 0
    repeats: int = 0
    unfinished: int = 0
    left_out: int = 0
    """Rows of other symbols or venues than the one asked for."""
    first: int | None = None
    last: int | None = None
    is_known: bool = False
    """Whether it was imported before and nothing has changed since: it was not read again."""
    error: str | None = None
    is_done: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        counts = ("received", "stored", "restated", "dead_lettered", "repeats", "unfinished", "left_out")
        return {
            "file": str(self.path),
            "sha256": self.sha256,
            **{name: getattr(self, name) for name in counts},
            "first": None if self.first is None else times.iso(self.first),
            "last": None if self.last is None else times.iso(self.last),
            "known": self.is_known,
            **({"error": self.error} if self.error else {}),
        }


@dataclass(slots=True)
class _Chunk:
    """Valid candles and failures between two commits, with the number of the file that each is of."""

    candles: list[tuple[int, pa.Table, int, int]] = field(default_factory=list)
    failures: dict[int, list[Failure]] = field(default_factory=dict)
    rows: int = 0
    failed: int = 0
    low: int = 2**62
    high: int = -(2**62)
    since: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        old = time.monotonic() - self.since > _COMMIT_SECONDS
        return self.rows >= _COMMIT_ROWS or self.failed >= _MOST_FAILURES or (old and self.rows + self.failed > 0)

    def overlaps(self, first: int, last: int) -> bool:
        """Whether a bar of the chunk may lie in [first, last]: two rows of a bar never share a commit."""
        if not self.candles or first > self.high or last < self.low:
            return False
        return any(low <= last and first <= high for _, _, low, high in self.candles)

    def add(self, number: int, candles: pa.Table, first: int, last: int) -> None:
        """Take in candles of a file that open in [first, last]."""
        self.low, self.high = min(self.low, first), max(self.high, last)
        self.candles.append((number, candles, first, last))
        self.rows += candles.num_rows


class FileImport:
    """Imports files into one series once. The caller holds its lease; everything here works in a thread."""

    def __init__(
        self,
        series: Series,
        stores: Stores,
        *,
        run_id: str | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
        progress: Progress = lambda report: None,
        max_unpacked_mb: float = 16_384.0,
        again: bool = False,
    ) -> None:
        """With `again` a file that is known is read all the same."""
        self._series, self._stores = series, stores
        self._run_id, self._is_stopped, self._progress = run_id, is_stopped, progress
        self._most_mb, self._again = max_unpacked_mb, again
        self._hours = hour_grid_of(series, stores)
        self._rules = rules_of(stores.settings.data_dir, series)
        self._ledger = ImportedFiles(stores.database)
        self._known: dict[str, ImportedFile] = {}
        self._held = Watermarks()
        self._written: set[int] = set()
        self.files: list[FileResult] = []
        self.was_stopped = False
        self._readings: dict[int, str] = {}
        self._chunk = _Chunk()

    def run(self, files: Sequence[PlannedFile]) -> SeriesResult:
        """Import the files in their order. What fails is in the report and in `files`; all before it is kept."""
        report = SeriesResult(self._series, 0, 0, pages_planned=len(files), phase="reading")
        try:
            self._stores.lake.note_source(self._series)
            self._held = report.marks = self._stores.lake.marks(self._series)
            self._known = {} if self._again else self._ledger.newest(self._series)
            self._all(report, files)
            self._finish(report)
        except FFEError as error:
            report.error = error
        report.phase = "done"
        self._progress(report)
        return report

    def _all(self, report: SeriesResult, files: Sequence[PlannedFile]) -> None:
        for number, planned in enumerate(files):
            if self._is_stopped():
                self.was_stopped = True
                break
            result = FileResult(planned.path)
            self.files.append(result)
            try:
                self._file(report, number, planned)
            except InputError as error:
                result.error = error.problem
            except GridChanged as error:
                result.error = f"{planned.path.name}: {error}"
            if self.was_stopped:
                break
            result.is_done = True
            report.pages_done += 1
            if self._chunk.is_due:
                self._flush(report)
            self._progress(report)
        self._flush(report)

    def _file(self, report: SeriesResult, number: int, planned: PlannedFile) -> None:
        result = self.files[number]
        result.sha256, result.size = _digest(planned.path)
        _check(planned.path, result.sha256)
        self._readings[number] = planned.reading
        result.ingestion_id = str(uuid.uuid5(_NAMESPACE, f"{self._series.key} {result.sha256} {planned.reading}"))
        if self._is_known(result):
            report.counts.received += result.received
            report.counts.duplicates += result.repeats
            return
        with Opened(planned.path, self._most_mb) as opened:
            for part in planned.parts:
                reader = part.reader(opened.content(part.part), self._series.step)
                for rows in reader.rows():
                    self._take(report, number, rows)
                    if self._is_stopped():
                        self.was_stopped = True
                        return

    def _is_known(self, result: FileResult) -> bool:
        """Whether the file was imported so before, and nothing has been written to its bars since."""
        before = self._known.get(result.ingestion_id)
        if before is None:
            return False
        low, high = self._held.low, self._held.watermark
        if before.first is not None and before.last is not None:
            snapshot = self._stores.lake.snapshot(self._series.table)
            if snapshot is None or low is None or high is None or not low <= before.first <= before.last <= high:
                return False
            files = snapshot.files(self._series).between(before.first, before.last + 1)
            if len(files) == 0 or int(files.newest.max()) > before.at * 1e6 + 1000:
                return False
        result.received = result.repeats = before.received
        result.first, result.last, result.is_known = before.first, before.last, True
        return True

    def _take(self, report: SeriesResult, number: int, rows: Rows) -> None:
        """Validate some rows of a file and add them to the chunk; one that holds their bars is committed first."""
        result = self.files[number]
        open_times, columns, flags, kept = self._closed(rows, result)

        def record_of(place: int) -> Any:
            return rows.record(int(kept[place]))

        checked = validate_columns(open_times, columns, flags, self._series.grid, record_of)
        checked = sifted(checked, self._rules, record_of, open_times)
        broken = [Failure(rows.reader.broken_record(line, text), ["line_broken"], 0) for line, text in rows.broken]
        candles, failures = checked.candles, [*checked.failures, *broken]
        opened = epochs(candles["timestamp"])
        if len(opened):
            self._hours.check(opened)
        received = candles.num_rows + len(failures) + checked.duplicates + rows.copies
        result.received += received
        result.repeats += checked.duplicates + rows.copies
        result.left_out += rows.left_out
        result.unfinished += rows.unfinished
        report.counts.received += received
        report.counts.duplicates += checked.duplicates + rows.copies
        report.counts.outside += rows.left_out
        report.counts.unfinished += rows.unfinished
        if len(opened):
            first, last = int(opened[0]), int(opened[-1])
            if self._chunk.overlaps(first, last):
                self._flush(report)
            self._chunk.add(number, candles, first, last)
            result.first = first if result.first is None else min(result.first, first)
            result.last = last if result.last is None else max(result.last, last)
        if failures:
            self._chunk.failures.setdefault(number, []).extend(failures)
            self._chunk.failed += len(failures)
        if self._chunk.is_due:
            self._flush(report)

    def _closed(
        self, rows: Rows, result: FileResult
    ) -> tuple[npt.NDArray[np.int64], dict[str, Any], dict[str, Any], npt.NDArray[np.intp]]:
        """The rows whose bars have closed, and the place of each; one that has not comes back with a later file."""
        closed = times.now() - self._stores.settings.close_grace_seconds - self._series.step + 1
        open_bars = (rows.open_times >= closed) & (rows.open_times != UNREADABLE)
        if "in_future" in rows.flags:
            open_bars &= ~rows.flags["in_future"]
        if not open_bars.any():
            return rows.open_times, rows.columns, rows.flags, np.arange(len(rows))
        result.unfinished += int(open_bars.sum())
        kept = np.flatnonzero(~open_bars)
        columns = {name: values[kept] for name, values in rows.columns.items()}
        flags = {code: mask[kept] for code, mask in rows.flags.items()}
        return rows.open_times[kept], columns, flags, kept

    # -- committing

    def _flush(self, report: SeriesResult) -> None:
        """Keep the failures as dead letters, then commit the candles with their marks, then write down the files."""
        chunk, self._chunk = self._chunk, _Chunk()
        report.phase = "committing"
        self._progress(report)
        for number, failures in chunk.failures.items():
            self._dead_letter(report, number, failures)
        if chunk.candles:
            self._commit(report, chunk)
        done = [n for n, result in enumerate(self.files) if result.is_done and not result.is_known and not result.error]
        self._write_down([number for number in done if number not in self._written])
        report.phase = "reading"
        self._progress(report)

    def _dead_letter(self, report: SeriesResult, number: int, failures: list[Failure]) -> None:
        result = self.files[number]
        context = {
            "asset_pair": self._series.asset_pair,
            "timeframe": self._series.timeframe,
            "provider": self._series.provider,
            "file": str(result.path),
            "sha256": result.sha256,
            **self._note(result.ingestion_id),
        }
        reasons = [failure.reasons for failure in failures]
        saved = self._stores.queue.save([one.record for one in failures], "validation_failed", context, reasons)
        result.dead_lettered += saved.saved
        result.repeats += saved.repeats
        report.counts.dead_lettered += saved.saved
        report.counts.duplicates += saved.repeats
        report.counts.superseded += sum(failures[place].superseded for place in saved.places)

    def _commit(self, report: SeriesResult, chunk: _Chunk) -> None:
        candles = pa.concat_tables([table for _, table, _, _ in chunk.candles])
        owners = np.repeat(
            [number for number, *_ in chunk.candles], [table.num_rows for _, table, _, _ in chunk.candles]
        )
        open_times = epochs(candles["timestamp"])
        if len(open_times) > 1 and (np.diff(open_times) <= 0).any():
            order = np.argsort(open_times, kind="stable")
            candles, owners, open_times = candles.take(pa.array(order)), owners[order], open_times[order]
        rows = self._with_files(enrich(candles, self._series, "", is_mock=False), owners)
        first, last = int(open_times[0]), int(open_times[-1])
        for attempt in range(_REPLANS):
            after = Watermarks(_most(self._held.watermark, last), _least(self._held.low, first))
            try:
                note = self._note(self.files[int(owners[0])].ingestion_id)
                done = self._stores.lake.commit(self._series, rows, self._held, after, note)
                break
            except CommitConflict:
                if attempt == _REPLANS - 1:
                    raise
                self._held = self._stores.lake.marks(self._series)
        self._held = report.marks = after
        self._hours.keep()
        self._stores.watermarks.put(self._series, after)
        report.counts.stored += done.new + done.restated
        report.counts.restated += done.restated
        report.counts.duplicates += done.repeats
        self._share_out(owners, done.repeated_rows, done.restated_rows)

    def _share_out(
        self, owners: npt.NDArray[Any], repeated: npt.NDArray[np.bool_], restated: npt.NDArray[np.bool_]
    ) -> None:
        """Count for each file what became of its rows."""
        size = len(self.files)
        every = np.bincount(owners, minlength=size)
        again = np.bincount(owners[repeated], minlength=size) if len(repeated) else np.zeros(size, int)
        other = np.bincount(owners[restated], minlength=size) if len(restated) else np.zeros(size, int)
        for number in np.flatnonzero(every).tolist():
            result = self.files[number]
            result.stored += int(every[number] - again[number])
            result.restated += int(other[number])
            result.repeats += int(again[number])

    def _with_files(self, rows: pa.Table, owners: npt.NDArray[Any]) -> pa.Table:
        """The rows with the ingestion id of each one's file, held once a file."""
        ids = pa.array([result.ingestion_id for result in self.files], pa.string())
        column = pa.DictionaryArray.from_arrays(pa.array(owners.astype(np.int32)), ids)
        place = SCHEMA.get_field_index("_ingestion_id")
        return rows.set_column(place, "_ingestion_id", column)

    def _write_down(self, numbers: Sequence[int]) -> None:
        # The bars of a file are all committed when the file is done and the chunk is: then it may be called known.
        moment = time.time()
        self._ledger.add([self._entry(number, moment) for number in numbers])
        self._written.update(numbers)

    def _entry(self, number: int, moment: float) -> ImportedFile:
        result, series = self.files[number], self._series
        counts = {
            name: getattr(result, name) for name in ("received", "stored", "restated", "dead_lettered", "repeats")
        }
        return ImportedFile(
            sha256=result.sha256,
            name=str(result.path),
            size=result.size,
            asset_pair=series.asset_pair,
            timeframe=series.timeframe,
            provider=series.provider,
            ingestion_id=result.ingestion_id,
            reading=self._readings[number],
            run_id=int(self._run_id) if self._run_id else None,
            first=result.first,
            last=result.last,
            at=moment,
            **counts,
        )

    def _note(self, ingestion_id: str) -> dict[str, str]:
        return {"ingestion_id": ingestion_id, **({"run_id": self._run_id} if self._run_id else {})}

    # -- the end

    def _finish(self, report: SeriesResult) -> None:
        opened = [(one.first, one.last) for one in self.files if one.first is not None and one.last is not None]
        failed = [one for one in self.files if one.error]
        if opened:
            report.start, report.end = (
                min(first for first, _ in opened),
                max(last for _, last in opened) + self._series.step,
            )
            saw(self._stores.instruments, self._series, report.start)
            report.phase = "counting"
            self._progress(report)
            self._measure(report)
        if failed:
            more = f" (and {len(failed) - 1:,} more)" if len(failed) > 1 else ""
            report.error = FileRefused(f"{failed[0].error}{more}")

    def _measure(self, report: SeriesResult) -> None:
        stores = self._stores
        try:
            calendar = stores.settings.calendars.of(self._series.provider, self._series.asset_pair)
            report.completeness = completeness(
                self._series, report.start, report.end, calendar, stores.lake, stores.queue, stores.acknowledged
            )
        except InputError as error:  # a calendar that does not reach back as far as the files
            report.notes.append(f"how whole it is cannot be told: {error}")


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file. InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", field="file") from None


def _check(path: Path, sha256: str) -> None:
    """InputError where a checksum beside the file says that it holds something else."""
    for beside in _beside(path):
        said = beside.read_text(encoding="utf-8", errors="replace").split()[:1]
        if said and len(said[0]) == 64 and said[0].lower() != sha256:
            raise InputError(
                f"{path.name} is not what {beside.name} says (sha256 {sha256}); get it again", field="file"
            )


def _beside(path: Path) -> Iterator[Path]:
    return (Path(found) for suffix in _CHECKSUMS if os.path.isfile(found := f"{path}{suffix}"))


def _most(held: int | None, value: int) -> int:
    return value if held is None else max(held, value)


def _least(held: int | None, value: int) -> int:
    return value if held is None else min(held, value)
