"""Mutation check: take each guard away, one at a time, and see a normal test fail.

    python -m tests.reliability.mutations [--only NAME ...]

A guard is a piece of the product's text, what stands there instead once it is taken away, and the test that must fail
then. It is tried on a copy of the tree; a guard whose text is not found fails the check, as does a test that passes. A
test is first run on the whole copy, so that it fails for want of the guard and for nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".peers", "__pycache__", "*.pyc", "data", ".mypy_cache", ".ruff_cache"
)
_BOUND = 600


@dataclass(frozen=True)
class Guard:
    """A guard by name: the file, its text there, what replaces it, and the test that must fail."""

    name: str
    file: str
    text: str
    without: str
    test: str
    also: tuple[tuple[str, str], ...] = ()
    """More pieces of the file, each with what replaces it, where a guard is more than one."""

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """Every piece of text with what replaces it."""
        return (self.text, self.without), *self.also


_SHORT = "tests/reliability/test_reliability.py"
_COMPACTION = "tests/storage/lake/upkeep/test_compaction.py"
GUARDS = (
    Guard(
        "rename",
        "ffe_core/storage/files.py",
        'path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")\n        file = temporary.open("xb")\n',
        'path\n        file = temporary.open("wb")\n',
        "tests/storage/test_files.py",
    ),
    Guard(
        "fsync",
        "ffe_core/storage/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        f"{_SHORT}::test_a_file_is_flushed_and_then_renamed_into_its_place",
    ),
    Guard(
        "lock of a file that is written",
        "ffe_core/storage/files.py",
        "            fcntl.flock(file, fcntl.LOCK_EX)\n",
        "            pass\n",
        "tests/storage/test_files.py",
    ),
    Guard(
        "a table that asks for more",
        "ffe_core/storage/lake/commits.py",
        " or not data_files.fit(table):\n",
        ":\n",
        "tests/storage/lake/test_data_files.py",
    ),
    Guard(
        "lease",
        "ffe_core/storage/locks.py",
        "            self._lock.acquire(timeout=0)\n",
        "            pass\n",
        "tests/integration/test_crashes.py::test_a_killed_holder_frees_its_lease_at_once",
    ),
    Guard(
        "marks of the commit",
        "ffe_core/storage/lake/commits.py",
        "    if snapshot.marks(batch.series) != batch.before:\n",
        "    if False:\n",
        "tests/storage/lake/test_delta_lake_manager.py",
    ),
    Guard(
        "a series once in a commit",
        "ffe_core/ingestion/committer.py",
        "            if fits and pending.batch.series not in taken:\n",
        "            if fits:\n",
        "tests/ingestion/test_committer.py",
        (
            ("taken[pending.batch.series] = pending", "taken[id(pending)] = pending"),
            ("taken.get(pending.batch.series) is not pending", "taken.get(id(pending)) is not pending"),
        ),
    ),
    Guard(
        "comparison with what is stored",
        "ffe_core/storage/lake/commits.py",
        "    fresh, done = compare(snapshot, batch.series, batch.rows)\n",
        "    fresh, done = batch.rows, Committed(batch.rows.num_rows, 0, 0)\n",
        "tests/integration/test_crashes.py::TestWithoutTheLease",
    ),
    Guard(
        "dead letters first",
        "ffe_core/ingestion/pipeline.py",
        "        self._dead_letter(chunk)\n        newest",
        "        newest",
        f"{_SHORT}::test_a_verb_killed_where_it_commits_and_run_again_has_done_its_work_once",
        (
            (
                "        chunk.counts.stored += done.new + done.restated\n",
                "        self._dead_letter(chunk)\n        chunk.counts.stored += done.new + done.restated\n",
            ),
        ),
    ),
    Guard(
        "replay identity",
        "ffe_core/operations/dead_letters/replay_check.py",
        "    if snapshot is None or not ids:\n",
        "    if True:\n",
        "tests/operations/dead_letters/test_replay.py",
    ),
    Guard(
        "intent row",
        "ffe_core/storage/state/audit.py",
        """        row_id = self._begin(actor, verb, target, reason, details)
        act = Act(target, dict(details))
