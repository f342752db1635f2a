"""Pipeline of one series: plan -> fetch -> validate -> enrich -> commit -> result.

Pages are fetched concurrently and committed in order, in bounded chunks. What fails validation is kept as a dead
letter before its chunk is committed; the marks move in the same commit as the candles, and never past them.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.calendars import MarketCalendar
from ffe_core.completeness import Completeness, completeness
from ffe_core.errors import CommitConflict, FFEError, InputError, ProviderError
from ffe_core.ingestion import plan
from ffe_core.ingestion.chunk import Chunk
from ffe_core.ingestion.committer import Committer
from ffe_core.ingestion.empty_responses import EmptyResponses
from ffe_core.ingestion.enrich import enrich
from ffe_core.ingestion.fetch import confirmed, is_empty
from ffe_core.ingestion.hour_grid import HourGrid
from ffe_core.ingestion.listing import Listing
from ffe_core.ingestion.series_result import Counts, Progress, SeriesResult
from ffe_core.ingestion.turns import Member
from ffe_core.ingestion.young import first_young
from ffe_core.intervals import ranges
from ffe_core.providers.base import Fetched, Page, Provider
from ffe_core.providers.clock import NOTICEABLE, ticks
from ffe_core.providers.http import request_stats
from ffe_core.rules.sift import rules_of
from ffe_core.series import Series, Watermarks
from ffe_core.storage.dead_letters.index import fingerprint
from ffe_core.storage.lake.commits import Batch
from ffe_core.storage.lake.comparison import Committed
from ffe_core.storage.stores import Stores
from ffe_core.threads import FEW, in_pool, seen_through
from ffe_core.validation import Failure, read_open_times

log = logging.getLogger(__name__)
_REPLANS = 20
_NEVER = -(2**62)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A chunk ready to be committed; `settled` as `WatermarkStore.put` has it."""

    batch: Batch
    settled: int | None


