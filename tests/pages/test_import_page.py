"""Does the Import page ask what no file tells, show how files are read, and start just what it has shown?"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.operations.console import ConsoleService
from ffe_core.operations.imports.uploads import Uploads
from tests.files.making import FORMS, Form, candles, lines, ohlcv, zipped
from tests.pages.conftest import Open, words
from tests.pages.test_raw_text import drawn

Named = Callable[..., AppTest]


def form(profile: str) -> Form:
    return next(one for one in FORMS if one.profile == profile)


def plain_file(folder: Path, header: str = "time,open,high,low,close,volume") -> Path:
    """A file of no known form; its times are a wall clock's."""
    path = folder / "candles.csv"
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    path.write_bytes(lines(rows, header))
    return path


@pytest.fixture
def named(open_page: Open) -> Named:
    """`named(path, source, pair, timeframe)`: the page with its fields filled in."""

    def opened(path: object, source: str = "files:mine", pair: str = "", timeframe: str = "") -> AppTest:
        at = open_page("import_files")
        at.text_input(key="import_path").input(str(path)).run()
        at.text_input(key="import_source").input(source)
        if pair:
            at.text_input(key="import_pair").input(pair)
        if timeframe:
            at.session_state.import_timeframe = timeframe
        return at.run()

    return opened


def button(at: AppTest, key: str = "import_start") -> Any:
    return at.button(key=key)


def test_at_first_it_says_what_it_needs(open_page: Open) -> None:
    at = open_page("import_files")
    assert "Not yet: name the files." in words(at)
    assert "No file was imported yet." in words(at)
    assert button(at).disabled


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere/klines", "/nowhere/klines is not there"),
        ("/" + "x" * 300, "cannot be looked at"),
        ("\0", "is not there"),
    ],
)
def test_what_is_not_there_is_told_at_the_field(named: Named, path: str, said: str) -> None:
    at = named(path)
    assert said in words(at)
    assert button(at).disabled
    assert not at.exception


def test_a_source_that_could_be_a_providers_is_told_at_the_field(named: Named, tmp_path: Path) -> None:
    at = named(form("kraken-ohlcvt").write(tmp_path), "coinbase")
    assert "'coinbase' names no source of files" in words(at)
    assert button(at).disabled


def test_what_the_names_say_is_filled_in_and_a_click_imports_it(
    console: ConsoleService, named: Named, open_page: Open, tmp_path: Path
) -> None:
    at = named(form("kraken-ohlcvt").write(tmp_path), "files:kraken")
    assert (at.session_state.import_pair, at.session_state.import_timeframe) == ("BTCUSD", "1h")
    what, rows = at.dataframe[1].value, at.dataframe[2].value
    assert what["What"].iloc[0] == "Form"
    assert rows["Text"].iloc[0].startswith("1705330800,100.00000,")
    assert rows["Opens (UTC)"].iloc[0] == "2024-01-15 15:00"
    button(at).click().run()
    console.run_service.wait(1, 60)
    page = open_page("run", id="1")
    files = next(one.value for one in page.dataframe if "Received" in one.value)
    assert list(files.iloc[0][["File", "Received", "Stored", "Dead lettered", "Repeats"]]) == [
        "XBTUSD_60.csv",
        24,
        24,
        0,
        0,
    ]
    listed = open_page("import_files").dataframe[0].value
    assert list(listed.iloc[0][["File", "Received"]]) == ["XBTUSD_60.csv", 24]


def test_what_no_file_tells_is_asked_with_its_readings(named: Named, tmp_path: Path) -> None:
    at = named(plain_file(tmp_path), pair="BTCUSD", timeframe="1h")
    assert "To be answered first" in words(at)
    assert button(at).disabled
    zone = at.radio(key="import_ask_zone")
    assert any("2024\\-01\\-15 15\\:00 is 2024\\-01\\-15 15\\:00 UTC" in one for one in zone.options)
    assert zone.options[0].endswith("· :gray[Zone of the clock\\: UTC]")
    zone.set_value(0).run()
    assert at.session_state.import_options["zone"] == "UTC"
    at.radio(key="import_ask_stamp").set_value(1).run()
    assert "To be answered first" not in words(at)
    assert at.dataframe[2].value["Opens (UTC)"].iloc[0] == "2024-01-15 14:00"
    assert not button(at).disabled


