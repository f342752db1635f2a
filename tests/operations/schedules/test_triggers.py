"""When is a schedule due? Cron as cron counts, minutes from the epoch, and bars by their markets' calendars."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.operations.schedules.triggers import AFTER_CLOSE_SECONDS, check_zone, next_dues, parse
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.times import DAY, iso, parse_instant

_SETTINGS = Settings.load({"close_grace_seconds": 60})
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _at(text: str) -> int:
    return parse_instant(text)


def _next(trigger: str, after: str, count: int = 3, *series: Series) -> list[str]:
    return [iso(due)[:16] for due in next_dues(parse(trigger, series, _SETTINGS), _at(after), count)]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("0 0 * * 1", "mon"),
        ("0 0 * * 0", "sun"),
        ("0 0 * * 7", "sun"),
        ("0 0 * * 1-5", "mon-fri"),
        ("0 0 * * 5-7", "fri-sun"),
        ("0 0 * * 0-2", "mon,tue,sun"),
        ("0 0 * * */2", "tue,thu,sat,sun"),
        ("0 0 * * 1,3", "mon,wed"),
    ],
)
def test_numeric_weekdays_are_translated_with_a_note(given: str, read: str) -> None:
    trigger = parse(f"cron {given}")
    assert trigger.text == f"cron 0 0 * * {read}"
    assert len(trigger.notes) == 1
    assert f"read as {read}" in trigger.notes[0]


def test_a_numeric_monday_is_a_monday() -> None:
    [first] = next_dues(parse("cron 0 0 * * 1"), _at("2024-02-28"))
    assert datetime.fromtimestamp(first, UTC).strftime("%A") == "Monday"


def test_names_need_no_note() -> None:
    assert parse("cron 30 2 * * mon-fri").notes == ()
    assert parse("cron 30 2 * * fri-mon").text == "cron 30 2 * * mon,fri,sat,sun"


def test_what_is_stored_reads_back_the_same() -> None:
    for text in ("cron 30 2 * * 1-5", "cron @weekly", "every 15", "cron 0 9-17/2 1,15 jan-mar *", "bar close"):
        stored = parse(text, [Series("BTCUSD", "1h", "simulated")], _SETTINGS).text
        assert parse(stored, [Series("BTCUSD", "1h", "simulated")], _SETTINGS).text == stored


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cron 0 0 30 2 *", "day 30 of month 2 never comes"),
        ("cron 0 0 31 4,6 *", "never comes"),
        ("cron 0 25 * * *", "hour 25 does not exist; use 0 to 23"),
        ("cron 60 * * * *", "minute 60"),
        ("cron 0 0 13 * fri", "give one of the two"),
        ("cron * * *", "needs five fields"),
        ("cron 0 0 0 1 1 *", "needs five fields"),
        ("cron */0 * * * *", "step 0"),
        ("cron 30-10 * * * *", "runs backwards"),
        ("cron 0 0 * * noday", "weekday 'noday' is unknown"),
        ("cron 0 0 * foo *", "month 'foo' is unknown"),
        ("cron 0 0 L * *", "day 'l' is unknown"),
        ("cron a! * * * *", "is not understood"),
        ("every 0 minutes", "1 to 1440"),
        ("every 1441", "1 to 1440"),
        ("every now and then", "1 to 1440"),
        ("sometimes", "is not understood"),
        ("", "is not understood"),
    ],
)
def test_what_cannot_be_is_said_at_the_field(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^trigger: ") as caught:
        parse(text)
    assert said in str(caught.value)


def test_a_zone_that_does_not_exist_is_said_with_the_nearest_name() -> None:
    assert check_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    with pytest.raises(InputError, match=r"^zone: 'Europe/Berln' does not exist; did you mean Europe/Berlin\?"):
        check_zone("Europe/Berln")
    for bad in ("", "../etc/passwd", "Mars/Olympus Mons"):
        with pytest.raises(InputError, match=r"^zone: "):
            check_zone(bad)


def test_leap_days_are_found_years_ahead() -> None:
    assert _next("cron 0 0 29 2 *", "2096-03-01", 1) == ["2104-02-29T00:00"]


def test_the_night_the_clock_changes_has_each_instant_once() -> None:
    # Berlin 02:30 exists twice on this night and not at all on the one in March; in UTC both are plain.
    trigger = parse("cron 30 * * * *")
    for night in ("2024-10-27", "2024-03-31"):
        dues = trigger.dues(_at(night) - 1, _at(night) + 6 * 3600)
        assert [int(due) - _at(night) for due in dues] == [1800 + 3600 * n for n in range(6)]


def test_every_so_many_minutes_counts_from_the_epoch() -> None:
    assert _next("every 90 minutes", "2024-01-01T00:00:00Z") == [
        "2024-01-01T01:30",
        "2024-01-01T03:00",
        "2024-01-01T04:30",
    ]
    assert parse("every 7").notes == ("7 minutes do not divide a day: its times shift",)
    assert parse("every 15").notes == ()


def test_words() -> None:
    assert parse("cron 30 2 * * *").words == "every day at 02:30 UTC"
    assert parse("cron 30 2 * * 1-5").words == "mon-fri at 02:30 UTC"
    assert parse("cron 5 * * * *").words == "every hour at minute 5"
    assert parse("cron 5 1,2 1 * *").words == "cron 5 1,2 1 * * (UTC)"
    assert parse("every 1").words == "every minute"


def test_a_bar_is_asked_for_shortly_after_it_closed() -> None:
    hourly = Series("BTCUSD", "1h", "coinbase")
    dues = next_dues(parse("bar close", [hourly], _SETTINGS), _at("2024-01-01T00:30:00Z"), 2)
    assert dues == [_at("2024-01-01T01:00:00Z") + 60 + AFTER_CLOSE_SECONDS + 3600 * n for n in (0, 1)]


def test_no_bar_closes_while_the_market_rests() -> None:
    fx = Series("EURUSD", "1h", "oanda")
    # The FX week ends on Friday at 17:00 New York, 22:00 UTC, and begins on Sunday at that time.
    assert _next("bar close", "2024-01-19T21:30:00Z", 3, fx) == [
        "2024-01-19T22:01",
        "2024-01-21T23:01",
        "2024-01-22T00:01",
    ]


def test_hourly_bars_of_shares_close_on_the_half_hour() -> None:
    share = Series("AAPL", "1h", "alpha_vantage")
    assert _next("bar close", "2024-01-16T12:00:00Z", 2, share) == ["2024-01-16T15:31", "2024-01-16T16:31"]


def test_several_timeframes_are_due_together_once() -> None:
    both = [Series("BTCUSD", frame, "coinbase") for frame in ("1h", "4h")]
    dues = parse("bar close", both, _SETTINGS).dues(_at("2024-01-01"), _at("2024-01-02"))
    assert len(dues) == len(set(dues.tolist())) == 24


def test_bars_beyond_what_a_calendar_knows_are_not_due() -> None:
    share = Series("AAPL", "1d", "alpha_vantage")
    assert len(parse("bar close", [share], _SETTINGS).dues(_at("2024-01-01"), _at("2200-01-01"))) > 250


_fields = st.tuples(
    st.one_of(st.just("*"), st.integers(0, 59).map(str), st.sampled_from(["*/7", "5-50/9", "1,2,59"])),
    st.one_of(st.just("*"), st.integers(0, 23).map(str), st.sampled_from(["*/5", "22,23", "8-17"])),
    st.sampled_from(["*", "1-12", "feb", "2,3", "mar-oct/2"]),
    st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True).map(",".join) | st.just("*"),
)


@given(fields=_fields, start=st.integers(_at("2023-12-01"), _at("2025-03-01")), days=st.integers(1, 40))
def test_cron_agrees_with_apscheduler_in_utc(fields: tuple[str, str, str, str], start: int, days: int) -> None:
    minute, hour, month, weekday = fields
    ours = parse(f"cron {minute} {hour} * {month} {weekday}").dues(start, start + days * DAY)[:50].tolist()
    peer = CronTrigger(minute=minute, hour=hour, month=month, day_of_week=weekday, timezone=UTC)
    theirs: list[int] = []
    at = peer.get_next_fire_time(None, datetime.fromtimestamp(start + 1, UTC))
    while at is not None and at.timestamp() <= start + days * DAY and len(theirs) < 50:
        theirs.append(int(at.timestamp()))
        at = peer.get_next_fire_time(at, datetime.fromtimestamp(at.timestamp() + 1, UTC))
    assert ours == theirs


@given(day=st.integers(1, 31), start=st.integers(_at("2023-12-01"), _at("2025-03-01")))
def test_days_of_the_month_agree_with_apscheduler(day: int, start: int) -> None:
    ours = next_dues(parse(f"cron 0 0 {day} * *"), start, 5)
    peer, at, theirs = CronTrigger(minute=0, hour=0, day=day, timezone=UTC), start, []
    for _ in range(5):
        found = peer.get_next_fire_time(None, datetime.fromtimestamp(at + 1, UTC))
        assert found is not None
        at = int(found.timestamp())
        theirs.append(at)
    assert ours == theirs


@given(
    trigger=st.sampled_from(["every 7", "cron 3,33 */2 * * mon-wed", "cron 0 0 1 * *", "bar close"]),
    start=st.integers(_at("2023-12-01"), _at("2025-03-01")),
    parts=st.lists(st.integers(1, 5 * DAY), min_size=1, max_size=6),
)
def test_a_range_cut_into_parts_has_the_same_instants(trigger: str, start: int, parts: list[int]) -> None:
    read = parse(trigger, [Series("EURUSD", "4h", "oanda"), Series("BTCUSD", "1d", "oanda")], _SETTINGS)
    at, pieced = start, []
    for part in parts:
        pieced += read.dues(at, at + part).tolist()
        at += part
    assert pieced == read.dues(start, at).tolist()
    assert pieced == sorted(set(pieced))