class SeriesPipeline:
    """Runs one series once. The caller holds its lease and has opened the provider."""

    def __init__(
        self,
        series: Series,
        provider: Provider,
        calendar: MarketCalendar,
        stores: Stores,
        *,
        listing: Listing | None = None,
        run_id: str | None = None,
        progress: Progress = lambda report: None,
        committer: Committer | None = None,
        member: Member | None = None,
        ingestion_id: str | None = None,
    ) -> None:
        """Without a `listing` every bar of the calendar is asked for, and nothing is learned of the first and last.

        With a `member`, which has a turn, small batches are committed together with those of its group.
        """
        self._series, self._provider, self._stores = series, provider, stores
        self._committer = committer or Committer(stores.lake, stores.watermarks)
        self._member = member
        self._pool = FEW if stores.lake.is_local and not stores.locks.are_for_many else None
        self._hours = HourGrid(series, calendar, stores.instruments)
        self._listing = listing
        self._oldest: int | None = None  # open of the first bar that this run stored
        self._ingestion_id = ingestion_id or str(uuid.uuid4())
        self._run_id = run_id
        self._progress = progress
        self._rules = rules_of(stores.settings.data_dir, series)
        self._closed = 0  # open from which bars are not closed yet
        self._asked_end = 0
        self._held = Watermarks()  # the marks as the lake holds them, as far as this writer knows
        self._first_low = 0
        self._responses = EmptyResponses()
        self._unfinished: list[int] = []
        self._newest = 0
        self._dropped_until = _NEVER  # end of the last bar of the span that was dropped as unfinished
        self._cancelled: asyncio.CancelledError | None = None
        self._kept: list[Failure] = []  # dead letters of the chunk under way
        self._uncounted: dict[bytes, Failure] = {}  # those of chunks that another writer was faster than

    @property
    def _calendar(self) -> MarketCalendar:
        """The market, on the grid that the series keeps to and within its listing, as far as they are known by now."""
        return self._hours.calendar if self._listing is None else self._listing.within(self._hours.calendar)

    async def run(self, start: int, end: int, mode: plan.Mode) -> SeriesResult:
        """Bring the opens in [start, end) into the lake. A failure is in the report, all before it is kept.

        CalendarHorizonError, before any request, for a range that the series' calendar does not know.
        """
        report = self._begin(start, end)
        self._calendar.expected_ranges(self._series.timeframe, report.start, report.end)
        try:
            if self._series.has_hour_grid:
                await self._step(self._hours.read, self._stores.lake)
            self._provider.check(self._series.asset_pair, self._series.timeframe)
            await self._look_up(report, mode)
            await self._replanning(report, mode)
            if mode == "resume" and self._reaches_further(report):
                await self._replanning(report, mode)
            await self._conclude(report, mode)
        except (FFEError, InputError) as error:
            await self._fail(report, error)
        except Exception as error:
            log.exception("%s ended unexpectedly", self._series)
            await self._fail(report, FFEError(f"{type(error).__name__}: {error}"))
        finally:
            self._count_kept(report)
        self._say_skew(report)
        report.phase = "done"
        self._progress(report)
        return report

    def _begin(self, start: int, end: int) -> SeriesResult:
        self._closed, self._asked_end = self._closed_before(self._provider.now()), end
        first, last = plan.on_grid(self._series, start, min(end, self._closed))
        report = SeriesResult(self._series, first, max(first, last))
        request_stats.set(report.request_stats)
        return report

    def _closed_before(self, now: int) -> int:
        return self._provider.closed_before(self._series.timeframe, now)

    def _reaches_further(self, report: SeriesResult) -> bool:
        """Whether this computer's clock turned out to be behind, so that the range goes on; its end is moved then."""
        if self._provider.clock_skew > -NOTICEABLE:
            return False
        self._closed = self._closed_before(self._provider.now())
        _, end = plan.on_grid(self._series, report.start, min(self._asked_end, self._closed))
        further, report.end = end > report.end, max(end, report.end)
        return further

    async def _look_up(self, report: SeriesResult, mode: plan.Mode) -> None:
        """Find where the series begins, before a part of it is asked for that may lie earlier."""
        if self._listing is None or mode == "gaps":
            return
        if mode == "refetch":
            await self._step(self._listing.forget_last)
        low = None
        if mode == "resume" and self._listing.is_to_be_found:
            low = (await self._step(self._stores.lake.marks, self._series)).low
        await self._listing.look_up(report.start, report.end if low is None else low, mode, self._fetch_of)

    async def _replanning(self, report: SeriesResult, mode: plan.Mode) -> None:
        """Run the plan, and plan anew whenever another writer was faster."""
        for attempt in range(_REPLANS):
            try:
                return await self._planned(report, mode)
            except CommitConflict:
                if attempt == _REPLANS - 1:
                    raise
                self._uncounted |= {fingerprint(failure.record): failure for failure in self._kept}
                self._kept = []
        return None

    async def _planned(self, report: SeriesResult, mode: plan.Mode) -> None:
        self._held = report.marks = await self._step(self._read_marks)
        for span in await self._plan(report, mode):
            if self._calendar.expected_count(self._series.timeframe, span.start, span.end):
                await self._span(report, span)

    def _read_marks(self) -> Watermarks:
        """The marks as the log holds them; the readable copy is healed on the way."""
        marks = self._stores.lake.marks(self._series)
        self._stores.watermarks.put(self._series, marks)
        return marks

    async def _plan(self, report: SeriesResult, mode: plan.Mode) -> list[plan.Span]:
        missing = await self._missing(report) if mode == "gaps" else []
        settles = mode == "resume" and self._provider.settle_seconds
        young = await self._step(self._first_young) if settles else None
        start, end = self._calendar.listed(self._series.timeframe, report.start, report.end)
        return plan.spans(mode, self._held, start, end, self._series.grid, missing, young)

    async def _missing(self, report: SeriesResult) -> list[tuple[int, int]]:
        """What is missing; not what turns out to lie before the first bar."""
        missing = (await self._measure(report)).missing
        if not missing or self._listing is None:
            return missing
        if not await self._listing.look_up(*missing[0], "gaps", self._fetch_of):
            return missing
        return (await self._measure(report)).missing

    def _first_young(self) -> int | None:
        settle = self._provider.settle_seconds
        return first_young(self._series, self._held, settle, self._stores.lake, self._stores.watermarks)

    async def _span(self, report: SeriesResult, span: plan.Span) -> None:
        """Fetch a span and commit it in order, chunk by chunk; what came before a provider's failure, or before the
        run was cancelled, too."""
        pages = span.pages(self._provider, self._series)
        report.pages_planned += len(pages)
        report.fills_gaps = bool(span.parts)
        self._responses.expect(span.wanted)
        report.phase = "fetching"
        self._first_low, self._dropped_until = span.start, _NEVER
        answers = confirmed(
            self._past(report, reversed(pages) if span.newest_first else pages),
            self._fetch,
            self._provider.max_in_flight,
            self._is_unexpectedly_empty,
            confirm_empty=span.confirm_empty,
            is_stopped=lambda: self._cancelled is not None,
        )
        chunk = self._chunk(span)
        try:
            async for page, answer in answers:
                self._check_grid(page, answer)
                reach = self._take(report, chunk, page, answer)
                self._responses.add(page, answer, twice=span.confirm_empty and self._is_empty(page, answer))
                if chunk.wants_validation:
                    await self._in_thread(chunk.validate)
                if chunk.is_due:
                    chunk = await self._flush(report, span, chunk)
                self._progress(report)
                if span.newest_first and reach and report.not_covered:
                    report.not_covered = (span.start, report.not_covered[1])
                    break
        except ProviderError:
            await self._flush(report, span, chunk, last=True)
            self._end_if_cancelled()
            raise
        except asyncio.CancelledError as error:
            self._cancelled = error
        finally:
            await answers.aclose()
        if self._cancelled is None:
            await self._flush(report, span, chunk, last=True)
        else:
            await self._flush_fetched(report, span, chunk)
        self._end_if_cancelled()

    def _end_if_cancelled(self) -> None:
        """Be cancelled now, if the run was while something had to be seen through."""
        if self._cancelled is not None:
            raise self._cancelled

    async def _in_thread(self, work: Callable[..., Result], *args: object) -> Result:
        """Do work in a thread, as `_before_cancelled` says."""
        return await self._before_cancelled(in_pool(self._pool, work, *args))

    async def _step(self, work: Callable[..., Result], *args: object) -> Result:
        """Do work in a thread and see it through; a cancellation meanwhile ends the run then."""
        return await seen_through(in_pool(self._pool, work, *args))

    async def _before_cancelled(self, done: asyncio.Future[Result], hurry: Callable[[], None] = lambda: None) -> Result:
        """See something through. A cancellation meanwhile is kept for when all that was fetched is committed, and
        told by `hurry`; it ends the run at once if this fails, as nothing may be committed past what is missing."""
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                self._cancelled = error
                hurry()
        if self._cancelled is not None and (failure := done.exception()) is not None:
            raise self._cancelled from failure
        return done.result()

    async def _flush_fetched(self, report: SeriesResult, span: plan.Span, chunk: Chunk) -> None:
        """Commit what a cancelled run has fetched; it ends, whether that succeeds or not."""
        try:
            await self._flush(report, span, chunk)
        except (FFEError, InputError, asyncio.CancelledError) as error:
            log.warning("%s: what was fetched last could not be committed: %s", self._series, error)

    def _past(self, report: SeriesResult, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages in turn, without those that lie in the future once the provider's clock is known."""
        for page in pages:
            if self._provider.clock_skew and page.start >= self._closed_before(self._provider.now()):
                report.pages_done += 1
                self._cut_at(page.start, page)
            else:
                yield page

    async def _fetch(self, page: Page) -> Fetched:
        """One page, unless it was asked for already when the first bar was looked for. LeaseLost if it is another's."""
        self._stores.check_lease(self._series)
        known = self._listing.answer_to(page) if self._listing is not None else None
        return known or await self._fetch_of(self._series.timeframe, page)

    async def _fetch_of(self, timeframe: str, page: Page) -> Fetched:
        """A page; whatever else a provider raises counts as its failure, so that what came before is kept."""
        began = ticks()
        try:
            answer = await self._provider.fetch(self._series.asset_pair, timeframe, page)
            if self._provider.clock_skew:  # the answer itself may have told
                answer.closed = self._closed_before(self._provider.now() - int(ticks() - began))
            if answer.first_bar is not None and self._listing is not None:
                await self._step(self._listing.told, timeframe, answer.first_bar)
            return answer
        except FFEError:
            raise
        except Exception as error:
            log.exception("%s: the provider failed unexpectedly", self._series)
            raise ProviderError(f"{self._series.provider} failed with {type(error).__name__}: {error}") from error

    def _is_empty(self, page: Page, answer: Fetched) -> bool:
        return is_empty(page, answer, whole_bodies=self._provider.sends_whole_bodies)

    def _is_unexpectedly_empty(self, page: Page, answer: Fetched) -> bool:
        """Whether an answer is empty though bars are expected."""
        if not self._is_empty(page, answer):
            return False
        return self._calendar.expected_count(self._series.timeframe, page.start, page.end) > 0

    def _chunk(self, span: plan.Span) -> Chunk:
        parts = ranges(span.parts) if span.parts else None
        has_volume = self._provider.has_volume(self._series.asset_pair)
        flags = self._provider.flags_completion
        return Chunk(self._series, self._closed, flags, parts, has_volume, self._rules)

    def _take(self, report: SeriesResult, chunk: Chunk, page: Page, answer: Fetched) -> bool:
        """Add a page to the chunk; True if the provider could not reach back to the page's start."""
        reach = min(answer.covers_from or page.start, page.end)
        report.pages_done += 1
        report.fetched += len(answer.records)
        if reach > page.start:
            known = report.not_covered or (page.start, reach)
            report.not_covered = (min(known[0], page.start), max(known[1], reach))
            if self._held.watermark is None:
                self._first_low = reach
        if answer.closed is not None:
            self._cut_at(answer.closed, page)
            self._say_skew(report)
        chunk.take(Page(max(page.start, reach), page.end), answer.records, self._closed)
        return reach > page.start

    def _check_grid(self, page: Page, answer: Fetched) -> None:
        """Refuse an answer whose bars lie on another grid than those of the series; what came before it is stored."""
        if self._series.has_hour_grid:
            opens = read_open_times(answer.records)
            self._hours.check(opens[(opens >= page.start) & (opens < page.end)])

    def _cut_at(self, closed: int, page: Page) -> None:
        """From `closed` on nothing is stored any more, so that no mark passes a bar that was dropped."""
        self._closed = min(self._closed, closed)
        if self._closed < page.end:
            self._dropped_until = max(self._dropped_until, page.end)

    def _say_skew(self, report: SeriesResult) -> None:
        report.clock_skew = self._provider.clock_skew
        if report.notice and not self._provider.said_skew:
            self._provider.said_skew = True
            log.warning("%s", report.notice)

    async def _flush(self, report: SeriesResult, span: plan.Span, chunk: Chunk, *, last: bool = False) -> Chunk:
        """Commit the chunk, its dead letters first; a cancelled task still sees its commit through.

        The `last` of a span may be committed together with those of other series.
        """
        report.phase = "committing"
        self._progress(report)
        try:
            ready = await self._in_thread(self._prepared, span, chunk)
            if ready is not None:
                await self._commit(report, chunk, ready, last)
        finally:  # what is committed counts, whatever came of the run meanwhile
            report.phase = "fetching"
            self._progress(report)
        return self._chunk(span)

    def _prepared(self, span: plan.Span, chunk: Chunk) -> _Prepared | None:
        """What a chunk comes to: its dead letters kept, its rows whole, where the marks go; None if nothing came."""
        if chunk.reached is None:
            return None
        candles = chunk.candles()
        if span.newest_first:
            candles = candles.sort_by("timestamp")
        self._dead_letter(chunk)
        newest = _newest(candles)
        dropped = (at + self._series.step for at in chunk.unfinished if at < span.end)
        self._dropped_until = max(self._dropped_until, max(dropped, default=_NEVER))
        after = self._marks_after(span, chunk.reached, newest)
        self._newest = max(self._newest, newest or 0, after.watermark or 0)
        self._note_oldest(candles)
        batch = Batch(self._series, self._enriched(candles), self._held, after, self._note())
        return _Prepared(batch, self._settled(span, newest, after.watermark))

    async def _commit(self, report: SeriesResult, chunk: Chunk, ready: _Prepared, last: bool) -> None:
        batch = ready.batch
        if batch.rows.num_rows == 0 and batch.after == batch.before:
            self._count(report, chunk, batch, Committed(0, 0, 0))
            if ready.settled is not None:
                await self._in_thread(self._stores.watermarks.put, self._series, batch.after, ready.settled)
            return
        pending = self._committer.begin(batch, ready.settled, self._member, waits=last and self._cancelled is None)
        outcome = await self._before_cancelled(pending.outcome, pending.hurry)
        if isinstance(outcome, Committed):
            self._count(report, chunk, batch, outcome)
            if self._hours.learned:
                await self._in_thread(self._hours.keep)
        failure = outcome if isinstance(outcome, Exception) else pending.not_copied
        if failure is not None and self._cancelled is not None:
            raise self._cancelled from failure
        if self._member is not None and self._cancelled is None:
            await self._member.take_turn()
        if failure is not None:
            raise failure

    def _count(self, report: SeriesResult, chunk: Chunk, batch: Batch, done: Committed) -> None:
        chunk.counts.stored += done.new + done.restated
        chunk.counts.restated += done.restated
        chunk.counts.duplicates += done.repeats
        self._held = report.marks = batch.after
        report.counts.add(chunk.counts)
        self._kept = []
        self._unfinished += chunk.unfinished

    def _count_kept(self, report: SeriesResult) -> None:
        """Count the dead letters of chunks that were neither committed nor received again: they are kept, too."""
        left = [*self._kept, *self._uncounted.values()]
        superseded = sum(failure.superseded for failure in left)
        report.counts.add(Counts(received=len(left), dead_lettered=len(left), superseded=superseded))

    def _note_oldest(self, candles: pa.Table) -> None:
        if candles.num_rows:
            oldest = int(pc.min(pc.cast(candles["timestamp"], pa.int64())).as_py()) // 1_000_000
            self._oldest = oldest if self._oldest is None else min(self._oldest, oldest)

    def _dead_letter(self, chunk: Chunk) -> None:
        """Keep the chunk's failures as dead letters, before its candles are committed."""
        if not chunk.failures:
            return
        context = {
            "asset_pair": self._series.asset_pair,
            "timeframe": self._series.timeframe,
            "provider": self._series.provider,
            **self._note(),
        }
        reasons = [failure.reasons for failure in chunk.failures]
        saved = self._stores.queue.save(
            [failure.record for failure in chunk.failures], "validation_failed", context, reasons
        )
        new = [chunk.failures[place] for place in self._new(chunk, saved.places)]
        self._kept = new
        chunk.counts.dead_lettered += len(new)
        chunk.counts.duplicates += len(chunk.failures) - len(new)
        chunk.counts.superseded += sum(failure.superseded for failure in new)

    def _new(self, chunk: Chunk, saved: Sequence[int]) -> list[int]:
        """Places of the failures that are this run's: saved just now, or with a chunk whose commit was refused."""
        new = set(saved)
        for place, failure in enumerate(chunk.failures if self._uncounted else ()):
            if place not in new and self._uncounted.pop(fingerprint(failure.record), None) is not None:
                new.add(place)
        return sorted(new)

    def _enriched(self, candles: pa.Table) -> pa.Table:
        mock, skew = self._provider.is_mock, self._provider.clock_skew
        return enrich(candles, self._series, self._ingestion_id, is_mock=mock, clock_skew=skew)

    def _settled(self, span: plan.Span, newest: int | None, watermark: int | None) -> int | None:
        """The watermark, if the bar there has just been read and no longer changes; None if it may."""
        settle = self._provider.settle_seconds
        if not settle or span.advances != "watermark" or newest is None or newest != watermark:
            return None
        return newest if newest + self._series.step + settle <= self._provider.now() else None

    def _marks_after(self, span: plan.Span, reached: Page, newest: int | None) -> Watermarks:
        if span.advances == "low":
            assert self._held.low is not None
            low = max(reached.start, self._dropped_until)
            return Watermarks(self._held.watermark, min(self._held.low, low))
        if span.advances == "nothing" or newest is None:
            return self._held
        watermark = newest if self._held.watermark is None else max(newest, self._held.watermark)
        return Watermarks(watermark, self._first_low if self._held.low is None else self._held.low)

    def _cut_unfinished(self, report: SeriesResult) -> None:
        """Bars that the provider calls unfinished, after the newest finished one, are not expected yet.

        Not those before it: what a provider still calls unfinished there is missing.
        """
        first = min((open_ for open_ in self._unfinished if open_ > self._newest), default=report.end)
        _, closed = plan.on_grid(self._series, report.start, self._closed)
        report.end = min(report.end, max(report.start, min(first, closed)))

    def _note(self) -> dict[str, str]:
        return {"ingestion_id": self._ingestion_id, **({"run_id": self._run_id} if self._run_id else {})}

    async def _conclude(self, report: SeriesResult, mode: plan.Mode) -> None:
        """Keep what the run has learned, and measure how whole its range is: in one step, as a thread each costs more
        than what a run of one bar has to do in it."""
        reached_end = mode != "gaps" and report.end >= self._closed_before(self._provider.now())
        asked = report.start, report.end
        self._begin_counting(report)
        report.completeness = await self._step(self._concluded, report, asked, reached_end)

    def _concluded(self, report: SeriesResult, asked: tuple[int, int], reached_end: bool) -> Completeness:
        """Keep the first and the last bar and say what of the range `asked` for lies outside; what was asked for and is
        still missing is kept too: asked twice, it is offered for marking."""
        if self._listing is not None:
            self._listing.saw_ends(self._oldest, report.marks if reached_end else None)
            report.notes = self._listing.notes(*asked)
        found = self._measured(report)
        self._stores.acknowledged.note_asked(self._series, *self._responses.among(found.missing))
        return found

    async def _measure(self, report: SeriesResult) -> Completeness:
        self._begin_counting(report)
        return await self._step(self._measured, report)

    def _begin_counting(self, report: SeriesResult) -> None:
        report.phase = "counting"
        self._cut_unfinished(report)
        self._progress(report)

    def _measured(self, report: SeriesResult) -> Completeness:
        lake, queue, acknowledged = self._stores.lake, self._stores.queue, self._stores.acknowledged
        return completeness(self._series, report.start, report.end, self._calendar, lake, queue, acknowledged)

    async def _fail(self, report: SeriesResult, error: FFEError | InputError) -> None:
        report.error = error
        try:
            report.marks = await self._step(self._stores.lake.marks, self._series)
            report.completeness = await self._measure(report)
        except Exception as another:
            log.info("%s: how whole it is cannot be told: %s", self._series, another)
            report.completeness = None  # the first failure is the one to report


def _newest(candles: pa.Table) -> int | None:
    """Open of the last candle, epoch seconds."""
    newest = pc.max(pc.cast(candles["timestamp"], pa.int64())).as_py()
    return None if newest is None else int(newest) // 1_000_000
