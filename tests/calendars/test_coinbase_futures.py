"""Do Coinbase's futures trade when its own pages and answers say, and until they expire?"""

from __future__ import annotations

import pytest

from ffe_core.calendars import calendar_for, coinbase, hours_table
from ffe_core.calendars.listed import listed
from ffe_core.instruments.model import SeriesFacts
from ffe_core.times import iso, parse_instant


def opened(pair: str, start: str, end: str) -> list[str]:
    """When a pair is open for sure, as "first minute/first closed minute" in UTC."""
    intervals = calendar_for("coinbase", pair).open_intervals(parse_instant(start), parse_instant(end)).tolist()
    return [f"{iso(low)[:16]}/{iso(high)[:16]}" for low, high in intervals]


def may_be(pair: str, start: str, end: str) -> int:
    """Hours of a pair that may be there or not."""
    ranges = calendar_for("coinbase", pair).optional_ranges("1h", parse_instant(start), parse_instant(end))
    return int((ranges[:, 1] - ranges[:, 0]).sum()) // 3600


def test_every_group_of_the_table_is_named_and_can_be_read() -> None:
    assert sorted(hours_table.groups(coinbase.TABLE)) == sorted(coinbase.GROUPS)
    for group in coinbase.GROUPS:
        week = coinbase.by_group(group).expected_count("1h", parse_instant("2024-06-09"), parse_instant("2024-06-16"))
        assert week == 5 * 23


@pytest.mark.parametrize("pair", ["BIT-26APR24-CDE", "SOL-26APR24-CDE", "GOL-26APR24-CDE"])
def test_the_session_that_an_answer_of_april_2024_names(pair: str) -> None:
    day = "2024-04-14T22:00/2024-04-15T21:00"
    assert opened(pair, "2024-04-13", "2024-04-15T22:00Z") == [day]
    assert opened(pair, "2024-04-15T21:00Z", "2024-04-16") == ["2024-04-15T22:00/2024-04-16T00:00"]


def test_bitcoin_trades_round_the_clock_from_may_2025_on_but_for_an_hour_on_friday() -> None:
    assert opened("BIT-27JUN25-CDE", "2025-05-09", "2025-05-16") == [
        "2025-05-09T00:00/2025-05-09T21:00",
        "2025-05-09T22:00/2025-05-15T21:00",
        "2025-05-15T22:00/2025-05-16T00:00",
    ]
    # Before a holiday on a Friday the window of maintenance is on Thursday, and no source names these days.
    assert may_be("BIT-27JUN25-CDE", "2025-05-12", "2025-05-19") == 2


@pytest.mark.parametrize(("pair", "hours"), [("SOL-27MAR26-CDE", 53), ("GOL-27MAR26-CDE", 0)])
def test_what_no_source_settles_is_neither_missing_nor_extra(pair: str, hours: int) -> None:
    calendar = calendar_for("coinbase", pair)
    assert calendar.expected_count("1h", parse_instant("2025-06-08"), parse_instant("2025-06-15")) == 5 * 23
    assert may_be(pair, "2025-06-08", "2025-06-15") == hours


def test_a_holiday_of_the_usa_is_quiet_until_the_contract_trades_round_the_clock() -> None:
    thanksgiving = ("2024-11-28", "2024-11-29")
    assert opened("BIT-31DEC27-CDE", *thanksgiving) == []
    assert may_be("BIT-31DEC27-CDE", *thanksgiving) > 20
    assert opened("BIT-31DEC27-CDE", "2025-12-25", "2025-12-26") != []
    assert opened("GOL-31DEC27-CDE", "2025-12-25", "2025-12-26") == []


def test_a_contract_ends_at_four_in_london_on_the_day_its_id_names() -> None:
    assert opened("BIT-26APR24-CDE", "2024-04-26", "2024-05-10") == ["2024-04-26T00:00/2024-04-26T15:00"]
    assert opened("BIT-31JAN25-CDE", "2025-01-31", "2025-02-10") == ["2025-01-31T00:00/2025-01-31T16:00"]
    calendar = calendar_for("coinbase", "BIT-26APR24-CDE")
    asked = parse_instant("2024-01-01"), parse_instant("2024-06-01")
    assert calendar.listed("1h", *asked) == (asked[0], parse_instant("2024-04-26T15:00Z"))
    assert calendar.listed("1h", *[parse_instant("2024-06-01")] * 2) == (parse_instant("2024-06-01"),) * 2


def test_the_last_day_of_another_contract_is_quiet() -> None:
    assert opened("NOL-20APR26-CDE", "2026-04-19", "2026-04-25") == ["2026-04-19T22:00/2026-04-20T05:00"]
    assert may_be("NOL-20APR26-CDE", "2026-04-19", "2026-04-25") == 23


def test_the_end_of_a_contract_and_its_first_bar_hold_together() -> None:
    first = parse_instant("2024-04-01")
    calendar = listed(calendar_for("coinbase", "BIT-26APR24-CDE"), {"1h": SeriesFacts(first_bar=first)})
    asked = parse_instant("2024-01-01"), parse_instant("2024-06-01")
    assert calendar.listed("1h", *asked) == (first, parse_instant("2024-04-26T15:00Z"))
    assert (calendar.ending, calendar_for("coinbase", "BTC-USD").ending) == ("expired", "was delisted")


@pytest.mark.parametrize("pair", ["BIT-PERP-CDE", "BIT-31FEB24-CDE", "BIT-26XXX24-CDE"])
def test_an_id_without_a_day_does_not_end(pair: str) -> None:
    asked = parse_instant("2024-01-01"), parse_instant("2060-01-01")
    assert calendar_for("coinbase", pair).listed("1h", *asked) == asked


@pytest.mark.parametrize("pair", ["BTC-USD", "BTC-PERP-INTX", "CDE-USD", "T-USD"])
def test_everything_else_is_always_open(pair: str) -> None:
    assert calendar_for("coinbase", pair).name == "crypto"


def test_an_override_gives_other_hours_and_the_contract_still_expires() -> None:
    overrides = {"coinbase/SOL-26JUN26-CDE": "coinbase-futures-round-the-clock"}
    calendar = calendar_for("coinbase", "SOL-26JUN26-CDE", overrides)
    saturday = parse_instant("2026-06-06"), parse_instant("2026-06-07")
    assert calendar.expected_count("1h", *saturday) == 24
    assert calendar.expected_count("1h", parse_instant("2026-06-28"), parse_instant("2026-07-08")) == 0
