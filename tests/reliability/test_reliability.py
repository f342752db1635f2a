"""Tests of reliability in short: the moments that decide, one of each; `python -m tests.reliability` is all of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.reliability import crowds, damage, faults, kills, shim
from tests.reliability.crowds import Crowd
from tests.reliability.damage import Damage
from tests.reliability.faults import Failure
from tests.reliability.kills import Kill
from tests.reliability.shim import Call
from tests.reliability.trials import Trials
from tests.reliability.verbs import TIMEFRAME, VERBS, Bases, Verb, by_name
from tests.reliability.verdict import Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    if shim.compiler() is None and not os.environ.get("CI"):
        pytest.skip("no C compiler: install gcc to build what makes storage calls fail")
    with Trials() as running:
        yield running


@pytest.fixture(scope="module")
def bases(trials: Trials) -> Bases:
    return Bases(trials)


def is_commit(call: Call) -> bool:
    """The moment at which the lake, a dead letter or the ledger holds something new."""
    lake = call.name == "link" and "_delta_log" in call.path
    record = call.name in ("rename", "unlink") and call.within.startswith("dlq/") and call.path.endswith(".json")
    return lake or record or (call.name == "write" and call.path.endswith("console.db-wal"))


def moments(bases: Bases, verb: Verb, is_wanted: Callable[[Call], bool], most: int) -> list[Call]:
    """So many of the wanted calls of a verb, spread over all of them, the last included."""
    found = [call for call in bases.calls(verb) if is_wanted(call)]
    return found[:: -max(1, len(found) // most)][:most]


def assert_nothing_wrong(tally: Tally, among: Sequence[str]) -> None:
    wrong = [fault for fault in tally.faults if fault.kind in among]
    assert not wrong, tally.found()


DATA = ("lost", "doubled", "wrong", "unnamed")
ENDS = ("hung", "traceback", "exit")


def test_a_verb_killed_where_it_commits_and_run_again_has_done_its_work_once(trials: Trials, bases: Bases):
    tally = Tally()
    chosen = [
        Kill(verb, call, action)
        for verb in VERBS
        for call in moments(bases, verb, is_commit, 3 if verb.name == "backfill" else 1)
        for action in ((shim.KILL, shim.KILL_AFTER) if verb.name.startswith("backfill") else (shim.KILL_AFTER,))
    ]
    kills.these(trials, bases, tally, chosen)
    assert tally.lines["kills"].tried >= len(VERBS)
    assert_nothing_wrong(tally, DATA + ENDS)


def test_a_verb_whose_storage_fails_says_so_and_comes_to_the_same_when_run_again(trials: Trials, bases: Bases):
    tally = Tally()
    verbs = [by_name("backfill on"), by_name("dlq replay")]
    once = [
        Failure(verb, call, shim.FAIL, code)
        for verb in verbs
        for is_wanted, code in (
            (lambda call: call.name == "link" and "_delta_log" in call.path, errno.EIO),
            (lambda call: call.name == "rename" and "watermarks" in call.path, errno.EACCES),
            (lambda call: call.name == "write" and "/.part-" in call.path, errno.ENOSPC),
        )
        for call in moments(bases, verb, is_wanted, 1)
    ]
    for_good = [
        Failure(verb, bases.calls(verb)[0], shim.FAIL_FROM, errno.ENOSPC, under)
        for verb, under in zip(verbs, ("", "lake"), strict=True)
    ]
    faults.these("faults", trials, bases, tally, once + for_good)
    assert_nothing_wrong(tally, DATA + ENDS)


def test_ten_processes_on_one_series_store_each_bar_once(trials: Trials, bases: Bases):
    tally = Tally()
    crowds.these(trials, bases, tally, [Crowd([by_name("backfill")] * crowds.PROCESSES, by_name("backfill"))])
    assert_nothing_wrong(tally, DATA + ENDS)


def test_upkeep_beside_backfills_loses_and_doubles_nothing(trials: Trials, bases: Bases):
    tally = Tally()
    mixed = [by_name(name) for name in ("backfill on", "storage compact", "storage vacuum", "backfill and upkeep")]
    crowds.these(trials, bases, tally, [Crowd(mixed, by_name("backfill and upkeep"))])
    assert_nothing_wrong(tally, (*DATA, "hung", "traceback"))


def test_upkeep_whose_storage_fails_leaves_every_row(trials: Trials, bases: Bases):
    tally, verb = Tally(), by_name("storage compact")
    once = [
        Failure(verb, call, shim.FAIL, code)
        for is_wanted, code in (
            (lambda call: call.name == "link" and "_delta_log" in call.path, errno.EIO),
            (lambda call: call.name in ("write", "open") and ".parquet" in call.path, errno.ENOSPC),
        )
        for call in moments(bases, verb, is_wanted, 2)
    ]
    faults.these("faults", trials, bases, tally, once)
    assert_nothing_wrong(tally, DATA + ENDS)


def test_no_verb_crashes_on_a_spoiled_file_or_stores_anything_wrong(trials: Trials, bases: Bases):
    tally, data = Tally(), bases.paths["holey"]
    log = f"lake/raw_market_data_{TIMEFRAME}/_delta_log"
    newest = max(path.name for path in (data / log).glob("*.json"))
    files = ("dlq/.index.sqlite", "watermarks/watermarks.json", f"{log}/{newest}")
    damage.these(trials, bases, tally, [Damage("holey", file, "cut") for file in files])
    assert_nothing_wrong(tally, DATA + ENDS)


def test_a_file_is_flushed_and_then_renamed_into_its_place(bases: Bases):
    seen: set[str] = set()
    for name in ("backfill", "dlq discard"):
        flushed: set[str] = set()
        for call in bases.calls(by_name(name)):
            folder, _, file = call.within.rpartition("/")
            if call.path.endswith(".tmp"):
                whole = f"{folder}/{file[1:].rsplit('.', 2)[0]}"
                (flushed.add if call.name == "fsync" else flushed.discard)(whole)
            elif is_replaced_as_a_whole(call.within):
                assert call.name in ("rename", "unlink"), f"{name} changes it in place: {call}"
                if call.name == "rename":
                    assert call.within in flushed, f"{name} renames what is not on disk: {call}"
                    seen.add(call.within)
    assert len({path.partition("/")[0] for path in seen}) == 3, seen


def is_replaced_as_a_whole(path: str) -> bool:
    """Whether a file has its name only when it is whole: a small one, or a data file of the lake."""
    small = path.endswith(".json") and path.startswith(("dlq/", "watermarks/"))
    return small or (path.endswith(".parquet") and "/partition_date=" in path)
