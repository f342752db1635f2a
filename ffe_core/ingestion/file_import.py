"""Import of files into one series: read -> validate -> dead letters -> guarded commit, chunk by chunk.

Rows are columns all the way; a record is made of what fails alone. Each file keeps its own counts, and each row bears
the ingestion id of its file and of how that was read, so that the same file read the same way is known again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe_core import times
from ffe_core.candles import SCHEMA
from ffe_core.completeness import completeness
from ffe_core.errors import CommitConflict, FFEError, FileRefused, GridChanged, InputError
from ffe_core.files.opening import Content, Opened
from ffe_core.files.plan import PlannedFile, PlannedPart
from ffe_core.files.reader import Rows
from ffe_core.files.sums import check_sum, read_file
from ffe_core.files.together import MOST_BYTES, are_alike, is_plain, may_join, read_together
from ffe_core.ingestion.enrich import enrich
from ffe_core.ingestion.file_chunk import Chunk, FileResult
from ffe_core.ingestion.hour_grid import hour_grid_of
from ffe_core.ingestion.listing import saw
from ffe_core.ingestion.series_result import Progress, SeriesResult
from ffe_core.rules.sift import rules_of, sifted
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.storage.state.imported_files import ImportedFile, ImportedFiles
from ffe_core.storage.stores import Stores
from ffe_core.validation import UNREADABLE, Failure, validate_columns

_REPLANS = 20
_NAMESPACE = uuid.UUID("8f2c4a52-6a6e-4d57-9f0b-0c3f5ad5d1a7")


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
        self._chunk = Chunk()
        self._alike: list[tuple[int, PlannedFile, Content]] = []
        """Small files of one form that are read next, as one."""

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
            is_waiting = False
            with self._told(result):
                is_waiting = self._file(report, number, planned)
            if self.was_stopped:
                break
            if not is_waiting:
                self._is_read(report, [number])
        self._read_waiting(report)
        self._flush(report)

    @contextmanager
    def _told(self, result: FileResult) -> Iterator[None]:
        """What is wrong with a file is said in its result, and costs no other file."""
        try:
            yield
        except InputError as error:
            result.error = error.problem
        except GridChanged as error:
            result.error = f"{result.path.name}: {error}"

    def _is_read(self, report: SeriesResult, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.files[number].is_done = True
        report.pages_done += len(numbers)
        if self._chunk.is_due:
            self._flush(report)
        self._progress(report)

    def _file(self, report: SeriesResult, number: int, planned: PlannedFile) -> bool:
        """Read a file, or keep it to be read together with others: whether it waits for that."""
        result = self.files[number]
        result.sha256, result.size, data = read_file(planned.path)
        check_sum(planned.path, result.sha256)
        self._readings[number] = planned.reading
        result.ingestion_id = str(uuid.uuid5(_NAMESPACE, f"{self._series.key} {result.sha256} {planned.reading}"))
        if self._is_known(result):
            report.counts.received += result.received
            report.counts.duplicates += result.repeats
            return False
        with Opened(planned.path, self._most_mb, data) as opened:
            first = opened.content(planned.parts[0].part)
            if data is not None and may_join(planned) and is_plain(first) and not self._series.has_hour_grid:
                self._wait(report, number, planned, first)
                return True
            self._read_waiting(report)
            self._part(report, number, planned.parts[0], first)
            for part in planned.parts[1:]:
                self._part(report, number, part, opened.content(part.part))
        return False

    def _part(self, report: SeriesResult, number: int, part: PlannedPart, content: Content) -> None:
        for rows in part.reader(content, self._series.step).rows():
            if self.was_stopped:
                return
            self._take(report, number, rows)
            self.was_stopped = self._is_stopped()

    # -- files read together

    def _wait(self, report: SeriesResult, number: int, planned: PlannedFile, content: Content) -> None:
        """Keep a small file until there are enough that are alike; what waits is read first if it is another kind."""
        if self._alike and not are_alike(self._alike[0][1], planned):
            self._read_waiting(report)
        self._alike.append((number, planned, content))
        if sum(content.size for _, _, content in self._alike) >= MOST_BYTES:
            self._read_waiting(report)

    def _read_waiting(self, report: SeriesResult) -> None:
        waiting, self._alike = self._alike, []
        if not waiting:
            return
        if len(waiting) == 1 or not self._take_together(report, waiting):
            for number, planned, content in waiting:
                with self._told(self.files[number]):
                    self._part(report, number, planned.parts[0], content)
                if self.was_stopped:
                    return
                self._is_read(report, [number])
            return
        self._is_read(report, [number for number, *_ in waiting])

    def _take_together(self, report: SeriesResult, waiting: Sequence[tuple[int, PlannedFile, Content]]) -> bool:
        """Whether the files could be read as one, and are in the chunk: rising bars, all valid, all closed."""
        numbers = [number for number, *_ in waiting]
        found = read_together([file for _, file, _ in waiting], [content for *_, content in waiting], self._series.step)
        if found is None or len(found.rows) == 0:
            return False
        opened, sizes = found.rows.open_times, found.sizes
        if opened[-1] >= self._first_open() or (opened[1:] <= opened[:-1]).any():
            return False
        checked = validate_columns(opened, found.rows.columns, {}, self._series.grid, lambda place: None)
        checked = sifted(checked, self._rules, lambda place: None, opened)
        if checked.failures or checked.duplicates:
            return False
        first, last = int(opened[0]), int(opened[-1])
        if self._chunk.overlaps(first, last):
            self._flush(report)
        self._chunk.add(list(zip(numbers, sizes, strict=True)), checked.candles, first, last)
        report.counts.received += len(opened)
        at = 0
        for number, size in zip(numbers, sizes, strict=True):
            result = self.files[number]
            result.received += size
            if size:
                result.first, result.last = int(opened[at]), int(opened[at + size - 1])
            at += size
        return True

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
            self._chunk.add([(number, candles.num_rows)], candles, first, last)
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
        open_bars = (rows.open_times >= self._first_open()) & (rows.open_times != UNREADABLE)
        if "in_future" in rows.flags:
            open_bars &= ~rows.flags["in_future"]
        if not open_bars.any():
            return rows.open_times, rows.columns, rows.flags, np.arange(len(rows))
        result.unfinished += int(open_bars.sum())
        kept = np.flatnonzero(~open_bars)
        columns = {name: values[kept] for name, values in rows.columns.items()}
        flags = {code: mask[kept] for code, mask in rows.flags.items()}
        return rows.open_times[kept], columns, flags, kept

    def _first_open(self) -> float:
        """Bars that open from then on have not closed yet."""
        return times.now() - self._stores.settings.close_grace_seconds - self._series.step + 1

    # -- committing

    def _flush(self, report: SeriesResult) -> None:
        """Keep the failures as dead letters, then commit the candles with their marks, then write down the files."""
        chunk, self._chunk = self._chunk, Chunk()
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

    def _commit(self, report: SeriesResult, chunk: Chunk) -> None:
        candles, owners = chunk.table(), chunk.owners()
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


def _most(held: int | None, value: int) -> int:
    return value if held is None else max(held, value)


def _least(held: int | None, value: int) -> int:
    return value if held is None else min(held, value)