""",
        """        act = Act(target, dict(details))
        yield act
        self._complete(self._begin(actor, verb, target, reason, details), act, DONE)
        return
""",
        "tests/storage/state/test_audit.py",
    ),
    Guard(
        "closed bars",
        "ffe_core/ingestion/chunk.py",
        "        return open_times >= closed\n",
        "        return open_times >= 2**62\n",
        "tests/ingestion/test_pipeline.py",
    ),
    Guard(
        "bars called unfinished",
        "ffe_core/ingestion/chunk.py",
        """r.get("complete") is False for r""",
        """r.get("complete") is None for r""",
        "tests/ingestion/test_pipeline.py",
    ),
    Guard(
        "volume",
        "ffe_core/ingestion/pipeline.py",
        "has_volume = self._provider.has_volume(self._series.asset_pair)",
        "has_volume = False",
        "tests/integration/test_answers.py",
    ),
    Guard(
        "clock skew",
        "ffe_core/providers/http_provider.py",
        "        return self._http.clock.skew\n",
        "        return 0.0\n",
        "tests/integration/test_clocks.py",
    ),
    Guard(
        "low mark",
        "ffe_core/ingestion/pipeline.py",
        "            low = max(reached.start, self._dropped_until)\n",
        "            low = reached.start\n",
        "tests/integration/test_clocks.py",
    ),
    Guard(
        "young bars",
        "ffe_core/ingestion/plan.py",
        "after if young is None else min(young, after)",
        "after",
        "tests/integration/test_clocks.py",
    ),
    Guard(
        "OANDA's future",
        "ffe_core/providers/oanda.py",
        "                    self._http.clock.contradict(last - back)\n",
        "                    raise\n",
        "tests/integration/test_clocks.py",
    ),
    Guard(
        "pieces of a packed answer",
        "ffe_core/providers/body.py",
        "self._member.decompress(raw, _PIECE)",
        "self._member.decompress(raw)",
        "tests/providers/test_body.py",
    ),
    Guard(
        "one large answer at a time",
        "ffe_core/providers/body.py",
        "            await held.enter_async_context(turn)\n",
        "            pass\n",
        "tests/providers/test_body.py",
    ),
    Guard(
        "beginning of an error page",
        "ffe_core/providers/body.py",
        "            if size >= ERROR_PAGE_BYTES:\n",
        "            if False:\n",
        "tests/providers/test_body.py",
    ),
    Guard(
        "earliest start",
        "ffe_core/providers/base.py",
        "        if cls.earliest is not None and start < times.parse_instant(cls.earliest):\n",
        "        if False:\n",
        "tests/providers/test_contract.py",
    ),
    Guard(
        "address",
        ".streamlit/config.toml",
        'address = "127.0.0.1"\n',
        'address = "0.0.0.0"\n',
        "tests/reliability/test_address.py",
    ),
    Guard(
        "host check",
        "pages/server/guard.py",
        "        self._check_host(headers)\n",
        "",
        "tests/pages/server/test_guard.py",
    ),
    Guard(
        "origin check",
        "pages/server/guard.py",
        """        self._check_origin(headers, "GET" if scope["type"] == "websocket" else scope["method"])\n""",
        "",
        "tests/pages/server/test_guard.py",
    ),
    Guard(
        "echo check",
        "ffe_core/providers/echo.py",
        "        elif not _is_same(named[field], wanted):\n",
        "        elif False:\n",
        "tests/providers/test_echo.py",
    ),
    Guard(
        "clock",
        "ffe_core/providers/clock.py",
        "        return local if self.skew == 0.0 else int(local + 0.5 - self.skew)\n",
        "        return local\n",
        "tests/providers/test_clock.py",
    ),
    Guard(
        "bound on a body",
        "ffe_core/providers/body.py",
        "        if size > bounds.size:\n",
        "        if False:\n",
        "tests/providers/test_body.py",
    ),
    Guard(
        "bound on records",
        "ffe_core/providers/body.py",
        "    bounds.check_values(body)\n",
        "",
        "tests/providers/test_body.py",
    ),
    Guard(
        "compaction as the very next version",
        "ffe_core/storage/lake/upkeep/compaction.py",
        'custom_metadata={"upkeep": "compaction"}, max_commit_retries=0',
        'custom_metadata={"upkeep": "compaction"}, max_commit_retries=100',
        f"{_COMPACTION}::test_two_compactions_at_once_double_nothing",
    ),
    Guard(
        "room before upkeep writes",
        "ffe_core/storage/lake/upkeep/compaction.py",
        "    check_room(uri, sum(merge.bytes for merge in merges))\n",
        "",
        f"{_COMPACTION}::test_a_disk_nearly_full_is_told_before_anything_is_written",
    ),
    Guard(
        "two checkpoints kept",
        "ffe_core/storage/lake/upkeep/log.py",
        "for name in checkpoints[:-1] if",
        "for name in checkpoints if",
        "tests/storage/lake/upkeep/test_log_and_vacuum.py",
        (("for name in reversed(older) if name < newest and", "for name in reversed(older) if"),),
    ),
    Guard(
        "other people's files",
        "ffe_core/storage/lake/upkeep/vacuum.py",
        ' if path.startswith(_OURS) and path.endswith(".parquet")',
        "",
        "tests/storage/lake/upkeep/test_log_and_vacuum.py",
    ),
    Guard(
        "lease of upkeep",
        "ffe_core/operations/upkeep/service.py",
        "            UpkeepLease(self._service.locks, what_of(row)).check_free()\n",
        "            pass\n",
        "tests/operations/upkeep/test_service.py::test_one_at_a_time_by_lease_and_no_backfill_is_held_up",
    ),
    Guard(
        "newest run of a series",
        "ffe_core/storage/state/pruning.py",
        "runs.c.id.not_in(newest)",
        "sa.true()",
        "tests/storage/state/test_pruning.py",
    ),
)
"""Every guard. A new one gets a line here together with its test."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the guards; 1 if one can be taken away unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutations", description="Is each guard tested?")
    parser.add_argument("--only", action="append", choices=[guard.name for guard in GUARDS], metavar="NAME")
    only = parser.parse_args(arguments).only
    chosen = [guard for guard in GUARDS if only is None or guard.name in only]
    with tempfile.TemporaryDirectory(prefix="ffe-mutations-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT, symlinks=True)
        found = [_say(guard, copy) for guard in chosen]
    sys.stdout.write(f"{sum(found)} of {len(found)} guards are tested\n")
    return int(not all(found))


def _say(guard: Guard, copy: Path) -> bool:
    began = time.monotonic()
    verdict = tried(guard, copy)
    sys.stdout.write(f"{guard.name:20} {verdict:60} {time.monotonic() - began:4.0f} s  {guard.test}\n")
    sys.stdout.flush()
    return verdict == _GOOD


_GOOD = "taken away, its test fails"


def tried(guard: Guard, copy: Path) -> str:
    """What came of taking one guard away in a copy of the tree, which is whole again afterwards."""
    file = copy / guard.file
    whole = file.read_text(encoding="utf-8") if file.exists() else ""
    for text, _ in guard.changes:
        if whole.count(text) != 1:
            return f"its text stands {whole.count(text)} times in {guard.file}, not once"
    if (before := _tested(guard, copy)) != 0:
        return f"its test ends with {before} on the whole tree"
    changed = whole
    for text, without in guard.changes:
        changed = changed.replace(text, without)
    file.write_text(changed, encoding="utf-8")
    try:
        after = _tested(guard, copy)
    finally:
        file.write_text(whole, encoding="utf-8")
    return {1: _GOOD, 0: "TAKEN AWAY UNNOTICED"}.get(after, f"its test could not be run: pytest ended with {after}")


def _tested(guard: Guard, copy: Path) -> int:
    """The exit status of pytest: 0 all passed, 1 some failed, others were not tests at all."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", guard.test]
    done = subprocess.run(command, cwd=copy, capture_output=True, timeout=_BOUND, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
