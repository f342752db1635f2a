"""Do the backfill form and the runs say what is so, when more is fetched than asked and when less was counted?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from ffe_core import times
from ffe_core.errors import StorageError
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.coverage.service import CoverageRuns
from ffe_core.operations.runs import preview as preview_of_runs
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.outcome import NEXT_STEPS
from ffe_core.operations.runs.preview import preview
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.storage.state.runs import NewRun
from ffe_core.storage.state.watchlists import Watchlists
from pages.widgets import duration
from tests.pages.conftest import Open, as_read, words


def ran(console: ConsoleService, start: str, end: str) -> int:
    request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], start, end)
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    return run_id


def left_in_the_middle(console: ConsoleService, run_id: int) -> None:
    """As a run is after its process was killed: a third of its pages, and nothing counted."""
    with console.database.write() as database:
        database.execute(sa.text("update runs set state = 'interrupted' where id = :id"), {"id": run_id})
        database.execute(
            sa.text(
                "update run_series set state = 'interrupted', pages_done = 1, pages_planned = 3, expected = null,"
                " stored = null, dead_lettered = null, marked = null, unexplained = null where run_id = :id"
            ),
            {"id": run_id},
        )


def links(at: AppTest) -> list[str]:
    return [link.proto.label for link in at.get("page_link")]


def test_an_interrupted_run_says_that_it_is_still_being_counted(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-02-01", "2024-02-02")
    left_in_the_middle(console, run_id)
    told = "What it stored of 1 series and did not live to tell is being counted."
    console.runs.update_series(run_id, {0: {"phase": "counting"}})
    assert told in [text.value for text in open_page("run", id=str(run_id)).caption]
    console.runs.counted(run_id, {0: {}})
    assert told not in [text.value for text in open_page("run", id=str(run_id)).caption]


def test_more_to_fetch_than_the_range_has_is_explained(console: ConsoleService, open_page: Open) -> None:
    ran(console, "2024-02-01", "2024-02-02")
    asked = {"provider": "simulated", "pairs": "BTCUSD", "timeframes": "1h", "start": "2024-01-01"}
    apart = open_page("backfill", **asked, end="2024-01-02").dataframe[0].value
    assert list(apart["Note"]) == ["up to what is stored already, so that no gap is left"]
    adjacent = open_page("backfill", **asked, end="2024-02-02").dataframe[0].value
    assert list(adjacent["Note"]) == [""]


def test_a_range_since_the_beginning_is_cut_at_the_first_bar_and_says_so(
    console: ConsoleService, open_page: Open
) -> None:
    first = times.parse_instant("2024-01-10")
    console.instruments.store.learn(Series("BTCUSD", "1d", "simulated"), first_bar=first)
    at = open_page("backfill", provider="simulated", pairs="BTCUSD", timeframes="1d")
    at.session_state.backfill_preset = "Since the beginning"
    at.run()
    row = at.dataframe[0].value.iloc[0]
    assert row["Expected"] == row["To fetch"] == (times.now() - first) // times.DAY
    assert row["Note"].startswith("its history begins with the bar of 2024-01-10 00:00 UTC")


def test_what_finding_the_first_bar_costs_is_part_of_the_preview(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROVIDERS["simulated"], "finds_first_bar", True)
    monkeypatch.setattr(PROVIDERS["simulated"], "requests_per_second", 2.0)
    asked = {"provider": "simulated", "pairs": "BTCUSD", "timeframes": "1h", "start": "beginning"}
    at = open_page("backfill", **asked)
    request = BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "beginning", str(times.utc(times.now()).date()))
    found = preview(request, console.run_service)
    said = f"at most {found.requests:,} requests, {found.first_bar_requests:,} of them to find where series begin, "
    assert said + f"{duration(found.seconds)} at the provider's rate" in words(at)
    assert found.seconds == found.requests / 2 > found.first_bar_requests / 2 > 0


def test_what_was_not_counted_reads_as_a_dash_and_not_as_done(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    left_in_the_middle(console, run_id)
    shown = {metric.label: metric.value for metric in open_page("run", id=str(run_id)).metric}
    assert shown["Unexplained"] == shown["Accounted for"] == "–"
    listed = open_page("runs").dataframe[0].value
    assert list(listed["Progress"]) == [0.33]


def test_a_count_shows_how_whole_each_series_is(console: ConsoleService, open_page: Open) -> None:
    ran(console, "2024-01-01", "2024-01-02")
    run_id = CoverageRuns(console.run_service).start("ann")
    console.run_service.wait(run_id, 30)
    at = open_page("run", id=str(run_id))
    assert not at.exception
    [row] = console.runs.series(run_id)
    table = at.dataframe[0].value
    assert (table["Pair"][0], table["Stored"][0], table["Expected"][0]) == ("BTCUSD", row.stored, 48)
    assert {metric.label: metric.value for metric in at.metric}["Expected"] == "48"
    assert open_page("runs", kind="coverage").dataframe[0].value["What"].tolist() == ["coverage"]


def test_what_was_left_is_gone_on_with_once_and_the_run_says_by_which(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    left_in_the_middle(console, run_id)
    at = open_page("run", id=str(run_id))
    at.button(key="run_continue").click().run()
    later = run_id + 1
    console.run_service.wait(later, 30)
    assert f"again from run {run_id}" in words(open_page("run", id=str(later)))
    before = open_page("run", id=str(run_id))
    assert f"Run {later} went on with what was left of it" in links(before)
    assert "run_continue" not in [button.key for button in before.button]


def test_a_run_with_gaps_leads_to_them(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    assert "Look at the gaps" not in links(open_page("run", id=str(run_id)))
    with console.database.write() as database:
        database.exec_driver_sql("update run_series set state = 'finished with gaps', unexplained = 3")
    assert "Look at the gaps" in links(open_page("run", id=str(run_id)))


def test_a_clock_that_is_off_is_said_once_on_the_runs_page(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    assert not open_page("run", id=str(run_id)).warning
    said = "this computer's clock is 240 s ahead of that of coinbase"
    console.run_service.runs.update_series(run_id, {0: {"result": {"notices": [said, said]}}})
    assert [as_read(warning.value) for warning in open_page("run", id=str(run_id)).warning] == [said]


def test_a_series_that_got_nowhere_keeps_the_run_from_reading_as_done(console: ConsoleService, open_page: Open) -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h"], "2024-01-01", "2024-01-02")
    console.run_service.wait(console.run_service.start(request, "ann"), 30)
    assert list(open_page("runs").dataframe[0].value["Progress"]) == [0.5]


def test_what_failed_for_good_is_changed_first_and_other_failures_are_retried(
    console: ConsoleService, open_page: Open
) -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h", "4h"], "2024-01-01", "2024-01-02")
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    at = open_page("run", id=str(run_id))
    assert kinds(at) == {"Change the request": "primary", "Retry failed": "secondary"}
    with console.database.write() as database:
        database.exec_driver_sql(
            "update run_series set next_step_code = 'retry_failed' where asset_pair = 'NOPEUSD' and timeframe = '4h'"
        )
    at = open_page("run", id=str(run_id))
    assert kinds(at) == {"Change the request": "secondary", "Retry failed": "primary"}
    at.button(key="run_change").click().run()
    form = at.session_state
    assert (form.backfill_pairs, form.backfill_preset) == (["NOPEUSD"], "Own range")
    assert (form.backfill_from, form.backfill_to) == ("2024-01-01", "2024-01-02")


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        ("wait_for_holder", None, NEXT_STEPS["wait_for_holder"]),
        (None, "what release 0.1.0 said", "what release 0.1.0 said"),
        ("of_a_later_release", None, ""),
    ],
)
def test_the_next_step_is_said_from_its_code_and_an_old_sentence_as_it_stands(
    console: ConsoleService, open_page: Open, code: str | None, text: str | None, shown: str
) -> None:
    request = BackfillRequest.of("simulated", ["NOPEUSD"], ["1h"], "2024-01-01", "2024-01-02")
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    with console.database.write() as database:
        step = sa.text("update run_series set next_step_code = :code, next_step = :text")
        database.execute(step, {"code": code, "text": text})
    told = f"**NOPEUSD 1h** · {shown}".strip()
    assert any(as_read(one.value).strip().endswith(told) for one in open_page("run", id=str(run_id)).markdown)


def kinds(at: AppTest) -> dict[str, str]:
    return {button.label: button.proto.type for button in at.button}


def test_only_a_backfill_is_retried_from_its_run(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    with console.database.write() as database:
        database.exec_driver_sql("update runs set kind = 'replay', state = 'failed'")
        database.exec_driver_sql("update run_series set state = 'failed', error = 'no'")
    assert kinds(open_page("run", id=str(run_id))) == {}


def test_an_error_that_stands_in_full_is_not_repeated_in_the_list(console: ConsoleService, open_page: Open) -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h"], "2024-01-01", "2024-01-02")
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    at = open_page("run", id=str(run_id))
    assert "NOPEUSD" in words(at)
    assert not {"Error", "Next step"} & set(at.dataframe[0].proto.column_order)


def test_an_address_that_cannot_be_says_why_and_keeps_what_can(open_page: Open, console: ConsoleService) -> None:
    at = open_page("backfill", provider="nobody", pairs="BTCUSD,///", start="2024-02-01", end="2024-01-01")
    said = words(at)
    assert "provider=nobody (use simulated, " in said
    assert "pairs=/// ('///' cannot be a pair" in said
    assert "end=2024-01-01 (lies before the start, 2024-02-01)" in said
    assert at.session_state.backfill_pairs == ["BTCUSD"]
    assert (at.session_state.backfill_from, at.session_state.backfill_to) == ("2024-02-01", "")
    assert "Not yet: choose a provider." in said


@pytest.mark.parametrize(("provider", "said"), [("nobody", "use simulated"), ("files:mine", "import files again")])
def test_no_other_provider_stands_in_for_one_that_cannot_be_asked(open_page: Open, provider: str, said: str) -> None:
    at = open_page("backfill", provider=provider, pairs="BTCUSD", timeframes="1h", start="2024-01-01", end="2024-01-01")
    assert said in words(at)
    assert at.button(key="backfill_start").disabled
    at.selectbox(key="backfill_provider").select("simulated").run()
    assert at.session_state.backfill_pairs == ["BTCUSD"]
    assert not at.button(key="backfill_start").disabled


def test_a_start_without_an_end_reaches_up_to_today_and_an_end_alone_is_left_out(open_page: Open) -> None:
    at = open_page("backfill", start="2024-02-01")
    assert (at.session_state.backfill_from, at.session_state.backfill_to) == (
        "2024-02-01",
        str(datetime.now(UTC).date()),
    )
    at = open_page("backfill", end="2024-02-01")
    assert "end=2024-02-01 (a start is missing)" in words(at)
    assert at.session_state.backfill_preset == "Last 30 days"


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2024-13-01", "2024-01-31", "'2024-13-01' is not a time"),
        ("2024-01-01", "", "Give a day like 2024-01-31."),
        ("2024-02-01", "2024-01-01", "2024-01-01 is not after start 2024-02-01"),
        ("1066-10-14", "2024-01-01", "1066-10-14 lies outside; give a day from 1990-01-01 to"),
        ("2024-01-01", "\uff12\uff10\uff12\uff14-01-02", "is not a time"),
    ],
)
def test_a_range_that_cannot_be_read_is_said_at_its_field_and_nothing_can_start(
    open_page: Open, start: str, end: str, said: str
) -> None:
    at = open_page("backfill", provider="simulated", pairs="BTCUSD", start="2024-01-01", end="2024-01-02")
    at.text_input(key="backfill_from").set_value(start).run()
    at.text_input(key="backfill_to").set_value(end).run()
    assert said in words(at)
    assert at.button(key="backfill_start").disabled
    assert at.session_state.backfill_from == start


def test_times_of_a_range_may_be_typed_and_are_in_utc(open_page: Open) -> None:
    at = open_page("backfill", provider="simulated", pairs="BTCUSD", start="2024-01-01", end="2024-01-02")
    at.text_input(key="backfill_to").set_value("2024-01-01 06:00").run()
    assert "6 candles" in words(at)
    assert at.query_params["end"] == "2024-01-01 06:00Z"


def test_a_run_is_named_by_the_words_that_started_it(console: ConsoleService, open_page: Open) -> None:
    for kind, mode in (("backfill", "resume"), ("backfill", "gaps"), ("backfill", "refetch"), ("refetch", "refetch")):
        console.runs.add(
            NewRun(kind, "simulated", mode, 0, 3600, [Series("BTCUSD", "1h", "simulated")], "ann", "console", "1")
        )
    named = open_page("runs").dataframe[0].value["What"].tolist()
    assert named == ["ask again", "fetch again", "fill gaps", "backfill"]
    chips = [words(open_page("run", id=str(number))) for number in (1, 2, 3, 4)]
    for said, told in zip(chips, ("Continue]", "Fill gaps]", "Fetch again]", "ask again from simulated]"), strict=True):
        assert told in said
        assert "refetch" not in said
    assert open_page("runs").selectbox(key="runs_kind").options[3] == "ask again"


def test_what_was_not_previewed_is_not_started(console: ConsoleService, open_page: Open) -> None:
    at = open_page("backfill", provider="simulated", pairs="BTCUSD", start="2024-01-01", end="2024-01-02")
    assert "48 candles" in words(at)
    at.text_input(key="backfill_from").set_value("2015-01-01")
    at.button(key="backfill_start").click().run()
    assert console.runs.find()[1] == 0
    assert "nothing was started: what you ask for has changed" in words(at)
    assert "78,936 candles" in words(at)
    at.button(key="backfill_start").click().run()
    assert console.runs.find()[1] == 1


def test_what_was_previewed_is_started_though_a_drawing_after_it_was_cut_short(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("backfill", provider="simulated", pairs="BTCUSD", start="2024-01-01", end="2024-01-02")
    button = at.button(key="backfill_start")  # still to be seen, as an answer that is cut short takes nothing away
    with monkeypatch.context() as patch:
        patch.setattr(preview_of_runs, "preview", lambda *_: st.stop())
        at.run()
    button.click().run()
    assert console.runs.find()[1] == 1


def test_an_address_can_ask_for_all_since_the_beginning(open_page: Open) -> None:
    at = open_page("backfill", provider="coinbase", pairs="BTCUSD", timeframes="1d", start="beginning")
    assert at.session_state.backfill_preset == "Since the beginning"
    assert at.query_params["start"] == "beginning"
    assert "end" not in at.query_params
    assert "left out" not in words(at)
    at.segmented_control(key="backfill_preset").set_value("Last 7 days").run()
    assert "start" not in at.query_params


def test_a_watchlist_goes_only_after_saying_what_uses_it(console: ConsoleService, open_page: Open) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD", "ETHUSD"], ["1h"], "ann")
    console.schedules.create(Draft("every hour", watchlist="Majors", trigger="bar close"), "ann")
    at = open_page("backfill")
    at.selectbox(key="backfill_remove_name").select("Majors").run()
    at.button(key="backfill_remove").click().run()
    said = words(at)
    assert "Majors: 2 series" in said
    assert "every hour" in said
    assert console.watchlists.get("Majors") is not None
    at.button(key="backfill_remove_yes").click().run()
    assert console.watchlists.get("Majors") is None
    assert "Removed Majors" in words(at)


def test_a_name_that_is_too_long_is_told_at_its_field_and_stays_as_it_was_typed(
    console: ConsoleService, open_page: Open
) -> None:
    at = open_page("backfill", pairs="ETHUSD")
    at.text_input(key="backfill_save_name").set_value("x" * 61).run()
    assert "These are 61 characters, and 60 have room; for example" in words(at)
    assert at.button(key="backfill_save").disabled
    assert at.text_input(key="backfill_save_name").value == "x" * 61
    at.text_input(key="backfill_save_name").set_value("x" * 60).run()
    at.button(key="backfill_save").click().run()
    assert [watchlist.name for watchlist in console.watchlists.all()] == ["x" * 60]


def test_saving_under_a_name_that_is_taken_says_that_it_replaces(console: ConsoleService, open_page: Open) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    at = open_page("backfill", pairs="ETHUSD")
    at.text_input(key="backfill_save_name").set_value("Majors").run()
    assert "it is replaced" in words(at)
    assert at.button(key="backfill_save").label == "Replace"
    at.button(key="backfill_save").click().run()
    kept = console.watchlists.get("Majors")
    assert kept is not None
    assert kept.pairs == ("ETHUSD",)
    assert "Saved Majors: 1 series" in words(at)


@pytest.mark.of_a_state_file("at a server every console acts: test_consoles_on_a_server")
def test_a_standby_saves_and_removes_no_watchlist(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    monkeypatch.setattr(ConsoleService, "leads", False)
    at = open_page("backfill", pairs="BTCUSD")
    at.selectbox(key="backfill_remove_name").select("Majors").run()
    assert at.button(key="backfill_remove").disabled
    assert at.button(key="backfill_save").disabled


def test_a_ledger_that_fails_under_a_choice_is_told_on_the_page(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    at = open_page("backfill", pairs="ETHUSD")

    def fails(*_: object) -> None:
        raise StorageError("the database cannot be used; try again shortly")

    monkeypatch.setattr(Watchlists, "get", fails)
    at.selectbox(key="backfill_watchlist").select("Majors").run()
    assert not at.exception
    assert "the database cannot be used" in words(at)
    assert at.multiselect(key="backfill_pairs").value == ["ETHUSD"]


def test_runs_say_their_pairs_and_are_found_by_what_started_them(console: ConsoleService, open_page: Open) -> None:
    pairs = ["BTCUSD", "ETHUSD", "SOLUSD", "EURUSD"]
    request = BackfillRequest.of("simulated", pairs, ["1h", "1d"], "2024-01-01", "2024-01-02")
    console.run_service.wait(console.run_service.start(request, "ann", "schedule:7"), 30)
    ran(console, "2024-01-03", "2024-01-04")
    table = open_page("runs").dataframe[0]
    assert list(table.value["Pairs"]) == ["BTCUSD", "BTCUSD +3 · 8 series"]
    assert "Progress" not in table.proto.column_order
    assert "Unexplained" not in table.proto.column_order
    assert list(open_page("runs", by="schedule").dataframe[0].value["Pairs"]) == ["BTCUSD +3 · 8 series"]
    at = open_page("runs")
    at.selectbox(key="runs_by").select("console").run()
    assert list(at.dataframe[0].value["Pairs"]) == ["BTCUSD"]
    assert at.query_params["by"] == "console"
    at.selectbox(key="runs_by").select("command line").run()
    assert "No run matches these filters" in words(at)


def test_failed_series_stand_first_and_equal_errors_once(console: ConsoleService, open_page: Open) -> None:
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h", "4h", "1d"], "2024-01-01", "2024-01-02")
    run_id = console.run_service.start(request, "ann")
    console.run_service.wait(run_id, 30)
    with console.database.write() as database:
        database.exec_driver_sql("update run_series set error = 'it was refused' where state = 'failed'")
    at = open_page("run", id=str(run_id))
    assert list(at.dataframe[0].value["Pair"]) == ["NOPEUSD"] * 3 + ["BTCUSD"] * 3
    assert [one.value for one in at.code].count("it was refused") == 1
    assert "NOPEUSD 1h, NOPEUSD 4h, NOPEUSD 1d" in as_read(" ".join(one.value for one in at.markdown))


def test_the_machine_of_each_series_is_named_where_a_cluster_works(console: ConsoleService, open_page: Open) -> None:
    run_id = ran(console, "2024-01-01", "2024-01-02")
    assert "Machine" not in open_page("run", id=str(run_id)).dataframe[0].proto.column_order
    console.run_service.runs.update_series(run_id, {0: {"machine": "north"}})
    assert "Machine" in open_page("run", id=str(run_id)).dataframe[0].proto.column_order
    assert list(open_page("run", id=str(run_id)).dataframe[0].value["Machine"]) == ["north"]


def test_a_range_before_all_candles_is_refused_by_the_label_of_its_field(
    console: ConsoleService, open_page: Open
) -> None:
    said = words(
        open_page(
            "backfill", provider="coinbase", pairs="BTCUSD", timeframes="1h", start="1990-01-01", end="1990-01-02"
        )
    )
    assert "Range: 1990-01-01 00:00 UTC lies before anything" in said
    assert "start: " not in said
