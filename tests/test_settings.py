"""Does the first source that names a setting win, and is a wrong one refused by the name of its variable?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from ffe_core.errors import InputError
from ffe_core.redaction import redact
from ffe_core.settings import Settings, variable


class Own(BaseModel):
    base_url: str = "https://default"
    api_token: str = ""
    requests_per_second: float = Field(default=1.0, gt=0)


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "secrets.toml"
    monkeypatch.setattr("ffe_core.settings.SECRETS_FILE", path)
    return path


def test_without_any_source_the_defaults_hold():
    settings = Settings.load()
    assert (settings.data_dir, settings.lake_uri) == (Path("data"), "data/lake")
    assert (settings.retry.attempts, settings.retry.base_delay_seconds, settings.close_grace_seconds) == (3, 5.0, 60)
    assert settings.section("oanda", Own) == Own()


def test_code_wins_over_environment_over_file_key_by_key(secrets: Path, monkeypatch: pytest.MonkeyPatch):
    secrets.write_text(
        'close_grace_seconds = 1\n[oanda]\napi_token = "file"\nbase_url = "file"\nrequests_per_second = 3\n'
    )
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", "environment")
    monkeypatch.setenv("FFE_OANDA__BASE_URL", "environment")
    settings = Settings.load({"oanda": {"base_url": "code"}})
    assert settings.section("oanda", Own) == Own(base_url="code", api_token="environment", requests_per_second=3)
    assert settings.close_grace_seconds == 1


def test_an_empty_variable_and_none_name_nothing(secrets: Path, monkeypatch: pytest.MonkeyPatch):
    secrets.write_text('[oanda]\napi_token = "file"\n')
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", "  ")
    assert Settings.load({"oanda": {"api_token": None}}).section("oanda", Own).api_token == "file"


def test_the_lake_lies_in_the_data_directory_unless_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFE_DATA_DIR", "/somewhere")
    assert Settings.load().lake_uri == "/somewhere/lake"
    assert Settings.load({"data_dir": "/else"}).lake_uri == "/else/lake"
    monkeypatch.setenv("FFE_LAKE_URI", "s3://bucket/lake")
    assert Settings.load().lake_uri == "s3://bucket/lake"


def test_a_loaded_tree_is_taken_as_it_is():
    settings = Settings.load({"data_dir": "x"})
    assert Settings.load(settings) is settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFE_RETRY__ATTEMPTS", "0"),
        ("FFE_RETRY__ATTEMPTS", "many"),
        ("FFE_RETRY__BASE_DELAY_SECONDS", "-1"),
        ("FFE_CLOSE_GRACE_SECONDS", "1.5"),
        ("FFE_HTTP__READ_TIMEOUT_SECONDS", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"^{name}: "):
        Settings.load()


def test_a_wrong_value_of_a_section_is_refused_by_its_variable_and_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFE_OANDA__REQUESTS_PER_SECOND", "s3cret-by-mistake")
    with pytest.raises(InputError, match=r"^FFE_OANDA__REQUESTS_PER_SECOND: ") as caught:
        Settings.load().section("oanda", Own)
    assert "s3cret-by-mistake" not in str(caught.value)


@pytest.mark.parametrize("names", [["FFE_RETRY", "FFE_RETRY__ATTEMPTS"], ["FFE_RETRY__ATTEMPTS", "FFE_RETRY"]])
def test_a_variable_that_is_value_and_section_at_once_is_the_section(monkeypatch: pytest.MonkeyPatch, names: list[str]):
    for name in names:
        monkeypatch.setenv(name, "7")
    assert Settings.load().retry.attempts == 7


def test_a_section_that_is_no_section_is_refused():
    config: dict[str, Any] = {"oanda": "token"}
    with pytest.raises(InputError, match=r"^FFE_OANDA: "):
        Settings.load(config).section("oanda", Own)


@pytest.mark.parametrize("content", ["oanda = [", b"\xff\xfe"])
def test_a_secrets_file_that_cannot_be_read_is_refused_by_name(secrets: Path, content: str | bytes):
    secrets.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"secrets\.toml"):
        Settings.load()


def test_every_secret_is_known_to_redaction_wherever_it_came_from(secrets: Path, monkeypatch: pytest.MonkeyPatch):
    secrets.write_text('[database]\npassword = "from-a-file"\n')
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", "from-the-environment")
    Settings.load({"alpha_vantage": {"api_key": "from code & co"}})
    text = "from-a-file from-the-environment from code & co from%20code%20%26%20co plain"
    assert redact(text) == "*** *** *** *** plain"


def test_the_name_of_a_variable():
    assert variable("oanda", "api_token") == "FFE_OANDA__API_TOKEN"


def test_a_section_that_is_not_json_is_refused_without_showing_what_it_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFE_OANDA", '{"api_token": "SECRET-123456",}')
    with pytest.raises(InputError, match=r"FFE_OANDA: the value is not JSON .*line 1 column 3") as caught:
        Settings.load()
    assert "SECRET" not in str(caught.value)