def test_a_wrong_guess_is_corrected_and_kept_as_a_profile(
    console: ConsoleService, named: Named, tmp_path: Path
) -> None:
    path = plain_file(tmp_path, "time,open,high,low,close,volume")
    at = named(path, pair="BTCUSD", timeframe="1h")
    at.text_input(key="import_option_zone").input("Nowhere/Town").run()
    assert "'Nowhere/Town' is no zone" in words(at)
    at.text_input(key="import_option_zone").input("UTC+2").run()
    at.selectbox(key="import_option_stamp").select("open").run()
    assert at.dataframe[2].value["Opens (UTC)"].iloc[0] == "2024-01-15 13:00"
    at.selectbox(key="import_option_map_volume").select("open").run()
    assert at.dataframe[2].value["Volume"].iloc[0] == "100"
    at.text_input(key="import_profile_name").input("my-broker")
    at.button(key="import_profile_keep").click().run()
    assert "Kept as profile my-broker." in words(at)
    assert (console.settings.data_dir / "profiles" / "my-broker.toml").is_file()
    again = named(path, pair="BTCUSD", timeframe="1h")
    again.selectbox(key="import_option_profile").select("my-broker").run()
    assert not button(again).disabled
    assert again.dataframe[2].value["Opens (UTC)"].iloc[0] == "2024-01-15 13:00"


def test_without_a_header_the_columns_are_named(named: Named, tmp_path: Path) -> None:
    path = plain_file(tmp_path, "")
    at = named(path, pair="BTCUSD", timeframe="1h")
    choices = at.radio(key="import_ask_form").options
    at.radio(key="import_ask_form").set_value(len(choices) - 1).run()
    assert at.session_state.import_options["columns"] == "time,open,high,low,close,volume"
    assert [radio.key for radio in at.radio] == ["import_ask_zone", "import_ask_stamp"]


def test_options_that_cannot_be_are_told_at_their_fields_before_files_are_named(open_page: Open) -> None:
    at = open_page("import_files")
    at.text_input(key="import_option_columns").input("time,open,open,close").run()
    assert "'open' stands twice" in words(at)
    at.text_input(key="import_option_columns").input("time,open,-,-,close").run()
    assert "stands twice" not in words(at)
    at.selectbox(key="import_option_decimal").select(",").run()
    at.selectbox(key="import_option_thousands").select(",").run()
    assert "is the decimal sign too" in words(at)
    at.selectbox(key="import_option_thousands").select(".").run()
    assert "is the decimal sign too" not in words(at)


def test_only_what_was_shown_is_started(console: ConsoleService, named: Named, tmp_path: Path) -> None:
    at = named(form("kraken-ohlcvt").write(tmp_path), "files:kraken")
    at.text_input(key="import_pair").input("ETHUSD")
    button(at).click().run()
    assert "nothing was started: what you ask for has changed" in words(at)
    assert console.runs.get(1) is None
    assert "is said" in words(at)


@pytest.mark.of_a_state_file("at a server every console acts: test_consoles_on_a_server")
def test_a_standby_looks_and_starts_nothing(
    console: ConsoleService, named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(console), "leads", False)
    at = named(form("kraken-ohlcvt").write(tmp_path), "files:kraken")
    assert "Not yet: this console is a standby." in words(at)
    assert button(at).disabled


def test_hostile_names_and_texts_are_drawn_as_they_are(named: Named, tmp_path: Path) -> None:
    path = tmp_path / "**b** :smile: $x$.csv"
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    path.write_bytes(lines(rows, "time,open,high,low,close,:red[x]"))
    at = named(path, pair="**b**", timeframe="1h")
    assert at.radio
    assert not [part for part in ("**b** ", ":smile:", "$x$", ":red[x]") if part in drawn(at)]


def test_an_archive_of_several_kinds_is_read_as_chosen(named: Named, tmp_path: Path) -> None:
    made = form("binance-klines").make(candles("1h"))
    path = tmp_path / "all.zip"
    path.write_bytes(zipped({"spot/BTCUSDT-1h-2024-01.csv": made, "um/BTCUSDT-1h-2024-01.csv": made}))
    at = named(path, pair="BTCUSDT", timeframe="1h")
    at.radio(key="import_ask_member").set_value(1).run()
    assert "um/" in at.session_state.import_options["member"]
    assert not button(at).disabled


def test_a_name_that_says_another_pair_is_asked_about_and_can_win(named: Named, tmp_path: Path) -> None:
    at = named(form("kraken-ohlcvt").write(tmp_path), "files:kraken", "ETHUSD", "1h")
    options = at.radio(key="import_ask_name").options
    fills = ["Take files whatever pair their names say", "Pair and timeframe\\: those of its name"]
    assert [one.partition(" · ")[2] for one in options] == [f":gray[{fill}]" for fill in fills]
    at.radio(key="import_ask_name").set_value(1).run()
    assert (at.session_state.import_pair, at.session_state.import_timeframe) == ("", None)
    assert list(at.dataframe[0].value["Pair"]) == ["BTCUSD"]
    assert not button(at).disabled


