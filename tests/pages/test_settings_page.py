"""Does the Settings page say what is set, and whether it works, without a secret?"""

from __future__ import annotations

import pytest

from ffe_core.operations.console import ConsoleService
from tests.pages.conftest import Open, words

TOKEN = "0123456789abcdef-fedcba98765432ff"


def test_settings_are_found_by_a_part_of_their_name_or_meaning(console: ConsoleService, open_page: Open) -> None:
    at = open_page("settings", q="dead_letter")
    assert list(at.dataframe[0].value["Setting"]) == ["FFE_WEBHOOK__DEAD_LETTER_LIMIT", "FFE_UPKEEP__DEAD_LETTER_DAYS"]
    at.text_input(key="settings_find").set_value("nothing like it").run()
    assert "No setting has that" in words(at)
    assert at.query_params["q"] == "nothing like it"
    assert open_page("settings").dataframe[0].value.shape[0] > 35


def test_a_provider_is_tested_and_a_missing_key_is_told(console: ConsoleService, open_page: Open) -> None:
    at = open_page("settings")
    said = words(at)
    assert "FFE_OANDA__API_TOKEN: missing; set it" in said
    at.button(key="settings_test_simulated").click().run()
    assert "It answers" in words(at)
    at.button(key="settings_test_oanda").click().run()
    assert not at.exception
    assert [row.target for row in console.audit.find(verb="test connection")] == ["oanda", "simulated"]


def test_a_secret_is_not_on_the_page(data_dir: object, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", TOKEN)
    at = open_page("settings", q="oanda__api_token")
    assert list(at.dataframe[0].value["Value"]) == ["set, ends in ff"]
    assert TOKEN not in str(at)


def test_a_setting_that_changed_since_the_start_is_named_with_what_to_do(
    console: ConsoleService, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_CLOSE_GRACE_SECONDS", "75")
    at = open_page("settings", q="close_grace")
    assert [warning.value for warning in at.warning] == [
        r"Changed since this console started; restart it to use the new value of FFE\_CLOSE\_GRACE\_SECONDS"
    ]
    assert list(at.dataframe[0].value["From"]) == ["environment"]


def test_a_backfill_without_a_key_leads_to_the_settings(console: ConsoleService, open_page: Open) -> None:
    at = open_page("backfill", provider="oanda", pairs="EURUSD")
    assert "Settings, and a test of the connection" in [link.proto.label for link in at.get("page_link")]


def test_a_search_that_is_too_long_is_told_and_stays_as_it_was_typed(console: ConsoleService, open_page: Open) -> None:
    at = open_page("settings")
    at.text_input(key="settings_find").set_value("x" * 5000).run()
    assert "These are 5,000 characters" in words(at)
    assert at.text_input(key="settings_find").value == "x" * 5000
    assert not at.text_input(key="settings_find").proto.max_chars
