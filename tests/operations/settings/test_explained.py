"""Is every setting explained, with its value, its source and no secret?"""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.operations.settings.explained import Setting, Source, explained
from ffe_core.settings import Settings

TOKEN = "0123456789abcdef-fedcba98765432ff"


def found(**config: object) -> dict[str, Setting]:
    return {one.variable: one for one in explained(Settings.load(config))}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ffe_core.settings.SECRETS_FILE", Path(".streamlit/secrets.toml"))
    return tmp_path


def test_every_setting_has_a_meaning() -> None:
    assert [one.variable for one in found().values() if not one.meaning.endswith(".")] == []


def test_a_meaning_fits_into_its_column_at_the_reference_size() -> None:
    assert [one.variable for one in found().values() if len(one.meaning) > 82] == []


def test_a_value_says_where_it_comes_from(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".streamlit").mkdir()
    file = elsewhere / ".streamlit" / "secrets.toml"
    file.write_text('[retry]\nattempts = 7\n[oanda]\nenvironment = "live"\n')
    monkeypatch.setenv("FFE_RETRY__ATTEMPTS", "5")
    monkeypatch.setenv("FFE_CALENDARS__FX_HOLIDAYS", '["12-25"]')
    settings = found(http={"max_body_mb": 8})
    told = {name: (one.value, one.source) for name, one in settings.items() if one.source is not Source.DEFAULT}
    assert told["FFE_RETRY__ATTEMPTS"] == ("5", Source.ENVIRONMENT)
    assert told["FFE_OANDA__ENVIRONMENT"] == ("live", Source.FILE)
    assert told["FFE_HTTP__MAX_BODY_MB"] == ("8.0", Source.CODE)
    assert told["FFE_CALENDARS__FX_HOLIDAYS"] == ("['12-25']", Source.ENVIRONMENT)
    assert not any(one.is_stale for one in settings.values())


def test_what_was_changed_since_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_RETRY__ATTEMPTS", "5")
    settings = Settings.load()
    monkeypatch.setenv("FFE_RETRY__ATTEMPTS", "6")
    monkeypatch.setenv("FFE_UPKEEP__RUN_DAYS", "soon")
    told = {one.variable: one for one in explained(settings)}
    assert (told["FFE_RETRY__ATTEMPTS"].value, told["FFE_RETRY__ATTEMPTS"].is_stale) == ("5", True)
    assert (told["FFE_UPKEEP__RUN_DAYS"].value, told["FFE_UPKEEP__RUN_DAYS"].is_stale) == ("0", True)
    assert not told["FFE_RETRY__BASE_DELAY_SECONDS"].is_stale


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", TOKEN)
    monkeypatch.setenv("FFE_ALPHA_VANTAGE__API_KEY", "SHORTKEY")
    monkeypatch.setenv("FFE_WEBHOOK__URL", "https://hooks.example/services/T0/B0/abcdef")
    told = found()
    assert told["FFE_OANDA__API_TOKEN"].value == "set, ends in ff"
    assert told["FFE_ALPHA_VANTAGE__API_KEY"].value == "set"
    assert told["FFE_WEBHOOK__URL"].value == "set, ends in ef"
    assert not any(secret in repr(told) for secret in (TOKEN, "SHORTKEY", "hooks.example"))
    monkeypatch.delenv("FFE_OANDA__API_TOKEN")
    assert found()["FFE_OANDA__API_TOKEN"].value == "missing"
