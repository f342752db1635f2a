"""Does the first source that names a setting win, and is a wrong one refused by the name of its variable?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, Field

from ffe_core import settings as settings_module
from ffe_core.errors import InputError
from ffe_core.redaction import redact
from ffe_core.settings import Settings, unknown_settings, variable


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
    assert (settings.data_dir, settings.lake_uri) == (Path.cwd() / "data", str(Path.cwd() / "data" / "lake"))
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


@pytest.mark.parametrize(
    ("name", "value", "like"),
    [
        ("FFE_CALENDARS__OVERRIDES", "{", r"not JSON .*\{\"oanda/XAUUSD\": \"oanda-gold\"\}"),
        ("FFE_CALENDARS__OVERRIDES", "[]", r"no dictionary; .*\{\"oanda/XAUUSD\": \"oanda-gold\"\}"),
        ("FFE_CALENDARS__FX_HOLIDAYS", "[", r"not JSON .*\[\"12-25\", \"01-01\"\]"),
        ("FFE_CONSOLE__ORIGINS", "https://a", r"no list; .*\[\"12-25\", \"01-01\"\]"),
    ],
)
def test_what_is_no_list_or_table_is_refused_with_one_to_go_by(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, like: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"^{name}: the value is {like}"):
        Settings.load().check_sections()


@pytest.mark.parametrize("written", [" 7 ", "'7'", '"7"', " ' 7 ' ", "\t7\n"])
def test_white_space_and_one_pair_of_quotes_around_a_value_are_not_the_value(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", written)
    secrets.write_text(f"[alpha_vantage]\napi_key = {json.dumps(written)}\n")
    settings = Settings.load({"coinbase": {"api_token": "7\n"}})
    assert settings.section("oanda", Own).api_token == "7"
    assert (settings.model_extra or {})["alpha_vantage"] == {"api_key": "7"}
    assert settings.section("coinbase", Own).api_token == "7"


@pytest.mark.parametrize(("written", "read"), [('"it\'s"', "it's"), ("'abc\"", "'abc\""), ("''", ""), ('"a"b', '"a"b')])
def test_quotes_that_do_not_match_belong_to_the_value(monkeypatch: pytest.MonkeyPatch, written: str, read: str) -> None:
    monkeypatch.setenv("FFE_OANDA__API_TOKEN", written)
    assert Settings.load().section("oanda", Own).api_token == read


def test_a_padded_or_quoted_folder_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for written in (f" {tmp_path} ", f"'{tmp_path}'", f'" {tmp_path}"'):
        monkeypatch.setenv("FFE_DATA_DIR", written)
        assert Settings.load().data_dir == tmp_path


def test_a_folder_that_begins_like_json_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", "{b}")
    assert Settings.load().data_dir == Path.cwd() / "{b}"
    monkeypatch.setenv("FFE_DATA_DIR", "[old] data")
    with pytest.raises(InputError, match=r"^FFE_DATA_DIR: Delta tables cannot lie in .*\[old\] data"):
        Settings.load()


@pytest.mark.parametrize("token", ["t\u00f6ken", "to\nken", "to\x00ken", "\u200btoken"])
def test_a_token_that_no_header_could_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InputError, match=r"^FFE_OANDA__API_TOKEN: ") as caught:
        Settings.load({"oanda": {"api_token": token}})
    assert token not in str(caught.value)


def test_a_secrets_file_with_a_byte_order_mark_is_read(secrets: Path) -> None:
    secrets.write_bytes(b'\xef\xbb\xbf[oanda]\r\napi_token = "file"\r\n')
    assert Settings.load().section("oanda", Own).api_token == "file"


_NO_NUMBERS = ("nan", "inf", "-inf", "1e300", "-1", "9" * 400, "0x10", "1,5")


def numbers() -> Iterator[tuple[str, ...]]:
    """Every setting that is a number, or may be one."""
    models = [((), Settings), *(((section,), model) for section, model in settings_module._models().items())]
    for path, model in models:
        for name, field in model.model_fields.items():
            if {int, float} & set(parts(field.annotation)):
                yield (*path, name)


def parts(annotation: Any) -> Iterator[Any]:
    """A type with all that it is made of: `float | None` is made of both."""
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)


@pytest.mark.parametrize("value", _NO_NUMBERS)
@pytest.mark.parametrize("name", [variable(*path) for path in numbers()])
def test_every_number_has_bounds(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A new setting that fails here has no least or no most value: `ge` and `le` of its field."""
    monkeypatch.setenv(name, value)
    if (name, value) == ("FFE_SIMULATED__SEED", "-1"):
        return
    with pytest.raises(InputError, match=rf"^{name}: "):
        Settings.load().check_sections()