def test_rows_that_say_another_pair_are_asked_about_and_can_win(named: Named, tmp_path: Path) -> None:
    at = named(form("databento-csv").write(tmp_path), "files:databento", "NQH1", "1h")
    assert "its rows are of ESH1, and NQH1 is said" in words(at)
    at.radio(key="import_ask_name").set_value(1).run()
    assert (at.session_state.import_pair, at.session_state.import_timeframe) == ("ESH1", "1h")
    assert not button(at).disabled


def test_a_console_that_others_reach_shows_no_file_of_the_server(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain_file(tmp_path)
    monkeypatch.setenv("FFE_CONSOLE__ORIGINS", '["https://candles.example"]')
    at = open_page("import_files")
    at.text_input(key="import_path").input(str(path)).run()
    assert "until FFE_FILES__FOLDERS names some" in words(at)
    at.text_input(key="import_source").input("files:mine").run()
    assert "until FFE_FILES__FOLDERS names some" in words(at)
    assert button(at).disabled


def test_the_form_is_filled_in_from_the_address_and_kept_in_it(open_page: Open, tmp_path: Path) -> None:
    path = plain_file(tmp_path)
    asked = {"path": str(path), "source": "files:mine", "pair": "BTCUSD", "timeframe": "1h", "zone": "UTC+2"}
    at = open_page("import_files", **asked, stamp="open", any_name="yes", map_volume="open")
    assert at.dataframe[2].value["Opens (UTC)"].iloc[0] == "2024-01-15 13:00"
    assert at.dataframe[2].value["Volume"].iloc[0] == "100"
    assert not button(at).disabled
    at.text_input(key="import_option_zone").input("UTC").run()
    assert at.query_params["zone"] == "UTC"
    assert at.query_params["any_name"] == "yes"
    assert "decimal" not in at.query_params


def test_what_an_address_says_wrongly_is_left_out_and_said(open_page: Open) -> None:
    at = open_page("import_files", timeframe="7m", stamp="middle", upload="../..", profile="none", again="maybe")
    said = words(at)
    for name in ("timeframe=7m", "stamp=middle", "upload=../..", "profile=none", "again=maybe"):
        assert name in said
    assert button(at).disabled


def test_an_upload_that_is_gone_is_told(console: ConsoleService, open_page: Open) -> None:
    token = Uploads(console.settings).keep([("a.csv", BytesIO(b"x"))])
    at = open_page("import_files", upload=token)
    assert "a.csv, 1 B" in words(at)
    Uploads(console.settings).remove(token)
    at.run()
    assert "the uploaded files were removed, or never there; upload them again" in words(at)
    at.button(key="import_upload_remove").click().run()
    assert "upload" not in at.query_params
    assert not at.exception


def test_a_text_that_is_too_long_is_told_and_stays_as_it_was_typed(named: Named, tmp_path: Path) -> None:
    at = named(plain_file(tmp_path), pair="BTCUSD", timeframe="1h")
    at.text_input(key="import_option_zone").input("x" * 5000).run()
    assert "These are 5,000 characters, and 500 have room; for example" in words(at)
    assert button(at).disabled
    assert at.text_input(key="import_option_zone").value == "x" * 5000
    at.text_input(key="import_path").input("/" + "x" * 9000).run()
    assert "cannot be looked at" in words(at)
    assert at.text_input(key="import_path").value == "/" + "x" * 9000
    assert not [one.key for one in at.text_input if one.proto.max_chars]


def test_an_option_that_cannot_be_is_told_at_its_field_before_files_are_named(named: Named, tmp_path: Path) -> None:
    for at in (named(""), named(plain_file(tmp_path), pair="BTCUSD", timeframe="1h")):
        at.text_input(key="import_option_zone").input("Nowhere/Land").run()
        assert "'Nowhere/Land' is no zone; use UTC, UTC-5 or a name such as America/New_York" in words(at)
        assert button(at).disabled
        at.text_input(key="import_option_zone").input("UTC-5").run()
        assert "is no zone" not in words(at)


def test_the_run_counts_every_dead_letter_that_its_link_opens(
    console: ConsoleService, named: Named, open_page: Open, tmp_path: Path
) -> None:
    """One broke a rule, one was replaced by a later row of its bar: both are dead letters of the run."""
    path = tmp_path / "candles.csv"
    hours = [f"2024-01-15T{hour:02}:00Z,1,2,0.5,1.5,10" for hour in range(24)]
    wrong = ["2026-13-01T00:00Z,1,2,0.5,1.5,10", "2024-01-15T23:00Z,1,2,0.5,1.6,10"]
    path.write_bytes(lines([*hours, *wrong], "opentime,open,high,low,close,volume"))
    at = named(path, pair="BTCUSD", timeframe="1h")
    at.radio(key="import_ask_repeats").set_value(1).run()
    button(at).click().run()
    console.run_service.wait(1, 60)
    page = open_page("run", id="1")
    series = next(one.value for one in page.dataframe if "Pair" in one.value)
    files = next(one.value for one in page.dataframe if "Received" in one.value)
    assert series["Dead letters"].iloc[0] == files["Dead lettered"].iloc[0] == 2
    assert "Open its 2 dead letters" in [link.proto.label for link in page.get("page_link")]


def test_a_whole_place_is_neither_a_pair_nor_a_source(named: Named, tmp_path: Path) -> None:
    """What is asked for is given an example of the field that it is typed into, and that one is taken."""
    path = plain_file(tmp_path)
    at = named(path, timeframe="1h")
    assert "for example BTCUSD" in words(at)
    assert "files:mine/" not in words(at)
    at.text_input(key="import_pair").input("files:mine/BTCUSD/1h").run()
    assert "'files:mine/BTCUSD/1h' cannot be a pair; give the pair alone" in words(at)
    assert button(at).disabled
    at.text_input(key="import_pair").input("BTCUSD").run()
    at.text_input(key="import_source").input("files:mine/BTCUSD/1h").run()
    assert "'files:mine/BTCUSD/1h' names no source of files" in words(at)
    assert button(at).disabled


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("fake.pdf", b"%PDF-1.7", "fake.pdf is of a kind that holds no candles; CSV, TSV"),
        ("ABCUSD_1h.csv", b"%PDF-1.7\n%\x81\x8d", "ABCUSD_1h.csv is a PDF document; CSV, TSV"),
        ("ABCUSD_1h.csv", bytes(range(256)) * 9, "ABCUSD_1h.csv is no text, whatever its name says; CSV, TSV"),
        ("ABCUSD_1h.csv", b"time,open\n" * 9 + b"\x81\x8d\n", "ABCUSD_1h.csv is no text in UTF-8"),
        ("ABCUSD_1h.parquet", b"PAR1 cut", "ABCUSD_1h.parquet cannot be read to its end: it is damaged"),
        ("ABCUSD_1h.csv.gz", b"no gz", "ABCUSD_1h.csv.gz cannot be read to its end: it is damaged"),
    ],
)
def test_an_upload_that_is_no_candles_is_told_by_its_name_and_what_it_is(
    console: ConsoleService, open_page: Open, name: str, content: bytes, said: str
) -> None:
    token = Uploads(console.settings).keep([(name, BytesIO(content))])
    at = open_page("import_files", upload=token, source="files:mine", pair="ABCUSD", timeframe="1h")
    assert said in words(at)
    assert str(console.settings.data_dir) not in words(at)
    assert "codec" not in words(at)
    assert button(at).disabled


