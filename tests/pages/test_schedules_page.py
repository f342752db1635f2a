"""Does the page of schedules say what is so, and do its buttons what they say?"""

from __future__ import annotations

from typing import Any

import pytest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers import PROVIDERS
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import Schedule, Tick
from pages.schedules.text import short, signs, state_of, told
from tests.pages.conftest import Open, words

_DAILY = Draft(
    "FX daily", "simulated", ("EURUSD", "GBPUSD"), ("1d",), trigger="cron 30 2 * * mon-fri", zone="America/New_York"
)


@pytest.fixture
def daily(console: ConsoleService) -> Schedule:
    return console.schedules.create(_DAILY, "ann")


def tick(**values: Any) -> Tick:
    """A tick as the database has it."""
    return Tick(
        **{"id": 1, "schedule_id": 1, "due": 0, "until": 0, "at": 0.0, "outcome": schedule_states.RAN, **values}
    )


def test_without_schedules_the_page_says_what_to_do_next(open_page: Open) -> None:
    at = open_page("schedules")
    assert "Nothing runs by itself yet" in words(at)
    at.button(key="sched_new").click().run()
    assert "New schedule" in words(at)


def test_the_list_shows_state_times_and_the_last_outcomes(open_page: Open, daily: Schedule) -> None:
    at = open_page("schedules")
    [row] = at.dataframe[0].value.to_dict("records")
    assert (row["Name"], row["When"], list(row["State"])) == ("FX daily", "mon-fri at 02:30 UTC", ["active"])
    assert row["Next five, UTC"].startswith("02:30 on ")
    assert row["Next five, UTC"].endswith(" UTC")
    assert row["Next five, local"].endswith(("EST", "EDT"))
    assert row["What"] == "EURUSD, GBPUSD · 1d · simulated"
    assert "Fired by process" in words(at)


def test_a_paused_schedule_shows_by_whom_and_why(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    console.schedules.pause(daily.id, "provider maintenance", "ann")
    [row] = open_page("schedules").dataframe[0].value.to_dict("records")
    assert row["Next five, UTC"] == "paused by ann: provider maintenance"
    detail = words(open_page("schedules", schedule=str(daily.id)))
    assert "Paused by ann" in detail
    assert "provider maintenance" in detail
    assert "If it were resumed now" in detail


def test_the_form_shows_the_next_fires_and_what_each_would_fetch(open_page: Open) -> None:
    at = open_page("schedules", new="1", provider="simulated", pairs="BTCUSD", timeframes="1h")
    table = at.dataframe[0].value
    assert len(table) == 5
    assert int(table["Bars"][0].replace(",", "")) > 700
    assert list(table["Bars"][1:]) == ["1"] * 4
    assert at.button(key="sched_save").disabled
    at.text_input(key="sched_name").set_value("Hourly").run()
    assert not at.button(key="sched_save").disabled


def test_the_form_counts_what_finding_the_first_bar_costs(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_page("schedules", new="1", provider="simulated", pairs="BTCUSD", timeframes="1m")
    monkeypatch.setattr(PROVIDERS["simulated"], "finds_first_bar", True)
    at = open_page("schedules", new="1", provider="simulated", pairs="BTCUSD", timeframes="1m")
    plain, searching = (int(one.dataframe[0].value["Requests"][0].replace(",", "")) for one in (before, at))
    assert f"at most: {searching - plain} of the requests find where series begin" in words(at)
    assert searching > plain
    assert list(at.dataframe[0].value["Requests"][1:]) == list(before.dataframe[0].value["Requests"][1:])


def test_a_schedule_may_begin_wherever_its_series_do(open_page: Open, console: ConsoleService) -> None:
    at = open_page("schedules", new="1", provider="simulated", pairs="BTCUSD", timeframes="1d")
    at.text_input(key="sched_name").set_value("All of it")
    at.text_input(key="sched_since").set_value("40d").run()
    assert at.dataframe[0].value["Bars"][0] == "39"  # whole days since the middle of one
    at.toggle(key="sched_from_beginning").set_value(True).run()
    assert not [one for one in at.text_input if one.key == "sched_since"]
    assert int(at.dataframe[0].value["Bars"][0].replace(",", "")) > 10_000
    at.button(key="sched_save").click().run()
    [made] = console.schedules.store.all()
    assert made.since == "beginning"
    assert "the beginning of each series" in list(at.dataframe[1].value["Value"])
    at = open_page("schedules", edit=str(made.id))
    assert at.toggle(key="sched_from_beginning").value
    at.toggle(key="sched_from_beginning").set_value(False).run()
    assert at.text_input(key="sched_since").value == "30d"


def test_a_schedule_is_made_and_opened(open_page: Open, console: ConsoleService) -> None:
    at = open_page("schedules", new="1", pairs="BTCUSD")
    at.text_input(key="sched_name").set_value("Hourly")
    at.segmented_control(key="sched_when").set_value("time").run()
    at.selectbox(key="sched_zone").set_value("Europe/Berlin").run()
    at.button(key="sched_save").click().run()
    [made] = console.schedules.store.all()
    assert (made.name, made.trigger, made.zone) == ("Hourly", "cron 30 2 * * *", "Europe/Berlin")
    assert at.query_params["schedule"] == str(made.id)
    assert "Every day at 02:30 UTC" in words(at)
    assert "It has not been due yet." in words(at)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 0 30 2 *", "day 30 of month 2 never comes"),
        ("0 25 * * *", "hour 25 does not exist"),
        ("0 0 * *", "needs five fields"),
    ],
)
def test_a_cron_that_cannot_be_is_said_at_its_field(open_page: Open, cron: str, said: str) -> None:
    at = open_page("schedules", new="1", pairs="BTCUSD")
    at.segmented_control(key="sched_when").set_value("cron").run()
    at.text_input(key="sched_cron").set_value(cron).run()
    assert said in words(at)
    assert at.button(key="sched_save").disabled