def test_numbers_are_found_among_the_settings() -> None:
    assert len(list(numbers())) > 12


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ('{"oanda/XAUUSD": "XNOP"}', "XNOP"),
        ('{"XAUUSD": "fx"}', "names no series"),
        ('["fx"]', "dict"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused_before_anything_uses_it(
    monkeypatch: pytest.MonkeyPatch, overrides: str, why: str
) -> None:
    monkeypatch.setenv("FFE_CALENDARS__OVERRIDES", overrides)
    with pytest.raises(InputError, match=rf"^FFE_CALENDARS__OVERRIDES: .*{why}"):
        Settings.load()


def test_a_holiday_that_is_no_day_is_refused_before_anything_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_CALENDARS__FX_HOLIDAYS", '["13-32"]')
    with pytest.raises(InputError, match=r"^FFE_CALENDARS__FX_HOLIDAYS: .*13-32"):
        Settings.load()


def test_a_slip_in_a_name_is_said_with_the_nearest_name(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.write_text('[oanda]\napi_tokn = "x"\n[connections]\nown = "Streamlit\'s"\n')
    monkeypatch.setenv("FFE_RETRY__ATEMPTS", "3")
    monkeypatch.setenv("ffe_data_dir", "x")
    monkeypatch.setenv("FFE_SIMULATED", '{"sed": 1, "seed": 2}')
    monkeypatch.setenv("FFE_CALENDARS__OVERRIDES", '{"oanda/XAUUSD": "fx"}')
    monkeypatch.setenv("FFE_CHROMIUM", "chromium")
    said = unknown_settings()
    assert [sentence.partition(" ")[0] for sentence in said] == [
        "FFE_OANDA__API_TOKN",
        "FFE_RETRY__ATEMPTS",
        "FFE_SIMULATED__SED",
        "ffe_data_dir",
    ]
    assert [sentence.rpartition(" ")[2] for sentence in said] == [
        "FFE_OANDA__API_TOKEN?",
        "FFE_RETRY__ATTEMPTS?",
        "FFE_SIMULATED__SEED?",
        "FFE_DATA_DIR?",
    ]


@pytest.mark.parametrize("name", sorted(settings_module._known_names()))
def test_no_setting_is_taken_for_a_slip(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert not unknown_settings()


@pytest.mark.parametrize(
    "url", ["ftp://x", "https:///path", "https://a b", "https://[x", "https://user:pw@a", "https://a?key=1", "a-name"]
)
def test_a_base_url_that_cannot_be_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FFE_COINBASE__BASE_URL", url)
    with pytest.raises(InputError, match=r"^FFE_COINBASE__BASE_URL: ") as caught:
        Settings.load().check_sections()
    assert url not in str(caught.value)


def test_the_object_stores_own_credentials_are_known_to_redaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-cloud-1")
    Settings.load({"webhook": {"url": "https://hooks.example/of-the-hook-1"}})
    assert redact("of-the-cloud-1 https://hooks.example/of-the-hook-1") == "*** ***"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "OVERRIDES",
            '{"oanda/EURUSD": "LONDON"}',
            "calendar override 'oanda/EURUSD': 'LONDON' is unknown; use one of",
        ),
        ("OVERRIDES", '{"EURUSD": "fx"}', "calendar override 'EURUSD' names no series"),
        ("OVERRIDES", '{"oanda/": "fx"}', "calendar override 'oanda/'"),
        ("OVERRIDES", '{"onada/EURUSD": "fx"}', "calendar override 'onada/EURUSD' names no provider; use one of"),
        (
            "OVERRIDES",
            '{"oanda/DE30": "Europe/Berlin; mon-fri 1:15-22:00"}',
            "hours 'mon-fri 1:15-22:00' cannot be read",
        ),
        ("FX_HOLIDAYS", '["02-30"]', "'02-30' is no day"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FFE_CALENDARS__{setting}", value)
    with pytest.raises(InputError) as caught:
        Settings.load()
    assert caught.value.field == f"FFE_CALENDARS__{setting}"
    assert str(caught.value).startswith(f"FFE_CALENDARS__{setting}: ")
    assert said in str(caught.value)


def test_calendars_of_any_kind_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = {
        "alpha_vantage/TSCO.LON": "XPAR",
        "oanda/EURUSD": "oanda:XAU_USD",
        "coinbase/BTC-USD": "Asia/Tokyo; mon-fri 09:00-15:30, rest 11:30-12:30; closed 01-01",
    }
    monkeypatch.setenv("FFE_CALENDARS__OVERRIDES", json.dumps(overrides))
    monkeypatch.setenv("FFE_CALENDARS__FX_HOLIDAYS", '["12-25", "2022-12-26"]')
    calendars = Settings.load().calendars
    assert calendars.of("alpha_vantage", "TSCO.LON").name == "XPAR"
    assert calendars.of("oanda", "EUR_USD").name == "oanda-gold"
    assert calendars.of("coinbase", "BTCUSD").name == overrides["coinbase/BTC-USD"]
    assert calendars.of("alpha_vantage", "EURUSD").name == "fx"


@pytest.mark.parametrize(
    ("name", "why"), [("file", "a chart, an export or another tool"), ("log", "a writer that opened")]
)
def test_a_retention_below_what_readers_need_is_refused_with_the_reason(name: str, why: str):
    with pytest.raises(InputError, match=rf"FFE_UPKEEP__{name.upper()}_RETENTION_HOURS: 0 is too short: {why}"):
        Settings.load({"upkeep": {f"{name}_retention_hours": 0}})
