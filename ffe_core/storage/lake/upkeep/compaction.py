"""Compaction of a table: merges written first, then swapped in by an optimistic commit that never holds up an append.

deltalake 1.6.6 accepts a commit that removes files which another commit has removed meanwhile, and so doubles their
rows (its own `compact` too). Therefore each try opens a handle of its own, looks whether the old files are still there,
and commits with `max_commit_retries=0`, which succeeds only as the very next version. An append that comes first costs
nothing but another try; one that comes later is not in conflict with it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from ffe_core.candles import PARTITION_COLUMNS
from ffe_core.errors import StorageError
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.checkpoints import opened
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.lake.upkeep.disk import check_room
from ffe_core.storage.lake.upkeep.plan import Merge
from ffe_core.storage.lake.upkeep.rewrite import Rewriter, Rewritten, file_name

log = logging.getLogger(__name__)
_TRIES = 60
_LONGEST_WAIT = 0.2
_AT_ONCE_BYTES, _AT_ONCE_FILES = 64 * 2**20, 1_000
"""How much one commit swaps in: what is lost of work when it is interrupted, and read again when it is refused."""
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_READER_VERSION = 1
"""Of the Delta protocol; above it other tools have turned on what a rewriting by hand would undo."""


@dataclass(slots=True)
class Compacted:
    """What compaction did: files and bytes before and after of what it swapped, and what it could not swap."""

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    repeats: int = 0
    left: int = 0
    """Merges left for the next time, as others changed their files or the table was too busy."""

    def add(self, swapped: Sequence[Rewritten]) -> None:
        """Count what was swapped in."""
        for one in swapped:
            self.files_before += len(one.merge.names)
            self.files_after += len(one.added)
            self.bytes_before += one.merge.bytes
            self.bytes_after += one.bytes
            self.repeats += one.repeats


def compact(
    uri: str,
    options: dict[str, str] | None,
    merges: Sequence[Merge],
    progress: Callable[[int], None] = lambda done: None,
    is_stopped: Callable[[], bool] = lambda: False,
    swapped_in: Callable[[Sequence[Rewritten]], None] = lambda swapped: None,
) -> Compacted:
    """Make the merges of a table, some a commit; `progress` is told how many are done, `swapped_in` what each did.

    Stops between two commits once `is_stopped`. NearlyFullError before anything is written, StorageError if files
    cannot be read or written: the table is as it was, apart from commits made before.
    """
    done = Compacted()
    check_room(uri, sum(merge.bytes for merge in merges))
    finished = 0
    for batch in _batches(merges):
        if is_stopped():
            break
        swapped = _swap_in(uri, options, batch)
        done.add(swapped)
        swapped_in(swapped)
        done.left += len(batch) - len(swapped)
        finished += len(batch)
        progress(finished)
    return done


def _batches(merges: Sequence[Merge]) -> Iterator[list[Merge]]:
    batch: list[Merge] = []
    for merge in merges:
        files = sum(len(one.names) for one in batch) + len(merge.names)
        if batch and (sum(one.bytes for one in batch) + merge.bytes > _AT_ONCE_BYTES or files > _AT_ONCE_FILES):
            yield batch
            batch = []
        batch.append(merge)
    if batch:
        yield batch


def _swap_in(uri: str, options: dict[str, str] | None, merges: Sequence[Merge]) -> list[Rewritten]:
    """Write the new files of these merges and commit those whose old files are all still there; which they were."""
    with faults.in_words(f"the table {uri} cannot be compacted", uri):
        table = opened(uri, options)
        _check_plain(table)
        snapshot = Snapshot(table, options)
        live = set(snapshot.names_in_log().values())
        rewriter = Rewriter(table, snapshot.filesystem)
        written: list[Rewritten] = []
        try:
            for merge in merges:
                if live.issuperset(merge.names):
                    written.append(rewriter.rewrite(merge, _millis()))
        except BaseException:
            rewriter.discard([action for one in written for action in one.added])
            raise
        # What fails from here on may have failed after the log named the new files: they stay, for vacuum to judge.
        swapped = _committed(uri, options, written)
        kept = {id(one) for one in swapped}
        rewriter.discard([action for one in written if id(one) not in kept for action in one.added])
        return swapped


def _committed(uri: str, options: dict[str, str] | None, written: Sequence[Rewritten]) -> list[Rewritten]:
    """Commit what still can be; what others have removed files of, or added columns to, is left out.

    A commit that was told to have failed may have been made all the same, as where an object store's answer was lost:
    whether the log names the new files is looked up each time.
    """
    left, done = list(written), list[Rewritten]()
    columns: tuple[str, ...] | None = None
    for attempt in range(_TRIES + 1):
        table = opened(uri, options)
        names = tuple(field.name for field in table.schema().fields)
        columns = columns or names
        live = set(pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()) if left else set()
        files = {file_name(path) for path in live}
        done += [one for one in left if files.issuperset(one.file_names)]
        left = [one for one in left if live.issuperset(one.merge.names)] if names == columns else []
        if not left or attempt == _TRIES:
            break
        try:
            _commit(table, left)
            return done + left
        except DeltaError as error:
            if not isinstance(error, CommitFailedError) and attempt == _TRIES - 1:
                raise
            log.debug("compaction of %s was not the next commit, looking again: %s", uri, error)
        time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.005 * 2**attempt)))
    if left:
        log.info("compaction of %s found the table too busy and leaves it for the next time", uri)
    return done


def _commit(table: DeltaTable, swapped: Sequence[Rewritten]) -> None:
    at = _millis()
    actions = [action for one in swapped for action in (*one.added, *one.removed(at))]
    table.create_write_transaction(
        actions,
        mode="append",
        schema=table.schema(),
        partition_by=list(PARTITION_COLUMNS),
        commit_properties=CommitProperties(custom_metadata={"upkeep": "compaction"}, max_commit_retries=0),
        post_commithook_properties=_NO_HOOKS,
    )


def _check_plain(table: DeltaTable) -> None:
    """StorageError for a table in which another tool has turned on what is more than files of rows."""
    protocol = table.protocol()
    if protocol.min_reader_version > _READER_VERSION:
        features = ", ".join(protocol.reader_features or ()) or f"reader version {protocol.min_reader_version}"
        raise StorageError(
            f"{table.table_uri} uses {features}, turned on by another tool; compact it with that tool, appends go on"
        )


def _millis() -> int:
    return int(time.time() * 1000)
