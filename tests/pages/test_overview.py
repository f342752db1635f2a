"""Does the Overview say in a few lines what needs a person, however many series there are?"""

from __future__ import annotations

from ffe_core.insight.overview import SeriesOverview
from ffe_core.series import Series
from ffe_core.storage import run_ledger as states
from pages.ui.overview import of_series

HOUR = 3600


def one(
    pair: str,
    *,
    lag: int | None = 0,
    unexplained: int = 0,
    state: str = states.COMPLETE,
    run: int = 1,
    timeframe: str = "1h",
) -> SeriesOverview:
    return SeriesOverview(Series(pair, timeframe, "coinbase"), 10, 0, 36_000, lag, unexplained, run, state)


def test_nothing_is_said_about_series_that_are_well() -> None:
    assert list(of_series([one("BTCUSD"), one("ETHUSD", lag=HOUR)])) == []


def test_series_with_the_same_trouble_and_remedy_are_one_line() -> None:
    rows = [one(f"C{number:03}USD", lag=(5 + number) * HOUR) for number in range(200)]
    [(_, text, label, page, form)] = of_series(rows)
    assert text == "200 pairs 1h from coinbase: up to 8 d 12 h behind"
    assert (label, page, form["provider"], form["timeframes"]) == (
        "Bring up to date",
        "backfill.py",
        "coinbase",
        "1h",
    )
    assert form["pairs"].split(",") == [row.series.asset_pair for row in rows]


def test_a_single_series_is_named() -> None:
    found = list(of_series([one("BTCUSD", lag=8 * HOUR, unexplained=1), one("ETHUSD")]))
    assert [text for _, text, *_ in found] == [
        "BTCUSD 1h from coinbase: 1 bar unexplained",
        "BTCUSD 1h from coinbase: 8 h behind",
    ]
    assert found[0][3:] == ("coverage.py", {"provider": "coinbase", "timeframe": "1h"})


def test_what_did_not_end_well_is_told_by_run() -> None:
    rows = [
        one("BTCUSD", state=states.FAILED, run=7, unexplained=24),
        one("BTCUSD", state=states.FAILED, run=7, timeframe="1d"),
        one("ETHUSD", state=states.INTERRUPTED, run=8),
        one("SOLUSD", state=states.CANCELLED, run=9),
    ]
    assert [(text, where) for _, text, _, _, where in of_series(rows)] == [
        ("Run 7 failed: 2 series", {"id": "7"}),
        ("ETHUSD 1h from coinbase: its last run was interrupted", {"id": "8"}),
        ("SOLUSD 1h from coinbase: its last run was cancelled", {"id": "9"}),
    ]
