"""Findings page: from nothing checked to evidence, accepted with a reason, and open again when its bars change."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.adjustments.actions import SPLIT, Action, Actions
from ffe_core.check_settings import CheckSettings
from ffe_core.checks.evidence import sides
from ffe_core.errors import InputError
from ffe_core.operations.checks.keeper import CheckKeeper
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.rules.model import rule_of
from ffe_core.series import Series
from ffe_core.storage.state.runs import CHECK, NewRun
from tests.checks import faults, markets
from tests.checks.markets import Made
from tests.checks.test_engine import put
from tests.pages.conftest import Open, words

BTC = Series("BTCUSD", "1h", "coinbase")
EURO = Series("EURUSD", "1h", "oanda")
MONDAY = 1_704_067_200


def market() -> Made:
    return markets.market(np.random.default_rng(5), BTC, MONDAY, 60, 40_000.0, 2, 0.03, 300.5)


def spiked(console: ConsoleService) -> Made:
    """Sixty days of hours with a spike, and their four-hour bars, one of which has another close."""
    made = market()
    coarse = markets.coarser(made, "4h")
    faults.coarse_price(np.random.default_rng(2), coarse, 200)
    faults.spike(np.random.default_rng(2), made, 500)
    put(console.lake, made)
    put(console.lake, coarse)
    return made


def check(console: ConsoleService) -> int:
    run_id = console.checks.start("ann")
    console.run_service.wait(run_id, 60)
    return run_id


def test_nothing_checked_says_what_checks_are(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    assert "Nothing was checked yet" in words(open_page("findings"))


def test_nothing_stored_leads_to_a_backfill(open_page: Open) -> None:
    at = open_page("findings")
    assert "Nothing is stored yet, so there is nothing to check" in words(at)
    assert at.button(key="findings_backfill").label == "New backfill"


def test_a_button_checks_and_the_overview_leads_to_what_is_open(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = open_page("findings")
    at.button(key="findings_check").click().run()
    console.run_service.wait(console.runs.find(kinds=[CHECK], limit=1)[0][0].id, 60)
    assert "open findings" in words(open_page("overview"))
    found = open_page("findings")
    assert not found.exception
    kinds = found.dataframe[0].value["Kind"].tolist()
    assert "spike" in kinds
    assert "timeframes" in kinds


def test_its_run_says_what_a_worker_did(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    run_id = check(console)
    console.runs.update_series(run_id, {0: {"machine": "north"}})
    assert open_page("run", id=str(run_id)).dataframe[0].value["Machine"].tolist() == ["north"]


def test_a_finding_is_accepted_with_a_reason_and_opened_again(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    check(console)
    [row] = console.checks.findings.find(kinds=["spike"])
    at = open_page("findings", id=str(row.id))
    assert "outside its neighbours" in words(at)
    at.button(key="finding_accept").click().run()
    at.button(key="finding_accept_yes").click().run()
    assert "That was refused: say why in 1 to 500 characters" in words(at)
    at.text_input(key="finding_reason").set_value("seen on the tape")
    at.button(key="finding_accept_yes").click().run()
    assert "Accepted, until its bars change." in words(at)
    [after] = console.checks.findings.get([row.id])
    assert (after.state, after.reason) == ("accepted", "seen on the tape")
    assert [act.verb for act in console.audit.find(verb="accept finding")] == ["accept finding"]
    again = open_page("findings", id=str(row.id), state="accepted")
    assert "seen on the tape" in words(again)
    again.button(key="finding_reopen").click().run()
    assert console.checks.findings.get([row.id])[0].state == "open"


def test_a_split_is_put_on_record_with_who_says_so_and_let_go_of(console: ConsoleService, open_page: Open) -> None:
    made = markets.market(
        np.random.default_rng(7), Series("AAPL", "1d", "oanda"), MONDAY, 300, 40_000.0, 2, 0.03, 300.5
    )
    markets.split(made, len(made.open_times) // 2, 4)
    put(console.lake, made)
    check(console)
    [row] = console.checks.findings.find(kinds=["split"])
    at = open_page("findings", id=str(row.id))
    at.button(key="finding_split").click().run()
    at.button(key="finding_split_yes").click().run()
    assert "refused: say why" in words(at)
    at.text_input(key="finding_split_reason").set_value("announced").run()
    at.button(key="finding_split_yes").click().run()
    assert not at.exception
    assert "4:1 split of AAPL" in words(at)
    [one] = Actions(console.settings.data_dir).all(SPLIT)
    assert (one.pair, one.day, one.value, one.reason) == ("AAPL", row.start, 4, "announced")
    assert [act.actor for act in console.audit.find(verb="add split")] != []
    again = open_page("findings", id=str(row.id))  # open until the next check
    assert "The 4:1 split on" in words(again)
    assert "is on record, as: announced. The next check lets go of this finding" in words(again)
    assert "finding_split" not in [button.key for button in again.button]
    check(console)
    assert console.checks.findings.find(kinds=["split"], states=["open"]) == []


def test_a_split_on_another_day_is_said_and_another_goes_beside_it_only_if_that_is_meant(
    console: ConsoleService, open_page: Open
) -> None:
    share = Series("AAPL", "1d", "oanda")
    made = markets.market(np.random.default_rng(7), share, MONDAY, 300, 40_000.0, 2, 0.03, 300.5)
    at = len(made.open_times) // 2
    markets.split(made, at, 4)
    put(console.lake, made)
    actions = Actions(console.settings.data_dir)
    late = int(made.open_times[at + 1]) // 86_400 * 86_400
    actions.add([Action(SPLIT, "AAPL", late, Fraction(4), "a typing error")])
    check(console)
    [row] = console.checks.findings.find(kinds=["split"], states=["open"])
    page = open_page("findings", id=str(row.id))
    assert "on record, which does not remove it" in words(page)
    page.button(key="finding_split").click().run()
    assert "With both, prices before are adjusted twice" in words(page)
    page.text_input(key="finding_split_reason").set_value("announced").run()
    page.button(key="finding_split_yes").click().run()
    assert "AAPL has a split of 4:1 on" in words(page)
    assert len(actions.all(SPLIT)) == 1
    page.checkbox(key="finding_split_meant").check().run()
    page.button(key="finding_split_yes").click().run()
    assert len(actions.all(SPLIT)) == 2


def test_the_whole_sentence_of_a_finding_has_room_beside_the_other_columns(
    console: ConsoleService, open_page: Open
) -> None:
    spiked(console)
    check(console)
    table = open_page("findings").dataframe[0]
    columns = json.loads(table.proto.columns)
    widths = {name: columns[name]["width"] for name in table.value.columns}
    assert widths["What"] >= 5.4 * max(map(len, table.value["What"]))
    assert sum(widths.values()) - widths["What"] <= 660, "a sentence of 80 letters has room at 1440 pixels"


def test_what_another_window_has_accepted_stands(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    check(console)
    [row] = console.checks.findings.find(kinds=["spike"])
    at = open_page("findings", id=str(row.id))
    at.button(key="finding_accept").click().run()
    console.checks.accept([row.id], "ben", "a halt")
    at.text_input(key="finding_reason").input("seen on the tape").run()
    at.button(key="finding_accept_yes").click().run()
    assert "your reason was not kept" in words(at)
    assert [one.reason for one in console.checks.findings.get([row.id])] == ["a halt"]


def test_bars_that_changed_since_are_said(console: ConsoleService, open_page: Open) -> None:
    made = spiked(console)
    check(console)
    [row] = console.checks.findings.find(kinds=["spike"])
    console.checks.accept([row.id], "ann", "seen on the tape")
    made.columns["volume"][500] += 1
    put(console.lake, made)
    check(console)
    assert "its bars have changed since" in words(open_page("findings", id=str(row.id)))


def test_evidence_has_both_sides(console: ConsoleService) -> None:
    spiked(console)
    check(console)
    row = next(row for row in console.checks.findings.find(kinds=["timeframes"]) if "close" in row.evidence["columns"])
    here, there = sides(console.lake, row.series, row.other_series, row.start, row.end, row.start)
    assert (here.series.timeframe, there.series.timeframe, there.of_parts) == ("4h", "1h", True)
    assert here.bars["timestamp"].to_pylist() == there.bars["timestamp"].to_pylist()
    gone = replace(BTC, provider="nobody")
    assert len(sides(console.lake, BTC, gone, row.start, row.end, row.start)) == 1


def test_the_filters_live_in_the_address(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    check(console)
    at = open_page("findings", kind="spike", severity="error", pair="btc-usd")
    assert set(at.dataframe[0].value["Kind"]) == {"spike"}
    assert "Nothing of it is gone" in words(open_page("findings", state="gone"))
    filtered = words(open_page("findings", pair="EURUSD"))
    assert "No finding matches" in filtered
    assert "Nothing of it is open" not in filtered


def test_scores_stand_on_overview_and_coverage(console: ConsoleService, open_page: Open) -> None:
    asked = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-10")
    console.run_service.wait(console.run_service.start(asked, "ann"), 60)
    check(console)
    [series] = [one.value for one in open_page("overview").dataframe if "Score" in one.value]
    assert series["Score"].tolist() == [100.0]
    at = open_page("coverage")
    assert any("Scores of 1 series" in one.label for one in at.expander)
    assert not any("Score" in one.value for one in at.dataframe)
    at.session_state["coverage_scores"] = True
    [scores] = [one.value for one in at.run().dataframe if "Score" in one.value]
    assert scores["Score"].tolist() == [100.0]


def test_a_check_run_has_a_page_and_a_row(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    run_id = check(console)
    at = open_page("run", id=str(run_id))
    assert not at.exception
    assert "Checks: all kinds" in words(at)
    assert "2 series" in at.dataframe[0].value["Came to"][0]
    assert open_page("runs").dataframe[0].value["What"].tolist() == [CHECK]


# -- by themselves


@pytest.fixture
def later() -> float:
    return 4e9


def test_checks_run_on_their_own_time(console: ConsoleService, later: float) -> None:
    spiked(console)
    at = [0.0]
    keeper = CheckKeeper(console.checks, CheckSettings(every_minutes=60), lambda: at[0])
    assert keeper.look() is None
    at[0] = later
    run_id = keeper.look()
    assert run_id is not None
    console.run_service.wait(run_id, 60)
    at[0] = console.checks.last_at() or 0.0
    assert keeper.look() is None
    never = CheckKeeper(console.checks, CheckSettings(every_minutes=0), lambda: at[0])
    at[0] = 2 * later
    assert never.look() is None


def test_checks_run_after_backfills_where_that_is_wanted(console: ConsoleService) -> None:
    asked = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-10")
    done = console.run_service.start(asked, "ann")
    console.run_service.wait(done, 60)
    for wanted in (False, True):
        keeper = CheckKeeper(console.checks, CheckSettings(every_minutes=0, after_backfills=wanted))
        keeper.note_end(done)
        run_id = keeper.look()
        assert (run_id is not None) == wanted
    assert run_id is not None
    console.run_service.wait(run_id, 60)
    keeper.note_end(run_id)
    assert keeper.look() is None, "checks bring no checks"


def test_what_ended_while_others_were_checked_is_checked_after_them(
    console: ConsoleService, caplog: pytest.LogCaptureFixture
) -> None:
    asked = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-10")
    done = console.run_service.start(asked, "ann")
    console.run_service.wait(done, 60)
    busy = console.runs.add(NewRun(CHECK, "all providers", "", 0, 0, [BTC], "ben", "console", "elsewhere"))
    keeper = CheckKeeper(console.checks, CheckSettings(every_minutes=0, after_backfills=True))
    keeper.note_end(done)
    with caplog.at_level("INFO"):
        assert [keeper.look(), keeper.look()] == [None, None]
    assert [one for one in caplog.messages if "left for later" in one] == [
        f"checks are left for later: run {busy} checks already"
    ], "said once"
    console.runs.interrupt(busy, "it is over")
    run_id = keeper.look()
    assert run_id is not None
    console.run_service.wait(run_id, 60)
    assert [one.asset_pair for one in console.runs.series(run_id)] == ["BTCUSD"]
    assert keeper.look() is None


@pytest.mark.parametrize(
    "some", [{"pairs": ["BTCUSD"]}, {"kinds": ["spike"]}, {"pairs": ["EURUSD"], "kinds": ["spike"]}]
)
def test_checks_of_some_put_those_of_everything_not_off(
    console: ConsoleService, later: float, some: dict[str, list[str]]
) -> None:
    spiked(console)
    put(console.lake, markets.market(np.random.default_rng(5), EURO, MONDAY, 60, 1.1, 5, 0.006, 900.0))
    at = [0.0]
    keeper = CheckKeeper(console.checks, CheckSettings(every_minutes=10_080), lambda: at[0])
    console.run_service.wait(console.checks.start("ann", pairs=some.get("pairs"), kinds=some.get("kinds")), 60)
    at[0] = (console.checks.last_at() or 0.0) + 1
    run_id = keeper.look()
    assert run_id is not None
    console.run_service.wait(run_id, 60)
    assert console.checks.everything_at() == console.checks.last_at()
    assert keeper.look() is None


def test_checks_of_everything_by_hand_put_the_next_ones_off(console: ConsoleService) -> None:
    spiked(console)
    for pairs in (["BTCUSD"], None):
        console.run_service.wait(console.checks.start("ann", pairs=pairs), 60)
        assert console.checks.everything_at() == console.checks.last_at()


# -- rules of one's own


def typed_rule(open_page: Open, name: str, holds: str) -> AppTest:
    """The page with a rule in its form."""
    at = open_page("findings")
    at.text_input(key="rule_name").set_value(name)
    at.text_area(key="rule_holds").set_value(holds)
    return at


def form(at: AppTest) -> Any:
    """What the form of a rule is in."""
    [found] = [one for one in at.expander if one.label == "Rules of your own"]
    return found


def test_a_rule_is_tried_kept_and_finds(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = typed_rule(open_page, "narrow", "high <= 1.2 * low")
    at.button(key="rule_try").click().run()
    assert "narrow would find 1 bar of 1,800" in words(at) or "narrow would find 2 bars of" in words(at)
    at.button(key="rule_save").click().run()
    assert "narrow is kept" in words(at)
    check(console)
    assert "rule:narrow" in console.checks.findings.kinds()
    again = open_page("findings", kind="rule:narrow")
    assert not again.exception
    assert "Does not hold: high" in words(again) or "Does not hold" in words(again)
    again.selectbox(key="rule_which").set_value("narrow").run()
    again.button(key="rule_remove").click().run()
    assert console.checks.rules.all() == []


def test_a_rule_that_cannot_be_is_said_at_its_field(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = typed_rule(open_page, "Not A Name", "true")
    at.button(key="rule_save").click().run()
    assert "use 1 to 40 of a-z, 0-9 and _" in words(at)
    at.text_input(key="rule_name").set_value("narrow")
    at.text_area(key="rule_holds").set_value("high <=")
    at.button(key="rule_try").click().run()
    assert "rule narrow cannot be read" in words(at)
    assert console.checks.rules.all() == []


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("name", "Not A Name", "use 1 to 40 of a-z, 0-9 and _, a letter first, for example close_in_range"),
        ("holds", "high <=", "cannot be read"),
        ("holds", "high", "no condition, which is true or false for a bar; for example high"),
        ("series", "*/2h", "nothing can fit */2h: '2h' is unknown; there is 1m, 5m, 15m, 1h, 4h, 1d"),
        ("series", "BTCUSD/1h/nobody", "'nobody' is unknown; there is alpha_vantage, coinbase, oanda, simulated"),
        ("says", "x" * 501, "it has 501 characters; use 500 at most"),
        ("open_from", "ten", "Open from: 'ten' is not a number; for example 64250.5"),
        ("close_to", "1e999", "Close to: '1e999' is not a number"),
    ],
)
def test_what_cannot_be_in_a_rule_is_said_before_anything_is_pressed(
    console: ConsoleService, open_page: Open, key: str, text: str, said: str
) -> None:
    spiked(console)
    at = open_page("findings")
    field = at.text_area(key="rule_holds") if key == "holds" else at.text_input(key=f"rule_{key}")
    field.set_value(text).run()
    assert said in words(at)
    assert field.value == text
    at.button(key="rule_save").click().run()
    assert words(at).count(said) == 1
    field.set_value("").run()
    assert said not in words(at)
    at.text_input(key="rule_close_from").set_value("2").run()
    at.text_input(key="rule_close_to").set_value("1").run()
    assert "close lies between 2 and 1, which is nothing; turn them round" in words(at)
    assert not console.checks.rules.all()


def test_the_form_of_a_rule_is_as_one_left_it(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = open_page("findings")
    at.text_input(key="rule_name").set_value("narrow").run()
    at.text_area(key="rule_holds").set_value("high <= 1.2 * low").run()
    at.text_input(key="rule_close_to").set_value("ten").run()
    at.switch_page("overview/page.py").run()
    at.switch_page("findings/page.py").run()
    assert (at.text_input(key="rule_name").value, at.text_input(key="rule_close_to").value) == ("narrow", "ten")
    assert at.text_area(key="rule_holds").value == "high <= 1.2 * low"
    assert at.checkbox(key="rule_on").value
    assert at.selectbox(key="rule_severity").value == "warning"
    assert "'ten' is not a number" in words(at)


def test_a_rule_that_takes_too_long_is_said_at_its_field(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopped(connection: object, seconds: float) -> Iterator[None]:
        raise duckdb.InterruptException("INTERRUPT")
        yield

    monkeypatch.setattr("ffe_core.rules.expression.stopped_after", stopped)
    spiked(console)
    at = typed_rule(open_page, "slow", "high <= 1.2 * low")
    for button in ("rule_try", "rule_save"):
        at.button(key=button).click().run()
        assert "rule slow takes more than" in words(at), button
        assert "make it simpler" in words(at), button
        assert at.text_area(key="rule_holds").value == "high <= 1.2 * low"
    assert console.checks.rules.all() == []


def test_a_file_of_rules_that_cannot_be_read_is_said_and_the_findings_stay(
    console: ConsoleService, open_page: Open
) -> None:
    spiked(console)
    check(console)
    console.checks.rules.path.write_text("[[rule]\n")
    at = open_page("findings")
    assert len(at.dataframe[0].value) == 3
    assert "rules.toml cannot be read" in words(at)


def test_bounds_are_typed_tried_kept_and_changed(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = open_page("findings")
    at.text_input(key="rule_name").set_value("in_range")
    at.text_input(key="rule_close_from").set_value("1,000,000")
    at.button(key="rule_try").click().run()
    assert "in_range would find 1,800 bars of 1,800 (100.0 %) in 2 series" in words(at)
    at.text_input(key="rule_close_from").set_value("0.25")
    at.text_input(key="rule_volume_to").set_value("1000000000")
    at.button(key="rule_save").click().run()
    assert "in_range is kept, and part of every check from now on. It would find 0 bars of 1,800" in words(at)
    [kept] = console.checks.rules.all()
    assert kept.bounds == {"close": (0.25, math.inf), "volume": (-math.inf, 1e9)}
    again = open_page("findings")
    again.selectbox(key="rule_which").set_value("in_range").run()
    shown = {key: again.text_input(key=f"rule_{key}").value for key in ("close_from", "close_to", "volume_to")}
    assert shown == {"close_from": "0.25", "close_to": "", "volume_to": "1000000000"}
    again.text_input(key="rule_close_from").set_value("")
    again.button(key="rule_save").click().run()
    assert console.checks.rules.all()[0].bounds == {"volume": (-math.inf, 1e9)}


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("ten", "", "Close from: 'ten' is not a number; for example 64250.5"),
        ("", "1e999", "Close to: '1e999' is not a number"),
        ("2", "1", "close lies between 2 and 1, which is nothing; turn them round"),
        ("", "", "it asks for nothing; give holds, for example high <= 2 * low, or bounds"),
    ],
)
def test_bounds_that_cannot_be_are_said_at_their_field(
    console: ConsoleService, open_page: Open, low: str, high: str, said: str
) -> None:
    spiked(console)
    at = open_page("findings")
    at.text_input(key="rule_name").set_value("in_range")
    at.text_input(key="rule_close_from").set_value(low)
    at.text_input(key="rule_close_to").set_value(high)
    at.button(key="rule_save").click().run()
    assert said in words(at)
    assert console.checks.rules.all() == []


def test_a_rule_that_is_off_stays_off_when_it_is_changed(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    console.checks.save_rule(rule_of(name="narrow", holds="high <= 1.2 * low", on=False, dead_letters=True), "ann")
    at = open_page("findings")
    at.selectbox(key="rule_which").set_value("narrow").run()
    at.text_input(key="rule_says").set_value("bars are narrow")
    at.button(key="rule_save").click().run()
    assert "narrow is kept, and off" in words(at)
    [kept] = console.checks.rules.all()
    assert (kept.on, kept.dead_letters, kept.says) == (False, True, "bars are narrow")
    at.checkbox(key="rule_on").check().run()
    at.button(key="rule_save").click().run()
    assert console.checks.rules.all()[0].on


def test_bounds_that_would_dead_letter_much_ask_first(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = open_page("findings")
    at.text_input(key="rule_name").set_value("in_range")
    at.text_input(key="rule_close_from").set_value("1000000")
    at.checkbox(key="rule_dead_letters").check().run()
    at.button(key="rule_try").click().run()
    at.button(key="rule_save").click().run()
    assert "records like them would be dead-lettered from now on" in words(at)
    assert console.checks.rules.all() == []
    # Where the question stands: closed, the form hides it, and nothing says that nothing was kept.
    assert form(at).proto.expanded
    at.checkbox(key="rule_meant").check().run()
    at.button(key="rule_save").click().run()
    assert [rule.name for rule in console.checks.rules.all()] == ["in_range"]


def test_a_trial_is_of_the_rule_that_stands_there(console: ConsoleService, open_page: Open) -> None:
    spiked(console)
    at = typed_rule(open_page, "narrow", "high <= 1.2 * low")
    at.button(key="rule_try").click().run()
    assert "narrow would find" in words(at)
    at.text_area(key="rule_holds").set_value("high <= 1.3 * low").run()
    assert "narrow would find" not in words(at)
    assert form(at).proto.expanded
    at.text_input(key="rule_series").set_value("files:mine, EURUSD/1h/files:mine").run()
    at.button(key="rule_save").click().run()
    assert "Nothing that is stored fits it yet." in words(at)


def test_what_could_not_be_tried_on_all_asks_first(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spiked(console)
    monkeypatch.setattr("ffe_core.checks.own._TRIAL_SECONDS", -1.0)
    with pytest.raises(
        InputError, match=r"dead_letters: in_range would find 0 bars of 0 in 0 series; there was no time"
    ):
        console.checks.save_rule(rule_of(name="in_range", holds="close > 1", dead_letters=True), "ann")
    assert console.checks.rules.all() == []
    console.checks.save_rule(rule_of(name="in_range", holds="close > 1", dead_letters=True), "ann", is_meant=True)
    assert [rule.name for rule in console.checks.rules.all()] == ["in_range"]


def test_neighbours_are_the_bars_beside_it_however_long_the_market_was_closed(
    console: ConsoleService, open_page: Open
) -> None:
    made = markets.market(np.random.default_rng(5), replace(EURO, timeframe="1d"), MONDAY, 400, 1.1, 5, 0.006, 900.0)
    weekday = (made.open_times // 86_400 + 3) % 7  # Monday is 0
    made = replace(
        made,
        open_times=made.open_times[weekday < 5],
        columns={name: column[weekday < 5] for name, column in made.columns.items()},
    )
    place = int(np.flatnonzero(weekday[weekday < 5] == 0)[20])
    made.columns["low"][place] *= 0.5
    put(console.lake, made)
    check(console)
    [row] = console.checks.findings.find(kinds=["spike"])
    table = next(one.value for one in open_page("findings", id=str(row.id)).dataframe if "" in one.value)
    days = [np.datetime64(int(made.open_times[at]), "s").astype("datetime64[D]") for at in range(place - 1, place + 2)]
    assert [text[:10] for text in table["Bar (UTC)"]] == [str(day) for day in days]


def test_missing_bars_are_marked_where_they_are(console: ConsoleService, open_page: Open) -> None:
    fine = market()
    coarse = markets.coarser(fine, "4h")
    lost = int(np.argmax(fine.columns["high"][400:404])) + 400
    kept = np.arange(len(fine.open_times)) != lost
    put(console.lake, coarse)
    columns = {name: column[kept] for name, column in fine.columns.items()}
    put(console.lake, replace(fine, open_times=fine.open_times[kept], columns=columns))
    check(console)
    [row] = console.checks.findings.find(kinds=["lost_parts"])
    page = open_page("findings", id=str(row.id))
    [link] = [one.proto for one in page.get("page_link") if one.proto.label == "Mark as explained"]
    day = row.start - row.start % 86_400
    assert link.query_string == f"provider=coinbase&timeframe=1h&pair=BTCUSD&at={day}"
