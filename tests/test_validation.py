"""Which records are candles? Every rule, alone and beside others, and records nobody expected."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.validation import OF_FILES, REASONS, UNREADABLE, first_open_time, read_open_times, validate
from tests.ingestion.strategies import records as any_records

HOUR = 3600
AT = 1_704_067_200
GOOD = {"date": "2024-01-01T00:00:00+00:00", "open": "2", "high": "4", "low": "1", "close": "3", "volume": "10.5"}
MISSING = object()


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | fields).items() if value is not MISSING}


def reasons(record: Any) -> set[str]:
    """The reasons of a record that lies among good ones, which must stay good: enough to be read as columns."""
    before, after = ([changed(date=times.iso(AT + at * HOUR)) for at in part] for part in (range(-9, 0), range(1, 10)))
    checked = validate([*before, record, *after], HOUR)
    assert checked.candles.num_rows == 18 if checked.failures else 19
    return {reason for failure in checked.failures for reason in failure.reasons}


BROKEN = [
    (changed(high="0.5"), {"high_below_low", "open_outside_range", "close_outside_range"}),
    (changed(open="4.1"), {"open_outside_range"}),
    (changed(open="0.9"), {"open_outside_range"}),
    (changed(close="4.1"), {"close_outside_range"}),
    (changed(close="0.9"), {"close_outside_range"}),
    (changed(low="-1"), {"price_not_positive:low"}),
    (changed(low=0), {"price_not_positive:low"}),
    (changed(volume="-0.1"), {"volume_negative"}),
    (changed(close=None), {"missing_field:close"}),
    (changed(close=MISSING), {"missing_field:close"}),
    (changed(date=MISSING), {"missing_field:date"}),
    (changed(date=None), {"missing_field:date"}),
    (changed(close=float("nan")), {"not_finite:close"}),
    (changed(close="NaN"), {"not_finite:close"}),
    (changed(high="Infinity"), {"not_finite:high"}),
    (changed(high=float("inf")), {"not_finite:high"}),
    (changed(high="1e999"), {"not_finite:high"}),
    (changed(high=10**400), {"not_finite:high"}),
    (changed(volume="inf"), {"not_finite:volume"}),
    (changed(volume="n/a"), {"not_a_number:volume"}),
    (changed(open="n/a"), {"not_a_number:open"}),
    (changed(open=""), {"not_a_number:open"}),
    (changed(open="1,5"), {"not_a_number:open"}),
    (changed(open="0x2"), {"not_a_number:open"}),
    (changed(open="1_0"), {"not_a_number:open"}),
    (changed(open="\u0662"), {"not_a_number:open"}),
    (changed(open="\ud800"), {"not_a_number:open"}),
    (changed(open=b"2"), {"not_a_number:open"}),
    (changed(open=True), {"not_a_number:open"}),
    (changed(open=[2]), {"not_a_number:open"}),
    (changed(open={"o": 2}), {"not_a_number:open"}),
    (changed(open=np.datetime64("2024-01-01")), {"not_a_number:open"}),
    (changed(date="not-a-time"), {"time_unreadable"}),
    (changed(date="2024-01-01T00:00:00"), {"time_unreadable"}),
    (changed(date="2024-01-01"), {"time_unreadable"}),
    (changed(date="٢٠٢٤-01-01T00:00:00+00:00"), {"time_unreadable"}),
    (changed(date="2024-01-01T00:00:00+٠٠:00"), {"time_unreadable"}),
    (changed(date="２０２４-01-01T00:00:00Z"), {"time_unreadable"}),
    (changed(date="\ud800"), {"time_unreadable"}),
    (changed(date=AT), {"time_unreadable"}),
    (changed(date=GOOD["date"].encode()), {"time_unreadable"}),
    (changed(date=["2024"]), {"time_unreadable"}),
    (changed(date="2024-01-01T00:30:00Z"), {"off_grid"}),
    (changed(date="2024-01-01T00:00:00.5Z"), {"off_grid"}),
    (
        changed(high="0.5", volume="x"),
        {"high_below_low", "open_outside_range", "close_outside_range", "not_a_number:volume"},
    ),
    ("a text", {"not_a_record"}),
    (None, {"not_a_record"}),
    ([1, 2], {"not_a_record"}),
    ({"raw": 7}, {"not_a_record"}),
    ({"date": GOOD["date"], "incomplete_sources": True, "sources": []}, {"incomplete_sources"}),
    (changed(incomplete_sources=True), {"incomplete_sources"}),
    (changed(incomplete_sources=True, volume=MISSING), {"incomplete_sources"}),
    ({}, {f"missing_field:{name}" for name in ("date", "open", "high", "low", "close")}),
]


@pytest.mark.parametrize(("record", "expected"), BROKEN)
def test_a_bad_record_fails_alone_with_all_its_reasons(record: Any, expected: set[str]):
    assert reasons(record) == expected
    assert {reason.partition(":")[0] for reason in expected} <= REASONS.keys()


@pytest.mark.parametrize("code", sorted(REASONS.keys() - {"superseded"} - OF_FILES))
def test_every_code_has_a_record_that_breaks_its_rule(code: str):
    shown = {reason.partition(":")[0] for _, expected in BROKEN for reason in expected}
    assert code in shown, f"tests/test_validation.py: a record in BROKEN for {code}"


@pytest.mark.parametrize(
    "record",
    [
        GOOD,
        changed(volume=MISSING),
        changed(volume=None),
        changed(volume="0"),
        changed(open=2, high=4.0, low=1, close="3"),
        changed(open=Decimal("2"), high=np.float64(4), low=np.int64(1), close=np.float32(3)),
        changed(open="4", close="4"),
        changed(high="1e300", low="1e-300"),
        changed(date="2024-01-01T01:00:00+01:00"),
        changed(date="2024-01-01T00:00:00.000000000Z"),
        changed(date=datetime(2024, 1, 1, tzinfo=UTC)),
        changed(date=datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))),
        changed(unknown=[{"x": None}]),
    ],
)
def test_a_good_record_is_good_beside_bad_ones(record: dict[str, Any]):
    for neighbours in ([], [item for item, _ in BROKEN]):
        checked = validate([record, *neighbours], HOUR)
        assert checked.candles.num_rows == 1
        assert checked.candles["timestamp"].cast("int64")[0].as_py() == AT * 1_000_000


def test_a_sudden_move_is_no_reason():
    halved = changed(date=times.iso(AT + HOUR), open="0.2", high="0.4", low="0.1", close="0.3")
    assert validate([GOOD, halved], HOUR).candles.num_rows == 2


def test_values_are_the_very_floats_of_the_texts():
    texts = ["0.1", "2.2250738585072014e-308", "9007199254740993", "1.7976931348623157e308", "0.30000000000000004"]
    records = [
        changed(date=times.iso(AT + at * HOUR), open=text, high=text, low=text, close=text, volume=text)
        for at, text in enumerate(texts)
    ]
    candles = validate(records, HOUR).candles
    for name in VALUES:
        assert candles[name].to_pylist() == [float(text) for text in texts]


def test_candles_come_sorted_in_microseconds_of_utc():
    records = [changed(date=times.iso(AT + at * HOUR)) for at in (2, 0, 1)]
    candles = validate(records, HOUR).candles
    assert candles.schema.field("timestamp").type == TIMESTAMP
    assert [int(at.timestamp()) for at in candles["timestamp"].to_pylist()] == [AT, AT + HOUR, AT + 2 * HOUR]


class TestRepeats:
    def test_an_identical_one_is_counted_and_leaves_no_trace(self):
        checked = validate([GOOD, changed(volume=10.5), GOOD], HOUR)
        assert (checked.candles.num_rows, checked.duplicates, checked.failures) == (1, 2, [])

    def test_the_last_one_wins_and_the_other_is_kept_as_superseded(self):
        older = changed(close="2.5")
        checked = validate([older, GOOD], HOUR)
        assert checked.candles["close"].to_pylist() == [3.0]
        assert [(failure.record, failure.reasons, failure.superseded) for failure in checked.failures] == [
            (older, ["superseded"], True)
        ]

    def test_a_broken_one_supersedes_nothing(self):
        checked = validate([GOOD, changed(close=None)], HOUR)
        assert checked.candles.num_rows == 1
        assert [failure.reasons for failure in checked.failures] == [["missing_field:close"]]

    def test_each_is_judged_against_the_winner(self):
        checked = validate([GOOD, changed(close="2.5"), GOOD], HOUR)
        assert (checked.candles.num_rows, checked.duplicates, len(checked.failures)) == (1, 1, 1)


def test_an_open_that_cannot_be_read_is_none_and_others_are_epoch_seconds():
    checked = validate([changed(date="x"), changed(close=None)], HOUR)
    assert [failure.open for failure in checked.failures] == [None, AT]
    assert read_open_times([changed(date="x"), GOOD, 5]).tolist() == [UNREADABLE, AT, UNREADABLE]


class Keyed:
    """No record, though it has named fields."""

    def __getitem__(self, name: str) -> str:
        if name == "date":
            return str(GOOD["date"])
        raise AttributeError(name)


DATES = [GOOD["date"], "2024-01-01T00:00:00.5Z", "2024-01-01", "x", "", None, 7]
DATES += [GOOD["date"].encode(), datetime(2024, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    "record", [*(changed(date=date) for date in DATES), {}, {"raw": 1}, 5, "date", None, [], Keyed()]
)
def test_the_open_of_the_first_record_is_read_as_among_many(record: Any):
    among = read_open_times([*[GOOD] * 20, record])
    assert first_open_time([record, GOOD]) == among[20]
    assert among[:20].tolist() == [AT] * 20


def test_what_is_no_record_is_none_whatever_it_lets_be_asked_for():
    checked = validate([GOOD, Keyed()], HOUR)
    assert (checked.candles.num_rows, [failure.reasons for failure in checked.failures]) == (1, [["not_a_record"]])


def test_a_half_hour_grid_takes_half_hours_only():
    records = [changed(date=f"2024-01-01T00:{minute}:00Z") for minute in ("00", "30", "15")]
    checked = validate(records, 1800)
    assert (checked.candles.num_rows, [failure.reasons for failure in checked.failures]) == (2, [["off_grid"]])


def test_an_empty_batch_is_an_empty_table_of_the_same_form():
    assert validate([], HOUR).candles.schema == validate([GOOD], HOUR).candles.schema


@given(st.lists(any_records(AT, HOUR, 6), max_size=12))
def test_every_record_is_counted_once_and_every_failure_says_why(records: list[Any]):
    checked = validate(records, HOUR)
    assert checked.candles.num_rows + len(checked.failures) + checked.duplicates == len(records)
    assert all(failure.reasons for failure in checked.failures)
    assert all(failure.record is records[failure.index] for failure in checked.failures)
    assert {code.partition(":")[0] for failure in checked.failures for code in failure.reasons} <= REASONS.keys()
    for row in checked.candles.to_pylist():
        assert 0 < row["low"] <= min(row["open"], row["close"])
        assert max(row["open"], row["close"]) <= row["high"] < math.inf
        assert 0 <= row["volume"] < math.inf
        assert int(row["timestamp"].timestamp()) % HOUR == 0


@given(st.lists(any_records(AT, HOUR, 50), max_size=12))
def test_a_verdict_does_not_depend_on_the_neighbours(records: list[Any]):
    alone = [bool(validate([record], HOUR).failures) for record in records]
    failed = {failure.index for failure in validate(records, HOUR).failures if not failure.superseded}
    assert [at in failed for at in range(len(records))] == alone


@given(any_records(AT, HOUR, 50))
def test_a_record_is_read_alike_among_few_and_among_many(record: Any):
    others = [changed(date=times.iso(AT + (1_000 + at) * HOUR)) for at in range(20)]
    alone, among = validate([record], HOUR), validate([record, *others], HOUR)
    assert [failure.reasons for failure in among.failures] == [failure.reasons for failure in alone.failures]
    assert among.candles.slice(0, among.candles.num_rows - 20).equals(alone.candles)


@given(st.floats(min_value=1e-12, max_value=1e12, allow_nan=False))
def test_a_price_is_read_alike_as_text_and_as_number(price: float):
    flat = {"open": price, "high": price, "low": price, "close": price}
    as_number = validate([changed(**flat)], HOUR).candles
    as_text = validate([changed(**{name: json.dumps(value) for name, value in flat.items()})], HOUR).candles
    assert as_text.equals(as_number)
    assert as_text["open"].to_pylist() == [price]


@pytest.mark.parametrize("sent", [{}, {"volume": None}], ids=["absent", "null"])
def test_a_volume_that_is_not_there_is_0_only_where_there_are_none(sent: dict[str, Any]):
    bare = {name: value for name, value in GOOD.items() if name != "volume"} | sent
    assert validate([bare], 3600).candles["volume"].to_pylist() == [0.0]
    (failure,) = validate([bare], 3600, None, True).failures
    assert failure.reasons == ["missing_field:volume"]
    mixed = validate([bare, {**bare, "date": "2024-01-01T01:00:00Z"}], 3600, None, np.array([False, True]))
    assert (mixed.candles.num_rows, [failure.index for failure in mixed.failures]) == (1, [1])
