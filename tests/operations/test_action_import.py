"""Import of splits and dividends from a real local server: all are counted, and what is on record stays."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.errors import (
    CredentialsError,
    CredentialsMissing,
    PermanentError,
    QuotaError,
    WrongAnswer,
)
from ffe_core.operations.action_import import import_actions, simple
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import FAILED, Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.fake_exchanges import AlphaVantageExchange, Market

AV, KEY = "alpha_vantage", "ACTIONSKEY12345"
SPLITS = [
    {"effective_date": "2020-08-31", "split_factor": "4.0000"},
    {"effective_date": "2014-06-09", "split_factor": "7.0000"},
]
DIVIDENDS = [
    {"ex_dividend_date": "2020-08-07", "declaration_date": "2020-07-30", "amount": "0.82"},
    {"ex_dividend_date": "2014-05-08", "declaration_date": "None", "amount": "3.29"},
]


@pytest.fixture
def exchange() -> Iterator[AlphaVantageExchange]:
    with AlphaVantageExchange(Market({("AAPL", 86_400): {}}), key=KEY, per_second=None) as running:
        running.actions = {("SPLITS", "AAPL"): list(SPLITS), ("DIVIDENDS", "AAPL"): list(DIVIDENDS)}
        yield running


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    database = Database(tmp_path / DATABASE_FILE)
    yield Audit(database)
    database.close()


def settings(folder: Path, exchange: AlphaVantageExchange, key: str | None = KEY, attempts: int = 1) -> Settings:
    section = {"base_url": exchange.url, "requests_per_second": 1000} | ({"api_key": key} if key else {})
    return Settings.load({"data_dir": folder, AV: section, "retry": {"attempts": attempts, "base_delay_seconds": 0}})


def test_all_of_a_share_go_on_record_once(tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit) -> None:
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added, done.problems) == (4, 4, ())
    actions = Actions(tmp_path)
    assert [(one.day_text, one.value) for one in actions.of("AAPL", SPLIT)] == [("2014-06-09", 7), ("2020-08-31", 4)]
    paid = actions.of("AAPL", DIVIDEND)
    assert [(one.day_text, one.value_text) for one in paid] == [("2014-05-08", "3.29"), ("2020-08-07", "0.82")]
    assert paid[0].reason.startswith("Alpha Vantage DIVIDENDS, read 20")
    again = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (again.received, again.added, again.problems) == (4, 0, ())
    assert exchange.used_today == 4, "two requests a share"
    [_, row] = audit.find(target="AAPL")
    assert (row.verb, row.details["added"]) == ("import actions", 4)


def test_what_is_on_record_stays_and_every_entry_is_accounted_for(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    actions = Actions(tmp_path)
    actions.add([action(SPLIT, "AAPL", "2014-06-09", Fraction(2), "by hand")])
    exchange.actions["DIVIDENDS", "AAPL"] += [
        {"ex_dividend_date": "2020-08-07", "amount": "0.18"},
        {"ex_dividend_date": "None", "amount": "0.5"},
        {"ex_dividend_date": "2019-01-01", "amount": "None"},
    ]
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added) == (7, 3)
    assert [one.value for one in actions.of("AAPL", SPLIT)] == [2, 4]
    assert actions.of("AAPL", DIVIDEND)[1].value == 1, "two of one day are their sum"
    assert [problem.split(" with ")[0] for problem in done.problems[:2]] == [
        "a dividend of AAPL on 'None'",
        "a dividend of AAPL on '2019-01-01'",
    ]
    assert "is 2:1 on record (by hand) and stays so; alpha_vantage says 7:1" in done.problems[2]


def test_a_share_that_has_none_is_known_to_have_none(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    exchange.actions.clear()
    assert import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann").received == 0
    assert Actions(tmp_path).path(DIVIDEND).read_text() == "pair,day,amount,reason\n"


def test_an_answer_about_another_symbol_is_refused(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    exchange.echoed = "MSFT"
    with pytest.raises(WrongAnswer):
        import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert not Actions(tmp_path).is_kept
    [row] = audit.find(target="AAPL")
    assert row.outcome == FAILED


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_share_that_it_does_not_know_is_asked_for_once_and_named(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit, attempts: int
) -> None:
    with pytest.raises(PermanentError, match="alpha_vantage has no pair NOPE"):
        import_actions(settings(tmp_path, exchange, attempts=attempts), audit, "NOPE", "ann")
    assert exchange.used_today == 1
    assert not Actions(tmp_path).is_kept


def test_splits_of_one_day_are_their_product_and_one_sent_twice_counts_once(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    def sent(*factors: str) -> list[dict[str, str]]:
        return [{"effective_date": "2020-08-31", "split_factor": factor} for factor in factors]

    exchange.actions["SPLITS", "AAPL"] = sent("4", "2.0000")
    exchange.actions["DIVIDENDS", "AAPL"] = []
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added, done.problems) == (2, 1, ())
    assert [one.value for one in Actions(tmp_path).of("AAPL", SPLIT)] == [8]
    Actions(tmp_path).remove(SPLIT, "AAPL", Actions(tmp_path).of("AAPL", SPLIT)[0].day)
    exchange.actions["SPLITS", "AAPL"] = sent("0.0100", "100", "4.0000", "4")
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added) == (4, 1)
    assert done.problems == ("a split of AAPL on 2020-08-31 with 4 was sent twice; it counts once",)
    assert [one.value for one in Actions(tmp_path).of("AAPL", SPLIT)] == [4]


@pytest.mark.parametrize("day", ["2014-06-06", "2014-06-10", "2014-06-07"])
def test_a_split_that_is_on_record_some_days_apart_does_not_apply_twice(
    tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit, day: str
) -> None:
    actions = Actions(tmp_path)
    actions.add([action(SPLIT, "AAPL", day, Fraction(7), "as found")])
    exchange.actions["DIVIDENDS", "AAPL"].append({"ex_dividend_date": day, "amount": "0.5"})
    exchange.actions["DIVIDENDS", "AAPL"].append({"ex_dividend_date": "2014-06-09", "amount": "0.5"})
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added) == (6, 5), "no dividend is lost"
    assert done.problems == (
        f"the split of AAPL on {day} is 7:1 on record (as found) and stays so; alpha_vantage says 7:1 on 2014-06-09",
    )
    assert [one.day_text for one in actions.of("AAPL", SPLIT)] == [day, "2020-08-31"]


def test_a_factor_that_no_file_holds_is_a_problem(tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit) -> None:
    exchange.actions["SPLITS", "AAPL"].append({"effective_date": "2000-01-03", "split_factor": "0.000000000001"})
    done = import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")
    assert (done.received, done.added) == (5, 4)
    assert "has too many digits" in done.problems[0]
    assert len(Actions(tmp_path).all(SPLIT)) == 2


def test_errors_are_those_of_candles(tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit) -> None:
    with pytest.raises(PermanentError, match="EURUSD, which is no share"):
        import_actions(settings(tmp_path, exchange), audit, "EURUSD", "ann")
    with pytest.raises(CredentialsError):
        import_actions(settings(tmp_path, exchange, "WRONGKEY1234567"), audit, "AAPL", "ann")
    with pytest.raises(CredentialsMissing):
        import_actions(settings(tmp_path, exchange, None), audit, "AAPL", "ann")
    exchange.daily_quota = 0
    with pytest.raises(QuotaError):
        import_actions(settings(tmp_path, exchange), audit, "AAPL", "ann")


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("7.0000", "7"),
        ("1.5000", "3/2"),
        ("1.3333", "4/3"),
        ("0.1000", "1/10"),
        ("0.0333", "1/30"),
        ("1.0460", "1.046"),
    ],
)
def test_a_rounded_factor_is_the_ratio_it_stands_for(text: str, ratio: str) -> None:
    assert simple(text) == Fraction(ratio)
