"""Is a finding the same one however its bars lie in files, and kept as people decided until its bars change?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import calendar_for
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.checks import windows
from ffe_core.checks.engine import MOST, check_pair
from ffe_core.checks.own import check_of
from ffe_core.checks.table import CHECKS, chosen
from ffe_core.checks.windows import Around
from ffe_core.errors import InputError
from ffe_core.ingestion.enrich import enrich
from ffe_core.operations.checks.job import is_all_that_counts
from ffe_core.rules.model import rule_of
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.findings import ACCEPTED, GONE, OPEN, Checked, Finding, FindingStore
from tests.checks import faults, markets
from tests.checks.markets import Made
from tests.pace import examples

MINUTES = Series("BTCUSD", "1m", "coinbase")
NONE = np.empty((0, 2), np.int64)
AROUND = Around(lambda one: calendar_for(one.provider, one.asset_pair), lambda one: NONE, lambda one: {})
JANUARY = 1_704_067_200
DAY = 86_400


def minutes(days: int = 62) -> Made:
    rng = np.random.default_rng(3)
    return markets.market(rng, MINUTES, JANUARY, days, 40_000.0, 2, 0.03, 3.5)


def put(lake: DeltaLakeManager, made: Made) -> None:
    times = pa.array(made.open_times * 1_000_000).cast(TIMESTAMP)
    table = pa.table({"timestamp": times, **{name: pa.array(made.columns[name]) for name in VALUES}})
    before = lake.marks(made.series)
    marks = Watermarks(int(made.open_times[-1]), int(made.open_times[0]))
    lake.commit(made.series, enrich(table, made.series, "made", is_mock=False), before, marks)


def checked(lake: DeltaLakeManager, series: Series = MINUTES) -> Checked:
    [done] = check_pair(lake, [series], chosen(None), AROUND)
    return done


def test_a_check_that_is_stopped_reads_no_further_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_WINDOW_ROWS", 1)
    lake = DeltaLakeManager(tmp_path)
    put(lake, minutes())
    whole, asked = checked(lake).bars, iter([False, True])
    [done] = check_pair(lake, [MINUTES], chosen(None), AROUND, is_stopped=lambda: next(asked))
    assert 0 < done.bars < whole


@settings(max_examples=examples(5))
@given(st.integers(2_000, 80_000), st.sampled_from([faults.spike, faults.identical, faults.stuck, faults.no_volume]))
def test_windows_change_nothing(tmp_path_factory: pytest.TempPathFactory, at: int, act: faults.Plant) -> None:
    made = minutes()
    border = 31 * 24 * 60  # the first of February, a partition of its own
    act(np.random.default_rng(at), made, at)
    faults.stuck(np.random.default_rng(1), made, border - 4)
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    put(lake, made)
    whole = checked(lake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_WINDOW_ROWS", 1)
        parts = checked(lake)
    assert (whole.bars, whole.start, whole.end) == (parts.bars, parts.start, parts.end)
    assert any(one.start < border * 60 + JANUARY < one.end for one in whole.findings)
    key = [(one.kind, one.start, one.end, one.bars, one.fingerprint) for one in whole.findings]
    assert [(one.kind, one.start, one.end, one.bars, one.fingerprint) for one in parts.findings] == key


def test_what_was_known_at_a_moment_is_checked_as_it_was(tmp_path: Path) -> None:
    lake, made = DeltaLakeManager(tmp_path), minutes(3)
    put(lake, made)
    rows = lake.read_table(made.series.table, columns=["_extracted_at"])["_extracted_at"]
    then = rows.max().to_pydatetime()
    faults.spike(np.random.default_rng(2), made, 2_000)
    put(lake, made)
    assert [one.kind for one in checked(lake).findings] == ["spike"]
    [before] = check_pair(lake, [MINUTES], chosen(None), AROUND, then)
    assert before.findings == []


def test_a_habit_is_one_finding(tmp_path: Path) -> None:
    lake, made = DeltaLakeManager(tmp_path), minutes(20)
    made.columns["high"][::130] += 0.003
    put(lake, made)
    [finding] = [one for one in checked(lake).findings if one.kind == "off_tick"]
    assert finding.evidence["stretches"] > MOST
    assert finding.bars == len(made.columns["high"][::130])


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="kind: 'nope' is unknown; use one of timeframes"):
        chosen(["nope"])


# -- states


@pytest.fixture
def store(tmp_path: Path) -> FindingStore:
    return FindingStore(Database(tmp_path / "console.db"))


@pytest.mark.both_servers
def test_a_finding_is_found_again_accepted_until_its_bars_change_and_gone(tmp_path: Path, store: FindingStore) -> None:
    lake, made = DeltaLakeManager(tmp_path / "lake"), minutes(3)
    faults.spike(np.random.default_rng(2), made, 2_000)
    put(lake, made)
    assert store.record(checked(lake), list(CHECKS)) == {"new": 1, "again": 0, "gone": 0}
    [first] = store.find()
    assert store.record(checked(lake), list(CHECKS))["new"] == 0
    [accepted] = store.decide([first.id], ACCEPTED, "ann", "seen on the tape")
    assert accepted.id == first.id
    store.record(checked(lake), list(CHECKS))
    assert [(row.state, row.reason, row.actor) for row in store.find()] == [(ACCEPTED, "seen on the tape", "ann")]

    made.columns["volume"][2_000] += 1
    put(lake, made)
    assert store.record(checked(lake), list(CHECKS)) == {"new": 0, "again": 1, "gone": 0}
    [again] = store.find()
    assert (again.id, again.state, again.bars_changed, again.reason) == (first.id, OPEN, True, "seen on the tape")

    for name in ("high", "low"):
        made.columns[name][2_000] = made.columns["close"][2_000]
    markets.whole(made)
    put(lake, made)
    assert store.record(checked(lake), list(CHECKS))["gone"] == 1
    assert [row.state for row in store.find()] == [GONE]
    assert store.count_open() == {}


def test_findings_of_what_is_not_stored_any_more_go(tmp_path: Path, store: FindingStore) -> None:
    lake, made = DeltaLakeManager(tmp_path / "lake"), minutes(3)
    faults.spike(np.random.default_rng(2), made, 2_000)
    put(lake, made)
    store.record(checked(lake), list(CHECKS))
    assert store.let_go({MINUTES}) == 0
    assert [row.state for row in store.find()] == [OPEN]
    assert store.let_go(set()) == 1
    assert [row.state for row in store.find()] == [GONE]
    assert store.scores("notice") == {}


def test_only_the_kinds_that_were_checked_go(tmp_path: Path, store: FindingStore) -> None:
    lake, made = DeltaLakeManager(tmp_path / "lake"), minutes(3)
    faults.spike(np.random.default_rng(2), made, 2_000)
    put(lake, made)
    store.record(checked(lake), list(CHECKS))
    [done] = check_pair(lake, [MINUTES], chosen(["off_tick"]), AROUND)
    assert store.record(done, ["off_tick"]) == {"new": 0, "again": 0, "gone": 0}
    assert [row.state for row in store.find()] == [OPEN]


def test_a_score_is_the_share_of_bars_in_no_open_finding(tmp_path: Path, store: FindingStore) -> None:
    lake, made = DeltaLakeManager(tmp_path / "lake"), minutes(3)
    faults.stuck(np.random.default_rng(2), made, 2_000)
    put(lake, made)
    store.record(checked(lake), list(CHECKS))
    [row] = store.find(states=[OPEN])
    [score] = store.scores("notice").values()
    assert (score.series, score.open, score.faulty) == (MINUTES, 1, row.bars)
    assert score.score == pytest.approx(1 - row.bars / (3 * 1440))
    store.decide([row.id], ACCEPTED, "ann", "a halt")
    assert store.scores("notice")[MINUTES].score == 1.0


def test_a_rule_that_fails_keeps_no_other_check_from_its_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, store = DeltaLakeManager(tmp_path), FindingStore(Database(tmp_path / "console.db"))
    made = minutes()
    made.columns["volume"][700:720] = 0.0
    put(lake, made)
    checks = [*chosen(["zero_volume"]), check_of(rule_of(name="one", holds="close < 0"))]
    [done] = check_pair(lake, [MINUTES], checks, AROUND)
    store.record(done)
    assert {one.kind for one in store.find(states=[OPEN])} == {"zero_volume", "rule:one"}

    def too_slow(*_: object) -> object:
        raise InputError("rule one takes more than 10 s", field="holds")

    monkeypatch.setattr("ffe_core.checks.own.broken", too_slow)
    [done] = check_pair(lake, [MINUTES], checks, AROUND)
    assert ({one.kind for one in done.findings}, list(done.failed)) == ({"zero_volume"}, ["rule:one"])
    assert store.record(done) == {"new": 0, "again": 0, "gone": 0}
    assert {one.kind for one in store.find(states=[OPEN])} == {"zero_volume", "rule:one"}


@pytest.mark.parametrize(
    ("places", "faulty"),
    [
        ([(0, 500, 500), (200, 201, 1)], 500),  # one inside the other, every bar
        ([(0, 500, 500), (0, 500, 500), (0, 1000, 150)], 575),  # twice the same, and a habit of the whole series
        ([(0, 500, 500), (400, 900, 500)], 900),
        ([(0, 300, 300), (300, 400, 100), (600, 610, 2)], 402),  # beside each other
        ([(0, 1000, 1000), (100, 200, 100), (1000, 1100, 100)], 1000),  # more than there were
        ([(0, 1000, 3)], 3),
    ],
)
def test_a_bar_in_several_findings_counts_once(
    store: FindingStore, places: list[tuple[int, int, int]], faulty: int
) -> None:
    done = Checked(MINUTES, 1000, 0, 60_000)
    for number, (start, end, bars) in enumerate(places):
        found = Finding(f"kind {number}", "error", MINUTES, None, start * 60, end * 60, bars, 1.0, {}, "0")
        done.findings.append(found)
    store.record(done)
    [score] = store.scores("notice").values()
    assert (score.faulty, score.open) == (faulty, len(places))
    assert score.score == pytest.approx(1 - faulty / 1000)


def test_only_what_was_looked_at_whole_has_a_score(store: FindingStore) -> None:
    done = Checked(MINUTES, 1000, 0, 60_000)
    store.record(done, ["split"], is_whole=False)
    assert store.scores("notice") == {}
    store.record(done)
    done.findings.append(Finding("spike", "error", MINUTES, None, 0, 60, 1, 1.0, {}, "0"))
    done.bars = 2000
    store.record(done, ["spike"], is_whole=False)
    assert store.scores("notice")[MINUTES].score == pytest.approx(0.999), "of the bars that all kinds have looked at"


def test_what_counts_is_every_kind_but_notices_and_every_rule_that_is_on() -> None:
    counted = [check.name for check in CHECKS.values() if check.severity != "notice"]
    narrow = rule_of(name="narrow", holds="high <= 2 * low", severity="warning")
    assert is_all_that_counts(None, [narrow])
    assert is_all_that_counts(counted, [])
    assert is_all_that_counts(counted, [rule_of(name="narrow", holds="high <= 2 * low", on=False)])
    assert not is_all_that_counts(counted[1:], [])
    assert not is_all_that_counts(counted, [narrow])
    assert is_all_that_counts([*counted, "rule:narrow"], [narrow])
    assert not is_all_that_counts(["split"], [])


@pytest.mark.parametrize("number", [7, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**23])
def test_a_number_that_no_finding_has_is_refused(store: FindingStore, number: int) -> None:
    with pytest.raises(InputError, match=f"there is no finding {number};"):
        store.decide([number], ACCEPTED, "ann", "why")


def test_what_the_only_two_sources_disagree_in_counts_for_both(store: FindingStore) -> None:
    """Of three, the one that is blamed has it alone."""
    one, two, three = (Series("BTCUSD", "1h", f"files:{name}") for name in ("a", "b", "c"))
    finding = Finding("provider_scale", "error", one, two, 0, 360_000, 100, 4.6, {}, "100:0")
    store.record(Checked(one, 400, findings=[finding]))
    store.record(Checked(two, 200))
    assert {series: (row.open, row.score) for series, row in store.scores("notice").items()} == {
        one: (1, 0.75),
        two: (1, 0.5),
    }
    store.record(Checked(three, 200))
    assert {series: row.score for series, row in store.scores("notice").items()} == {one: 0.75, two: 1.0, three: 1.0}
