"""Is what breaks a rule of one's own dead-lettered once, with its name, and nothing lost or doubled by it?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs.service import RunService
from ffe_core.rules.model import FILE, Rules, rule_of
from ffe_core.rules.sift import rules_of, sifted
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.validation import read_open_times, validate
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, adds_up, hours, open_times, record, records, run


def bar(hour: int, close: float) -> dict[str, object]:
    return {"date": times.iso(START + hour * HOUR), "open": 10, "high": 20, "low": 5, "close": close, "volume": 1}


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([6.0, 9.0, 12.0, 99.0])), max_size=8))
def test_the_sum_of_what_came_stays(bars: list[tuple[int, float]]) -> None:
    records = [bar(hour, close) for hour, close in bars]
    opens = read_open_times(records)
    rules = [rule_of(name="low", holds="close < 10"), rule_of(name="high", holds="close > 8")]
    before = validate(records, HOUR, opens)
    after = sifted(before, rules, records.__getitem__, opens)
    assert after.candles.num_rows + len(after.failures) + after.duplicates == len(records)
    assert set(after.candles["close"].to_pylist()) <= {9.0}
    for failure in after.failures:
        assert failure.record == records[failure.index]
        close = failure.record["close"]
        own = {12.0: ["own_rule:low"], 6.0: ["own_rule:high"]}.get(close)
        assert failure.reasons in ([own] if own else []) + [["superseded"]] or close == 99.0


def ruled(folder: Path, holds: str = "close < 120") -> None:
    Rules(folder).save(rule_of(name="cheap", holds=holds, dead_letters=True))


def test_records_that_break_a_rule_are_dead_letters_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    ruled(tmp_path)
    held = {at: record(at, 100 + place) for place, at in enumerate(hours(0, 24))}
    report = run(tmp_path, FakeProvider(held), START, START + 24 * HOUR)
    assert adds_up(report)
    assert (report.counts.stored, report.counts.dead_lettered) == (19, 5)
    again = run(tmp_path, FakeProvider(held), START, START + 24 * HOUR, mode="refetch")
    assert adds_up(again)
    assert (again.counts.stored, again.counts.duplicates) == (0, 24)
    assert len(open_times(tmp_path)) == 19


def test_a_rule_that_raises_for_a_record_keeps_none_from_the_lake(tmp_path: Path) -> None:
    ruled(tmp_path, "(5 // volume) >= 1")
    held = {at: {**record(at), "volume": place} for place, at in enumerate(hours(0, 8))}
    report = run(tmp_path, FakeProvider(held), START, START + 8 * HOUR)
    assert adds_up(report)
    assert (report.error, report.counts.stored, report.counts.dead_lettered) == (None, 6, 2)


def test_a_rule_about_other_series_or_one_that_is_off_touches_nothing(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    rules.save(rule_of(name="other", holds="false", series=("EURUSD",), dead_letters=True))
    rules.save(rule_of(name="off", holds="false", on=False, dead_letters=True))
    rules.save(rule_of(name="found", holds="false"))
    assert rules_of(tmp_path, BTC) == ()


def test_a_file_that_cannot_be_read_stops_a_series_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[[rule]\n")
    provider = FakeProvider(records(hours(0, 4)))
    with pytest.raises(InputError, match=r"rules\.toml cannot be read"):
        run(tmp_path, provider, START, START + 4 * HOUR)


def test_a_replay_fails_until_the_record_is_edited_or_the_rule_is_gone(tmp_path: Path) -> None:
    ruled(tmp_path, "close < 104")
    run(
        tmp_path,
        FakeProvider({at: record(at, 100 + place) for place, at in enumerate(hours(0, 4))}),
        START,
        START + 4 * HOUR,
    )
    service = RunService(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    try:
        letters, everything = DeadLetters(service), service.stores.queue.select()
        [check] = letters.preview(everything)
        assert (check.outcome, check.reasons) == ("fails", ("own_rule:cheap",))
        service.wait(letters.replay(everything, "ann"), 60)
        assert len(open_times(tmp_path)) == 3
        Rules(tmp_path).remove("cheap")
        assert [check.outcome for check in letters.preview(everything)] == ["passes"]
        service.wait(letters.replay(everything, "ann"), 60)
        assert len(open_times(tmp_path)) == 4
    finally:
        service.close()