def test_numeric_weekdays_are_translated_with_a_visible_note(open_page: Open) -> None:
    at = open_page("schedules", new="1", pairs="BTCUSD")
    at.segmented_control(key="sched_when").set_value("cron").run()
    at.text_input(key="sched_cron").set_value("0 6 * * 1-5").run()
    assert "is read as mon-fri" in words(at)


def test_a_pair_that_the_provider_lacks_is_said_at_its_field(open_page: Open) -> None:
    at = open_page("schedules", new="1", pairs="NOPEUSD")
    assert "simulated has no pair NOPEUSD" in words(at)


def test_an_edit_keeps_what_is_not_touched(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    at = open_page("schedules", edit=str(daily.id))
    at.text_input(key="sched_name").set_value("FX every day").run()
    at.button(key="sched_save").click().run()
    edited = console.schedules.get(daily.id)
    assert edited.name == "FX every day"
    assert (edited.trigger, edited.zone, edited.pairs) == (daily.trigger, daily.zone, daily.pairs)


def test_a_stale_edit_is_refused_and_said(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    at = open_page("schedules", edit=str(daily.id))
    at.text_input(key="sched_name").set_value("mine").run()
    console.schedules.edit(daily.id, Draft.of(daily), "bob")
    at.button(key="sched_save").click().run()
    assert console.schedules.get(daily.id).name == "FX daily"
    assert "changed by somebody else meanwhile" in words(at)


def test_what_somebody_else_changes_meanwhile_takes_no_typed_field_away(
    open_page: Open, console: ConsoleService, daily: Schedule
) -> None:
    at = open_page("schedules", edit=str(daily.id))
    at.text_input(key="sched_name").set_value("Mine").run()
    console.schedules.pause(daily.id, "maintenance", "ben")
    at.run()
    assert at.text_input(key="sched_name").value == "Mine"
    at.button(key="sched_save").click().run()
    assert "was changed by somebody else meanwhile" in words(at)
    assert console.schedules.get(daily.id).name == "FX daily"


def test_what_is_typed_of_a_schedule_that_is_deleted_meanwhile_can_be_made_anew(
    open_page: Open, console: ConsoleService, daily: Schedule
) -> None:
    at = open_page("schedules", edit=str(daily.id))
    at.text_input(key="sched_name").set_value("Mine").run()
    console.schedules.delete(daily.id, "ben")
    at.button(key="sched_save").click().run()
    assert "It was deleted meanwhile, so nothing was saved" in words(at)
    assert at.text_input(key="sched_name").value == "Mine"
    assert at.button(key="sched_save").label == "Create schedule"
    at.button(key="sched_save").click().run()
    [made] = console.schedules.store.all()
    assert (made.name, made.pairs, made.trigger) == ("Mine", daily.pairs, daily.trigger)
    assert at.query_params["schedule"] == str(made.id)


def test_from_a_list_and_back_the_chosen_series_are_still_there(open_page: Open, console: ConsoleService) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    at = open_page("schedules", new="1", pairs="ETHUSD", timeframes="1d")
    at.toggle(key="sched_from_list").set_value(True).run()
    at.selectbox(key="sched_watchlist").set_value("Majors").run()
    at.toggle(key="sched_from_list").set_value(False).run()
    assert not at.exception
    assert at.multiselect(key="sched_pairs").value == ["ETHUSD"]
    assert at.session_state.sched_timeframes == ["1d"]
    at.toggle(key="sched_from_list").set_value(True).run()
    assert at.selectbox(key="sched_watchlist").value == "Majors"


def test_a_schedule_whose_list_is_gone_takes_no_other_away(open_page: Open, console: ConsoleService) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    console.schedules.create(Draft("from a list", watchlist="Majors", trigger="bar close"), "ann")
    console.schedules.create(_DAILY, "ann")
    console.watchlists.delete("Majors")
    rows = {row["Name"]: row["Next five, UTC"] for row in open_page("schedules").dataframe[0].value.to_dict("records")}
    assert "Majors" in rows["from a list"]
    assert rows["FX daily"].endswith("UTC")


def test_a_name_is_text(open_page: Open, console: ConsoleService) -> None:
    made = console.schedules.create(Draft("![x](http://a/b.png) **b**", "simulated", ("BTCUSD",), ("1h",)), "ann")
    written = open_page("schedules", schedule=str(made.id)).header[0].value
    assert written.replace(":color{}", "") == r"\!\[x\]\(http\:\/\/a\/b\.png\) \*\*b\*\*"
    assert "http\\::color{}" in written, "an address that is only escaped becomes a link"


def test_a_pause_asks_for_a_reason(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    at = open_page("schedules", schedule=str(daily.id))
    at.button(key="sched_pause").click().run()
    assert "Nothing of it fires until it is resumed" in words(at)
    at.button(key="sched_pause_yes").click().run()
    assert "say why" in words(at)
    assert not console.schedules.get(daily.id).paused
    at.button(key="sched_pause").click().run()
    at.text_input(key="sched_reason").set_value("maintenance")
    at.button(key="sched_pause_yes").click().run()
    assert console.schedules.get(daily.id).paused_reason == "maintenance"
    at.button(key="sched_resume").click().run()
    assert not console.schedules.get(daily.id).paused


def test_a_deletion_says_what_it_takes_and_what_stays(
    open_page: Open, console: ConsoleService, daily: Schedule
) -> None:
    at = open_page("schedules", schedule=str(daily.id))
    at.button(key="sched_delete").click().run()
    assert "2 series will no longer be kept up to date by it" in words(at)
    assert "all candles stay" in words(at)
    at.button(key="sched_delete_yes").click().run()
    assert console.schedules.store.all() == []
    assert "Nothing runs by itself yet" in words(at)


def test_a_copy_is_opened_paused(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    at = open_page("schedules", schedule=str(daily.id))
    at.button(key="sched_copy").click().run()
    assert "FX daily copy" in words(at)
    assert [one.paused for one in console.schedules.store.all()] == [False, True]


def test_run_now_leads_to_its_run(open_page: Open, console: ConsoleService, daily: Schedule) -> None:
    at = open_page("schedules", schedule=str(daily.id))
    at.button(key="sched_run").click().run()
    assert "Run 1 has started." in words(at)
    console.run_service.wait(1)
    at = open_page("schedules", schedule=str(daily.id))
    history = at.dataframe[-1].value.to_dict("records")
    assert history[0]["Run"] == "1"
    assert history[0]["Note"].startswith("started by ")


def test_what_was_missed_is_filled_with_one_button(open_page: Open, console: ConsoleService) -> None:
    one = console.schedules.create(
        Draft("gaps", "simulated", ("BTCUSD",), ("1d",), catch_up="none", mode="gaps"), "ann"
    )
    console.scheduler.stop()
    assert one.next_due is not None
    ahead = one.next_due + 29 * 86_400 + 43_200  # between two instants, or the last would fire
    console.scheduler._clock = lambda: ahead
    console.scheduler.poll()
    at = open_page("schedules")
    assert "gaps: 30 ticks" in words(at)
    at.button(key=f"sched_fill_{one.id}").click().run()
    assert "Run 1 has started." in words(at)
    assert console.schedules.store.unfilled() == []
    assert "30 ticks" not in words(at)
    console.run_service.wait(1)


def test_without_a_webhook_the_page_says_which_setting_is_missing(open_page: Open) -> None:
    at = open_page("schedules")
    assert "FFE_WEBHOOK__URL" in words(at)
    assert at.button(key="sched_test").disabled


def test_a_test_message_says_how_it_went(open_page: Open, monkeypatch: pytest.MonkeyPatch, data_dir: object) -> None:
    monkeypatch.setenv("FFE_WEBHOOK__URL", "http://127.0.0.1:9/a-secret-path")
    at = open_page("schedules")
    assert "Sent to 127.0.0.1" in words(at)
    at.button(key="sched_test").click().run()
    assert "the webhook cannot be reached" in words(at)
    assert "a-secret-path" not in words(at)


def test_a_schedule_that_is_not_there_is_said(open_page: Open) -> None:
    assert "There is no schedule 7" in words(open_page("schedules", schedule="7"))
    assert "Not understood in the address" in words(open_page("schedules", schedule="seven"))


@pytest.mark.of_a_state_file("at a server every console acts: test_consoles_on_a_server")
def test_a_standby_shows_everything_and_changes_nothing(
    open_page: Open, console: ConsoleService, daily: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConsoleService, "leads", False)
    at = open_page("schedules", schedule=str(daily.id))
    for key in ("sched_run", "sched_pause", "sched_edit", "sched_copy", "sched_delete"):
        assert at.button(key=key).disabled


def test_many_schedules_can_be_filtered(open_page: Open, console: ConsoleService) -> None:
    for number in range(12):
        console.schedules.create(Draft(f"schedule {number}", "simulated", (f"P{number}USD",), ("1d",)), "ann")
    at = open_page("schedules")
    assert len(at.dataframe[0].value) == 12
    at.text_input(key="sched_find").set_value("p1usd").run()
    assert len(at.dataframe[0].value) == 1


@pytest.mark.parametrize("typed", ["brk.b", "BRK-B", "brkb", "fifth/usd"])
def test_a_schedule_is_found_by_any_of_its_pairs_however_it_is_written(
    open_page: Open, console: ConsoleService, typed: str
) -> None:
    console.watchlists.save(
        "Mine", "simulated", ["AAUSD", "BBUSD", "CCUSD", "DDUSD", "BRK-B", "FIFTHUSD"], ["1d"], "ann"
    )
    console.schedules.create(Draft("by list", watchlist="Mine"), "ann")
    many = ("AAUSD", "BBUSD", "CCUSD", "BRK-B", "FIFTHUSD")
    console.schedules.create(Draft("by pairs", "simulated", many, ("1d",)), "ann")
    for number in range(12):
        console.schedules.create(Draft(f"other {number}", "simulated", ("AAUSD",), ("1d",)), "ann")
    at = open_page("schedules")
    at.text_input(key="sched_find").set_value(typed).run()
    assert sorted(at.dataframe[0].value["Name"]) == ["by list", "by pairs"]


def test_signs_read_without_colour() -> None:
    ticks = [
        tick(run_state="complete"),
        tick(run_state="failed"),
        tick(),
        tick(outcome=schedule_states.SKIPPED),
        tick(outcome=schedule_states.MISSED),
        tick(outcome=schedule_states.PAUSED),
    ]
    assert signs(ticks) == "✓ ✗ … » – ‖"
    assert [state_of(one) for one in ticks] == ["complete", "failed", "running", "skipped", "missed", "paused"]


def test_what_is_told_of_a_fire() -> None:
    assert told(tick(outcome=schedule_states.LATE, late=21_600.0)) == "late by 6 h"
    assert told(tick(kind=schedule_states.MANUAL, actor="ann")) == "started by ann"
    assert (
        told(tick(outcome=schedule_states.PAUSED, actor="ann", count=3, note="maintenance"))
        == "paused by ann, 3 ticks, maintenance"
    )
    assert told(tick(outcome=schedule_states.MISSED, count=1200, filled_by=7)) == "1,200 ticks, filled by run 7"


def test_times_in_few_letters() -> None:
    now = 1_732_000_000.0  # Tuesday 2024-11-19 07:06:40 UTC
    today = 1_732_000_000 - 1_732_000_000 % 86_400
    assert short([today + 8 * 3600, today + 9 * 3600], "UTC", now) == "08:00, 09:00 UTC"
    assert short([today + 90_000, today + 176_400], "UTC", now) == "01:00 on Wed, Thu UTC"
    assert short([today + 8 * 3600, today + 86_400], "Europe/Berlin", now) == "09:00, Wed 01:00 CET"
    assert short([today + 10 * 86_400], "UTC", now) == "00:00 on 11-29 UTC"
    assert short([], "UTC", now) == "–"


@pytest.mark.parametrize(
    ("when", "field", "text", "said"),
    [
        ("every", "sched_minutes", "5000", "is not 1 to 1440 minutes"),
        ("every", "sched_minutes", "", "is not 1 to 1440 minutes; for example 15"),
        ("time", "sched_time", "25:61", "'25:61' is not a time of day; use one like 02:30"),
        ("bar", "sched_pause_after", "-3", "'-3' is not a whole number from 0 to 1,000; for example 5"),
    ],
)
def test_a_number_or_a_time_that_cannot_be_is_said_and_keeps_its_field(
    open_page: Open, when: str, field: str, text: str, said: str
) -> None:
    at = open_page("schedules", new="1", pairs="BTCUSD")
    at.text_input(key="sched_name").set_value("mine").run()
    at.segmented_control(key="sched_when").set_value(when).run()
    assert not at.button(key="sched_save").disabled
    at.text_input(key=field).set_value(text).run()
    assert said in words(at)
    assert at.button(key="sched_save").disabled
    assert at.text_input(key=field).value == text


def test_a_schedule_that_was_not_previewed_is_not_saved(open_page: Open, console: ConsoleService) -> None:
    at = open_page("schedules", new="1", pairs="BTCUSD")
    at.segmented_control(key="sched_when").set_value("every").run()
    at.text_input(key="sched_name").set_value("mine").run()
    at.text_input(key="sched_minutes").set_value("1")
    at.button(key="sched_save").click().run()
    assert console.schedules.store.all() == []
    assert "nothing was saved: the fields have changed" in words(at)
    at.text_input(key="sched_name").set_value("ours")
    at.button(key="sched_save").click().run()
    assert [(one.name, one.trigger) for one in console.schedules.store.all()] == [("ours", "every 1 minute")]