def test_the_preview_says_in_words_what_will_not_be_stored(named: Named, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    hours = [f"2024-01-15T{hour:02}:00Z,1,2,0.5,1.5,1000000000000" for hour in range(24)]
    hours[:4] = [
        "2024-01-15T00:00Z,1,0.5,2,1.5,10",
        "2024-01-15T01:00Z,1,2,0.5,1.5,-4",
        "2024-01-15T02:30Z,1,2,0.00000001,1.5,10",
        "2024-01-15T03:00Z,abc,2,0.5,1.5,10",
    ]
    path.write_bytes(lines(hours, "opentime,open,high,low,close,volume"))
    rows = named(path, pair="BTCUSD", timeframe="1h").dataframe[2].value
    wrong = list(rows["Wrong"])
    assert wrong[0].startswith("high is below low; open is not between low and high")
    assert wrong[1:] == [
        "volume is negative",
        "the time is not on the timeframe's grid",
        "a field does not read as a number (open)",
        "",
    ]
    assert (rows["Low"].iloc[2], rows["Volume"].iloc[4]) == ("0.00000001", "1,000,000,000,000")


def test_how_long_the_bars_are_is_asked_before_what_hangs_on_it(named: Named, tmp_path: Path) -> None:
    """Days need neither zone nor stamp; of bars whose length is not known yet no step is made up."""
    days, hours = tmp_path / "days.csv", tmp_path / "hours.csv"
    days.write_bytes(lines(["2026-01-05,1,2,0.5,1.5,10"], "time,open,high,low,close,volume"))
    hours.write_bytes(lines(["2026-01-05T09:00Z,1,2,0.5,1.5,10"], "time,open,high,low,close,volume"))
    at = named(days, pair="ONEUSD")
    assert len(at.radio) == 0
    assert "how long are its bars?" in words(at)
    assert "for example" not in words(at)
    at = named(hours, pair="ONEUSD")
    told = [one.partition(" ·")[0] for one in at.radio(key="import_ask_stamp").options]
    assert [one.replace("\\", "") for one in told] == [
        "the bar of 2026-01-05 09:00 UTC opens at 2026-01-05 09:00 UTC",
        "the bar of 2026-01-05 09:00 UTC ends then",
    ]
